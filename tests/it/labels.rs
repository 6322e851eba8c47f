//! Labels and the traffic that follows them.

use std::path::Path;

use taper::proto::v1;
use tonic::Code;

use crate::harness::{TestGateway, fields, good, reason, rows};
use crate::tiny;

fn three(root: &Path) {
    (1..=2).for_each(|version| tiny::publish(root, "m", version));
    // Its golden answer is 3, and it answers 30.
    tiny::publish_with(root, "m", 3, |manifest| {
        manifest["golden"][0]["answer"] = serde_json::json!([30]);
    });
}

const CANARY: &str =
    "[models.m]\nlabels = { stable = 1, canary = 2 }\nsplit = { stable = 9000, canary = 1000 }";

fn set(label: &str, version: u64) -> v1::SetLabelRequest {
    v1::SetLabelRequest {
        model: "m".into(),
        label: label.into(),
        version,
        terms: None,
    }
}

fn promote(label: &str) -> v1::PromoteRequest {
    v1::PromoteRequest {
        model: "m".into(),
        label: label.into(),
        ..Default::default()
    }
}

async fn get(gateway: &mut TestGateway) -> v1::GetModelResponse {
    let request = v1::GetModelRequest { model: "m".into() };
    let got = gateway.admin.get_model(request).await;
    got.expect("model").into_inner()
}

/// Returns the versions that answer a hundred requests.
async fn answering_version(gateway: &mut TestGateway) -> Vec<u64> {
    let mut versions = Vec::new();
    for _ in 0..100 {
        let answer = gateway.predict(rows("m", [good()])).await.expect("answer");
        versions.push(answer.version);
    }
    versions.sort_unstable();
    versions.dedup();
    versions
}

#[tokio::test]
async fn moving_a_label_moves_its_traffic() {
    let mut gateway = TestGateway::start(
        "[models.m]\nlabels = { stable = 1 }\nsplit = { stable = 10000 }",
        three,
    )
    .await;
    assert_eq!(answering_version(&mut gateway).await, [1]);
    let moved = gateway
        .admin
        .set_label(set("stable", 2))
        .await
        .expect("moved")
        .into_inner();
    let [difference] = &moved.differences[..] else {
        panic!("one difference: {moved:?}")
    };
    assert_eq!(
        (&*difference.field, &*difference.before, &*difference.after),
        ("labels.stable", "1", "2")
    );
    assert_eq!(answering_version(&mut gateway).await, [2]);
    let model = get(&mut gateway).await;
    assert_eq!(model.revision, moved.revision);
    assert_eq!(model.labels["stable"], 2);
    assert_eq!(
        model.labels["latest"], 2,
        "the highest READY version, whatever FAILED above it"
    );
    gateway.drain().await;
}

#[tokio::test]
async fn promoting_is_one_change_and_one_undo_reverts_it() {
    let mut gateway = TestGateway::start(CANARY, three).await;
    let before = get(&mut gateway).await;
    let promoted = gateway
        .admin
        .promote(promote("canary"))
        .await
        .expect("promoted")
        .into_inner();
    assert_eq!(promoted.revision, before.revision + 1);
    let fields: Vec<_> = promoted
        .differences
        .iter()
        .map(|difference| &*difference.field)
        .collect();
    assert_eq!(fields, ["labels.stable", "split[canary]", "split[stable]"]);
    assert_eq!(answering_version(&mut gateway).await, [2]);
    let request = v1::UndoRequest {
        model: "m".into(),
        terms: None,
    };
    let undone = gateway
        .admin
        .undo(request)
        .await
        .expect("undone")
        .into_inner();
    assert_eq!(undone.revision, promoted.revision + 1);
    let model = get(&mut gateway).await;
    assert_eq!(model.labels, before.labels);
    assert_eq!(answering_version(&mut gateway).await, [1, 2]);
    gateway.drain().await;
}

#[tokio::test]
async fn a_dry_run_returns_the_differences_and_changes_nothing() {
    let mut gateway = TestGateway::start(CANARY, three).await;
    let before = get(&mut gateway).await;
    let request = v1::PromoteRequest {
        terms: Some(v1::ChangeTerms {
            dry_run: true,
            ..Default::default()
        }),
        ..promote("canary")
    };
    let answer = gateway
        .admin
        .promote(request)
        .await
        .expect("answer")
        .into_inner();
    assert_eq!(answer.revision, before.revision);
    assert_eq!(answer.differences.len(), 3, "{answer:?}");
    let after = get(&mut gateway).await;
    assert_eq!(
        (after.revision, after.labels),
        (before.revision, before.labels)
    );
    let history = gateway
        .admin
        .list_revisions(v1::ListRevisionsRequest::default())
        .await;
    assert_eq!(history.expect("history").into_inner().revisions.len(), 1);
    gateway.drain().await;
}

