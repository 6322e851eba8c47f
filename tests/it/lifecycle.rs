//! Versions are loaded and retired according to the registry and to the free memory.

use std::fs;

use taper::proto::v1;
use taper::proto::v1::VersionState;

use crate::harness::{TestGateway, eventually, good, rows, single_score};
use crate::steady_requests::SteadyRequests;
use crate::tiny;

/// Traffic of model `m` follows its newest version.
pub const FOLLOW: &str = "[models.m]\nsplit = { latest = 10000 }\n";
/// Only the newest version and those with traffic are loaded, and the registry is scanned often.
pub const NEWEST: &str = "versions = { latest = 1 }\n[watch]\npoll_ms = 100\nsettle_ms = 100\n";

/// Returns the status of `version` of `m`, or `None` if it is unknown.
pub async fn status_of(gateway: &TestGateway, version: u64) -> Option<v1::VersionStatus> {
    let request = v1::GetModelRequest { model: "m".into() };
    let model = gateway
        .admin
        .clone()
        .get_model(request)
        .await
        .expect("model")
        .into_inner();
    model
        .versions
        .into_iter()
        .find(|status| status.version == version)
}

/// Waits until `version` of `m` is in `state`.
pub async fn becomes(
    gateway: &TestGateway,
    version: u64,
    state: VersionState,
) -> v1::VersionStatus {
    eventually(&format!("version {version} becomes {state:?}"), || async {
        status_of(gateway, version)
            .await
            .filter(|status| status.state() == state)
    })
    .await
}

/// Returns the faults of a FAILED version, one per line.
pub fn faults(status: &v1::VersionStatus) -> String {
    let faults = status.faults.iter();
    let lines: Vec<_> = faults
        .map(|fault| format!("{}: {}", fault.path, fault.message))
        .collect();
    lines.join("\n")
}

