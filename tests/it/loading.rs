//! Versions that operators load, unload and retry manually.

use std::fs;
use std::path::Path;

use taper::proto::v1;
use tonic::Code;
use tonic_types::StatusExt;

use crate::harness::{TestGateway, eventually, good, reason, rows};
use crate::tiny;

fn load(version: u64) -> v1::LoadVersionRequest {
    v1::LoadVersionRequest {
        model: "m".into(),
        version,
        terms: None,
    }
}

fn unload(version: u64) -> v1::UnloadVersionRequest {
    v1::UnloadVersionRequest {
        model: "m".into(),
        version,
        terms: None,
    }
}

fn retry(version: u64) -> v1::RetryVersionRequest {
    v1::RetryVersionRequest {
        model: "m".into(),
        version,
        terms: None,
    }
}

/// Publishes a version that does not give its golden answer.
fn broken(root: &Path, version: u64) {
    tiny::publish_with(root, "m", version, |manifest| {
        manifest["golden"][0]["answer"] = serde_json::json!([1000]);
    });
}

async fn status_of(gateway: &mut TestGateway, version: u64) -> v1::VersionStatus {
    let request = v1::GetModelRequest { model: "m".into() };
    let model = gateway
        .admin
        .get_model(request)
        .await
        .expect("model")
        .into_inner();
    let found = model
        .versions
        .into_iter()
        .find(|status| status.version == version);
    found.expect("listed")
}

async fn pinned(gateway: &mut TestGateway, version: u64) -> Result<u64, tonic::Status> {
    let mut request = rows("m", [good()]);
    request.pin = Some(v1::predict_request::Pin::Version(version));
    Ok(gateway.predict(request).await?.version)
}

#[tokio::test]
async fn load_and_unload_calls_return_once_the_version_is_loaded_or_unloaded() {
    let mut gateway = TestGateway::start("versions = { latest = 1 }", |root| {
        (1..=2).for_each(|version| tiny::publish(root, "m", version));
    })
    .await;
    let one = status_of(&mut gateway, 1).await;
    assert_eq!(one.state(), v1::VersionState::Discovered);
    assert_eq!(
        (one.weight_bytes, one.inputs.len()),
        (0, 0),
        "it is not in memory"
    );
    gateway.admin.load_version(load(1)).await.expect("loaded");
    assert_eq!(pinned(&mut gateway, 1).await.expect("answer"), 1);
    let one = status_of(&mut gateway, 1).await;
    assert_eq!(one.state(), v1::VersionState::Ready);
    assert!(
        one.weight_bytes > 0 && one.inputs.len() == 4 && one.since.is_some(),
        "{one:?}"
    );
    let again = gateway
        .admin
        .load_version(load(1))
        .await
        .expect("still")
        .into_inner();
    assert_eq!(again.differences, [], "it was wanted already");
    gateway
        .admin
        .unload_version(unload(1))
        .await
        .expect("unloaded");
    let status = pinned(&mut gateway, 1).await.expect_err("gone");
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    gateway.drain().await;
}

#[tokio::test]
async fn undoing_a_load_moves_the_label_latest_back_and_unloads_the_version() {
    let mut gateway = TestGateway::start("versions = [1]", |root| {
        (1..=2).for_each(|version| tiny::publish(root, "m", version));
    })
    .await;
    let answers = async |gateway: &mut TestGateway| {
        let mut request = rows("m", [good()]);
        request.pin = Some(v1::predict_request::Pin::Label("latest".into()));
        let answer = gateway.predict(request).await;
        answer.expect("an answer").version
    };
    gateway.admin.load_version(load(2)).await.expect("loaded");
    assert_eq!(answers(&mut gateway).await, 2, "`latest`");
    let unpinned = gateway.predict(rows("m", [good()])).await;
    assert_eq!(unpinned.expect("an answer").version, 1, "the first version");
    let undo = v1::UndoRequest {
        model: "m".into(),
        terms: None,
    };
    gateway.admin.undo(undo).await.expect("undone");
    assert_eq!(answers(&mut gateway).await, 1, "`latest` as it was");
    crate::lifecycle::becomes(&gateway, 2, v1::VersionState::Retired).await;
    gateway.drain().await;
}