#[tokio::test]
async fn invalid_labels_are_refused_by_field() {
    let mut gateway = TestGateway::start(CANARY, three).await;
    let before = get(&mut gateway).await;
    for (request, code, why, field) in [
        (
            set("latest", 1),
            Code::InvalidArgument,
            "INVALID_CHANGE",
            "label",
        ),
        (
            set("12", 1),
            Code::InvalidArgument,
            "INVALID_CHANGE",
            "label",
        ),
        (set("", 1), Code::InvalidArgument, "INVALID_CHANGE", "label"),
        (
            set("stable", 0),
            Code::InvalidArgument,
            "INVALID_CHANGE",
            "version",
        ),
        (
            set("stable", 9),
            Code::NotFound,
            "UNKNOWN_VERSION",
            "version",
        ),
        (
            v1::SetLabelRequest {
                model: "nobody".into(),
                ..set("stable", 1)
            },
            Code::NotFound,
            "UNKNOWN_MODEL",
            "model",
        ),
    ] {
        let status = gateway.admin.set_label(request).await.expect_err(why);
        assert_eq!(
            (status.code(), &*reason(&status)),
            (code, why),
            "{status:?}"
        );
        assert_eq!(fields(&status), [field], "{status:?}");
    }
    let status = gateway
        .admin
        .set_label(set("stable", 3))
        .await
        .expect_err("not READY");
    assert_eq!(reason(&status), "VERSION_NOT_READY", "{status:?}");
    assert!(
        status.message().contains("wants 30"),
        "says why: {status:?}"
    );
    let status = gateway
        .admin
        .promote(promote("nobody"))
        .await
        .expect_err("no such label");
    assert_eq!(reason(&status), "UNKNOWN_LABEL", "{status:?}");
    let delete = |label: &str| v1::DeleteLabelRequest {
        model: "m".into(),
        label: label.into(),
        terms: None,
    };
    let status = gateway
        .admin
        .delete_label(delete("nobody"))
        .await
        .expect_err("no such label");
    assert_eq!(reason(&status), "UNKNOWN_LABEL", "{status:?}");
    let status = gateway
        .admin
        .delete_label(delete("canary"))
        .await
        .expect_err("held");
    assert_eq!(reason(&status), "VERSION_HELD", "{status:?}");
    assert!(
        status.message().contains("the split"),
        "says by whom: {status:?}"
    );
    let after = get(&mut gateway).await;
    assert_eq!(
        (after.revision, after.labels),
        (before.revision, before.labels)
    );
    gateway
        .admin
        .promote(promote("canary"))
        .await
        .expect("promoted");
    gateway
        .admin
        .delete_label(delete("canary"))
        .await
        .expect("nothing refers to it");
    assert!(!get(&mut gateway).await.labels.contains_key("canary"));
    gateway.drain().await;
}

#[tokio::test]
async fn change_terms_beyond_their_limits_are_refused_by_field() {
    let mut gateway = TestGateway::start(CANARY, three).await;
    let within = |seconds, nanos| v1::ChangeTerms {
        confirm_within: Some(prost_types::Duration { seconds, nanos }),
        ..Default::default()
    };
    for (terms, field) in [
        (
            v1::ChangeTerms {
                actor: "a".repeat(129),
                ..Default::default()
            },
            "terms.actor",
        ),
        (
            v1::ChangeTerms {
                reason: "one\ntwo".into(),
                ..Default::default()
            },
            "terms.reason",
        ),
        (within(-5, 0), "terms.confirm_within"),
        (within(0, 0), "terms.confirm_within"),
        (within(0, 999_999_999), "terms.confirm_within"),
        (within(1, 1_000_000_000), "terms.confirm_within"),
        (within(24 * 3600, 1), "terms.confirm_within"),
    ] {
        let request = v1::SetLabelRequest {
            terms: Some(terms.clone()),
            ..set("canary", 1)
        };
        let status = gateway.admin.set_label(request).await.expect_err(field);
        assert_eq!(reason(&status), "INVALID_CHANGE", "{terms:?}");
        assert_eq!(fields(&status), [field], "{terms:?}");
    }
    gateway.drain().await;
}