async fn answers(gateway: &mut TestGateway, version: u64) {
    let answer = gateway
        .predict(rows("m", [good()]))
        .await
        .expect("an answer");
    assert_eq!(answer.version, version);
    #[expect(clippy::cast_precision_loss, reason = "versions in tests are small")]
    let weights = version as f32;
    assert!(
        (single_score(&answer) - weights).abs() < f32::EPSILON,
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_new_folder_takes_over_from_the_earlier_version_where_the_split_follows_latest() {
    let toml = format!("{NEWEST}{FOLLOW}");
    let mut gateway = TestGateway::start(&toml, |root| tiny::publish(root, "m", 1)).await;
    answers(&mut gateway, 1).await;
    let stream = SteadyRequests::start(&gateway.data, "m");
    tiny::drop_in(&gateway.models(), "m", 2, |root| {
        tiny::publish(root, "m", 2)
    });
    stream.answered_by(2).await;
    let one = becomes(&gateway, 1, VersionState::Retired).await;
    assert_eq!(
        (one.weight_bytes, one.inputs.len()),
        (0, 0),
        "its memory is given back"
    );
    let two = becomes(&gateway, 2, VersionState::Ready).await;
    assert_eq!(two.held_by, ["split (latest: 100%)"]);
    // Only the newest folder is loaded.
    tiny::drop_in(&gateway.models(), "m", 3, |root| {
        tiny::publish(root, "m", 3)
    });
    stream.answered_by(3).await;
    becomes(&gateway, 2, VersionState::Retired).await;
    fs::remove_dir_all(gateway.models().join("m/1")).expect("removed");
    eventually(
        "what is neither there nor in memory is forgotten",
        || async { status_of(&gateway, 1).await.is_none().then_some(()) },
    )
    .await;
    stream.end().await;
    answers(&mut gateway, 3).await;
    gateway.drain().await;
}

#[tokio::test]
async fn an_unknown_model_serves_once_its_first_version_appears() {
    let mut gateway = TestGateway::start(NEWEST, |root| tiny::publish(root, "m", 1)).await;
    tiny::drop_in(&gateway.models(), "new", 7, |root| {
        tiny::publish(root, "new", 7)
    });
    let data = gateway.data.clone();
    let answer = eventually("the new model answers", || {
        let mut data = data.clone();
        async move { data.predict(rows("new", [good()])).await.ok() }
    })
    .await;
    assert_eq!(answer.into_inner().version, 7);
    answers(&mut gateway, 1).await;
    gateway.drain().await;
}

#[tokio::test]
async fn a_folder_written_file_by_file_serves_once_it_is_complete() {
    let watch = "versions = { latest = 1 }\n[watch]\npoll_ms = 100\nsettle_ms = 3600000\n";
    let mut gateway = TestGateway::start(&format!("{watch}{FOLLOW}"), |root| {
        tiny::publish(root, "m", 1)
    })
    .await;
    let whole = tempfile::tempdir().expect("temporary folder");
    tiny::publish(whole.path(), "m", 2);
    let whole = whole.path().join("m/2");
    let place = gateway.models().join("m/2");
    fs::create_dir(&place).expect("a folder");
    let waits_for = async |what: &str| {
        let probe = || async {
            status_of(&gateway, 2)
                .await
                .filter(|two| two.waits_for.contains(what))
        };
        let two = eventually(what, probe).await;
        assert_eq!(
            (two.state(), two.failures),
            (VersionState::Discovered, 0),
            "{two:?}"
        );
    };
    waits_for("metadata.json is missing").await;
    let manifest = fs::read(whole.join("metadata.json")).expect("read");
    fs::write(place.join("metadata.json"), &manifest[..manifest.len() / 2]).expect("written");
    waits_for("metadata.json is truncated").await;
    fs::write(place.join("metadata.json"), &manifest).expect("written");
    waits_for("weights.safetensors is missing").await;
    let weights = fs::read(whole.join("weights.safetensors")).expect("read");
    fs::write(place.join("weights.safetensors"), &weights[..20]).expect("written");
    waits_for("weights.safetensors has 20 of").await;
    answers(&mut gateway, 1).await;
    fs::write(place.join("weights.safetensors"), &weights).expect("written");
    becomes(&gateway, 2, VersionState::Ready).await;
    answers(&mut gateway, 2).await;
    gateway.drain().await;
}

#[tokio::test]
async fn a_version_beyond_the_memory_limit_fails_and_the_old_one_keeps_serving() {
    let toml = format!("{NEWEST}[limits]\nmax_weight_bytes = 1048576\n{FOLLOW}");
    let mut gateway = TestGateway::start(&toml, |root| tiny::publish(root, "m", 1)).await;
    let stream = SteadyRequests::start(&gateway.data, "m");
    // More than a mebibyte per version, and two versions are in memory for a moment.
    tiny::drop_in(&gateway.models(), "m", 2, |root| {
        tiny::publish_wide(root, "m", 2, 520, 8)
    });
    let why = faults(&becomes(&gateway, 2, VersionState::Failed).await);
    assert!(
        why.contains("bytes of memory") && why.contains("`limits.max_weight_bytes`"),
        "{why}"
    );
    let one = status_of(&gateway, 1).await.expect("known");
    assert_eq!(one.state(), VersionState::Ready);
    answers(&mut gateway, 1).await;
    tiny::drop_in(&gateway.models(), "m", 3, |root| {
        tiny::publish_wide(root, "m", 3, 300, 8)
    });
    stream.answered_by(3).await;
    stream.end().await;
    gateway.drain().await;
}

#[tokio::test]
async fn a_version_with_another_signature_than_the_split_fails() {
    let toml = format!("{NEWEST}[models.m]\nsplit = {{ 1 = 5000, latest = 5000 }}\n");
    let mut gateway = TestGateway::start(&toml, |root| tiny::publish(root, "m", 1)).await;
    let stream = SteadyRequests::start(&gateway.data, "m");
    tiny::drop_in(&gateway.models(), "m", 2, |root| {
        tiny::publish_with(root, "m", 2, |manifest| {
            manifest["inputs"][1]["datatype"] = "INT32".into()
        });
    });
    let why = faults(&becomes(&gateway, 2, VersionState::Failed).await);
    assert!(
        why.contains("would share the split through `latest`"),
        "{why}"
    );
    assert!(why.contains("INT32") && why.contains("INT64"), "{why}");
    answers(&mut gateway, 1).await;
    tiny::drop_in(&gateway.models(), "m", 3, |root| {
        tiny::publish(root, "m", 3)
    });
    stream.answered_by(3).await;
    let one = status_of(&gateway, 1).await.expect("known");
    assert_eq!(
        one.state(),
        VersionState::Ready,
        "the split names it: {one:?}"
    );
    stream.end().await;
    gateway.drain().await;
}