#[tokio::test]
async fn a_version_in_use_is_not_unloaded() {
    let mut gateway = TestGateway::start("[models.m]\nlabels = { stable = 1 }", |root| {
        (1..=2).for_each(|version| tiny::publish(root, "m", version));
    })
    .await;
    for (version, who) in [(1, "label stable"), (2, "split (2: 100%)")] {
        let status = gateway
            .admin
            .unload_version(unload(version))
            .await
            .expect_err(who);
        assert_eq!(reason(&status), "VERSION_HELD", "{status:?}");
        let failure = status.get_details_precondition_failure().expect("details");
        assert_eq!(failure.violations[0].description, format!("held by {who}"));
        assert_eq!(status_of(&mut gateway, version).await.held_by, [who]);
    }
    gateway.drain().await;
}

#[tokio::test]
async fn a_failed_version_is_reported_with_its_faults_and_becomes_ready_once_it_is_repaired() {
    let mut gateway = TestGateway::start("versions = [1]\n[watch]\npoll_ms = 100", |root| {
        tiny::publish(root, "m", 1);
        broken(root, 2);
    })
    .await;
    let question = v1::LoadVersionRequest {
        terms: Some(v1::ChangeTerms {
            dry_run: true,
            ..Default::default()
        }),
        ..load(2)
    };
    let would = gateway
        .admin
        .load_version(question)
        .await
        .expect("a dry run")
        .into_inner();
    assert_eq!(would.differences[0].field, "loaded");
    assert_eq!(
        status_of(&mut gateway, 2).await.state(),
        v1::VersionState::Discovered
    );
    let status = gateway
        .admin
        .load_version(load(2))
        .await
        .expect_err("broken");
    assert_eq!(reason(&status), "VERSION_NOT_READY", "{status:?}");
    assert!(status.message().contains("golden"), "{status:?}");
    let failed = status_of(&mut gateway, 2).await;
    assert_eq!(failed.state(), v1::VersionState::Failed);
    assert!(
        failed.failures >= 1 && !failed.faults.is_empty() && failed.retry_at.is_some(),
        "{failed:?}"
    );
    let status = gateway
        .admin
        .retry_version(retry(2))
        .await
        .expect_err("still broken");
    assert_eq!(reason(&status), "VERSION_NOT_READY", "{status:?}");
    assert!(status_of(&mut gateway, 2).await.failures > failed.failures);
    fs::remove_dir_all(gateway.models().join("m/2")).expect("removed");
    tiny::publish(&gateway.models(), "m", 2);
    let admin = gateway.admin.clone();
    eventually("the mended version is READY", || {
        let mut admin = admin.clone();
        async move {
            let request = v1::GetModelRequest { model: "m".into() };
            let model = admin.get_model(request).await.expect("model").into_inner();
            let mut versions = model.versions.iter();
            versions
                .find(|one| one.version == 2 && one.state() == v1::VersionState::Ready)
                .map(drop)
        }
    })
    .await;
    let status = gateway
        .admin
        .retry_version(retry(2))
        .await
        .expect_err("READY");
    assert_eq!(reason(&status), "NOTHING_TO_CHANGE", "{status:?}");
    gateway.drain().await;
}

#[tokio::test]
async fn loading_a_partly_written_version_fails_at_once() {
    let mut gateway = TestGateway::start("versions = [1]", |root| {
        (1..=2).for_each(|version| tiny::publish(root, "m", version));
        fs::remove_file(root.join("m/2/weights.safetensors")).expect("removed");
    })
    .await;
    let status = gateway
        .admin
        .load_version(load(2))
        .await
        .expect_err("half written");
    assert_eq!(reason(&status), "VERSION_NOT_READY", "{status:?}");
    assert!(status.message().contains("it waits"), "{status:?}");
    let two = status_of(&mut gateway, 2).await;
    assert!(two.waits_for.contains("weights.safetensors"), "{two:?}");
    for (status, why) in [
        (
            gateway.admin.load_version(load(9)).await.map(drop),
            "UNKNOWN_VERSION",
        ),
        (
            gateway.admin.unload_version(unload(9)).await.map(drop),
            "UNKNOWN_VERSION",
        ),
        (
            gateway.admin.retry_version(retry(9)).await.map(drop),
            "UNKNOWN_VERSION",
        ),
        (
            gateway.admin.load_version(load(0)).await.map(drop),
            "INVALID_CHANGE",
        ),
        (
            gateway.admin.retry_version(retry(2)).await.map(drop),
            "NOTHING_TO_CHANGE",
        ),
    ] {
        assert_eq!(reason(&status.expect_err(why)), why);
    }
    gateway.drain().await;
}
