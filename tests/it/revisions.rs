//! The history of changes with actor and reason, and undo and rollback.

use std::path::Path;

use taper::proto::v1;
use tonic::Status;
use tonic_types::StatusExt;

use crate::confirm::{long_ago, revert_at};
use crate::harness::{TestGateway, eventually, expecting_revision, fields, good, reason, rows};
use crate::tiny;

fn two(root: &Path) {
    (1..=2).for_each(|version| tiny::publish(root, "m", version));
    tiny::publish(root, "other", 1);
}

async fn label(
    gateway: &mut TestGateway,
    name: &str,
    version: u64,
    terms: v1::ChangeTerms,
) -> Result<u64, Status> {
    let request = v1::SetLabelRequest {
        model: "m".into(),
        label: name.into(),
        version,
        terms: Some(terms),
    };
    let changed = gateway.admin.set_label(request).await?;
    Ok(changed.into_inner().revision)
}

async fn labels(gateway: &mut TestGateway) -> Vec<(String, u64)> {
    let request = v1::GetModelRequest { model: "m".into() };
    let model = gateway
        .admin
        .get_model(request)
        .await
        .expect("model")
        .into_inner();
    let mut labels: Vec<_> = model
        .labels
        .into_iter()
        .filter(|(name, _)| name != "latest")
        .collect();
    labels.sort();
    labels
}

async fn history(
    gateway: &mut TestGateway,
    request: v1::ListRevisionsRequest,
) -> Vec<v1::Revision> {
    let listed = gateway.admin.list_revisions(request).await;
    listed.expect("history").into_inner().revisions
}

async fn undo(gateway: &mut TestGateway) -> Result<u64, Status> {
    let request = v1::UndoRequest {
        model: "m".into(),
        terms: None,
    };
    Ok(gateway.admin.undo(request).await?.into_inner().revision)
}

fn named(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    pairs
        .iter()
        .map(|(name, version)| ((*name).to_owned(), *version))
        .collect()
}

#[tokio::test]
async fn the_history_lists_actor_change_and_reason_newest_first() {
    let mut gateway = TestGateway::start("", two).await;
    let terms = v1::ChangeTerms {
        actor: "ann".into(),
        reason: "the new one is better".into(),
        ..Default::default()
    };
    label(&mut gateway, "stable", 1, v1::ChangeTerms::default())
        .await
        .expect("first");
    label(&mut gateway, "stable", 2, terms)
        .await
        .expect("second");
    let all = history(&mut gateway, v1::ListRevisionsRequest::default()).await;
    let [second, first, ..] = &all[..] else {
        panic!("two changes and the first versions: {all:?}")
    };
    assert_eq!((second.revision, first.revision), (4, 3));
    assert_eq!(
        (&*second.actor, &*second.reason),
        ("ann", "the new one is better")
    );
    assert!(
        first.actor.starts_with("127.0.0.1:"),
        "called by the address: {first:?}"
    );
    assert_eq!(second.action, "move label stable to 2");
    assert_eq!((second.undoes_to, first.undoes_to), (3, 1));
    assert!(second.time.is_some() && second.policy.is_some());
    assert_eq!(second.labels["stable"], 2);
    let [difference] = &second.differences[..] else {
        panic!("one difference: {second:?}")
    };
    assert_eq!(
        (&*difference.field, &*difference.before, &*difference.after),
        ("labels.stable", "1", "2")
    );
    assert_eq!(first.differences[0].before, "", "there was nothing before");
    gateway.drain().await;
}

#[tokio::test]
async fn the_history_can_be_paged_and_filtered_by_model() {
    let mut gateway = TestGateway::start("", two).await;
    for change in 0..5 {
        label(
            &mut gateway,
            "stable",
            change % 2 + 1,
            v1::ChangeTerms::default(),
        )
        .await
        .expect("changed");
    }
    let other = v1::SetLabelRequest {
        model: "other".into(),
        label: "stable".into(),
        version: 1,
        terms: None,
    };
    gateway.admin.set_label(other).await.expect("changed");
    let page = |model: &str, before_revision, limit| v1::ListRevisionsRequest {
        model: model.into(),
        before_revision,
        limit,
    };
    for (request, want) in [
        (page("", 0, 0), vec![8, 7, 6, 5, 4, 3, 2, 1]),
        (page("m", 0, 2), vec![7, 6]),
        (page("m", 6, 2), vec![5, 4]),
        (page("m", 4, 2), vec![3, 1]),
        (page("m", 3, 2), vec![1]),
        (page("other", 0, 1000), vec![8, 2]),
    ] {
        let request_text = format!("{request:?}");
        let got: Vec<_> = history(&mut gateway, request)
            .await
            .iter()
            .map(|one| one.revision)
            .collect();
        assert_eq!(got, want, "{request_text}");
    }
    let status = gateway
        .admin
        .list_revisions(page("", 0, 1001))
        .await
        .expect_err("too long");
    assert_eq!(
        (&*reason(&status), fields(&status)),
        ("INVALID_CHANGE", vec!["limit".to_owned()])
    );
    let status = gateway
        .admin
        .list_revisions(page("nobody", 0, 0))
        .await
        .expect_err("unknown");
    assert_eq!(reason(&status), "UNKNOWN_MODEL");
    gateway.drain().await;
}

#[tokio::test]
async fn undo_reverts_one_change_after_another_and_rollback_restores_any_revision() {
    let mut gateway = TestGateway::start("", two).await;
    let status = undo(&mut gateway)
        .await
        .expect_err("nothing was changed yet");
    assert_eq!(reason(&status), "NOTHING_TO_CHANGE");
    label(&mut gateway, "a", 1, v1::ChangeTerms::default())
        .await
        .expect("first");
    label(&mut gateway, "b", 1, v1::ChangeTerms::default())
        .await
        .expect("second");
    label(&mut gateway, "a", 2, v1::ChangeTerms::default())
        .await
        .expect("third");
    undo(&mut gateway).await.expect("the third");
    assert_eq!(labels(&mut gateway).await, named(&[("a", 1), ("b", 1)]));
    undo(&mut gateway).await.expect("the second");
    assert_eq!(labels(&mut gateway).await, named(&[("a", 1)]));
    undo(&mut gateway).await.expect("the first");
    assert_eq!(labels(&mut gateway).await, []);
    let back = |revision| v1::RollbackToRequest {
        model: "m".into(),
        revision,
        terms: None,
    };
    let rolled_back = gateway.admin.rollback_to(back(5)).await.expect("all three");
    assert_eq!(rolled_back.into_inner().restores, Some(5));
    assert_eq!(labels(&mut gateway).await, named(&[("a", 2), ("b", 1)]));
    undo(&mut gateway).await.expect("the rollback");
    assert_eq!(labels(&mut gateway).await, []);
    gateway.admin.rollback_to(back(5)).await.expect("again");
    gateway
        .admin
        .rollback_to(back(1))
        .await
        .expect("the beginning");
    assert_eq!(labels(&mut gateway).await, []);
    let status = gateway
        .admin
        .rollback_to(back(0))
        .await
        .expect_err("before the first version, nothing decided the traffic");
    assert_eq!(reason(&status), "NOTHING_TO_CHANGE", "{status:?}");
    let status = gateway
        .admin
        .rollback_to(back(99))
        .await
        .expect_err("not there");
    assert_eq!(reason(&status), "UNKNOWN_REVISION", "{status:?}");
    assert!(
        status.message().contains("99"),
        "names the revision: {status:?}"
    );
    gateway.drain().await;
}

#[tokio::test]
async fn a_change_that_expects_another_revision_is_refused_with_the_current_one() {
    let mut gateway = TestGateway::start("", two).await;
    label(&mut gateway, "a", 1, expecting_revision(0).expect("terms"))
        .await
        .expect("from the beginning");
    let status = label(&mut gateway, "a", 2, expecting_revision(0).expect("terms"))
        .await
        .expect_err("too late");
    assert_eq!(reason(&status), "REVISION_CONFLICT");
    let info = status.get_details_error_info().expect("info");
    assert_eq!(info.metadata["current_revision"], "3");
    label(&mut gateway, "a", 2, expecting_revision(3).expect("terms"))
        .await
        .expect("read again");
    gateway.drain().await;
}

#[tokio::test]
async fn an_unconfirmed_change_reverts_and_a_confirmed_one_stays() {
    let mut gateway = TestGateway::start("", two).await;
    let within = |seconds| v1::ChangeTerms {
        confirm_within: Some(prost_types::Duration { seconds, nanos: 0 }),
        ..Default::default()
    };
    let confirm = || v1::ConfirmRequest {
        model: "m".into(),
        terms: None,
    };
    let status = gateway
        .admin
        .confirm(confirm())
        .await
        .expect_err("no change is pending");
    assert_eq!(reason(&status), "NOTHING_TO_CHANGE");
    label(&mut gateway, "a", 1, v1::ChangeTerms::default())
        .await
        .expect("for good");
    label(&mut gateway, "a", 2, within(3600))
        .await
        .expect("for an hour");
    let request = v1::GetModelRequest { model: "m".into() };
    let model = gateway
        .admin
        .get_model(request)
        .await
        .expect("model")
        .into_inner();
    assert!(model.confirm_by.is_some(), "{model:?}");
    let status = label(&mut gateway, "b", 1, v1::ChangeTerms::default())
        .await
        .expect_err("not now");
    assert_eq!(reason(&status), "UNCONFIRMED_CHANGE", "{status:?}");
    let dir = gateway.drain_and_keep().await;
    revert_at(dir.path(), 4, long_ago());
    let mut gateway = TestGateway::over(dir, "").await;
    let admin = gateway.admin.clone();
    let reverted = eventually("the revert", || {
        let mut admin = admin.clone();
        async move {
            let request = v1::ListRevisionsRequest::default();
            let listed = admin
                .list_revisions(request)
                .await
                .expect("history")
                .into_inner();
            listed.revisions.into_iter().find(|one| one.revision == 5)
        }
    })
    .await;
    assert_eq!(
        (&*reverted.action, &*reverted.actor),
        ("revert to revision 3", "taper")
    );
    assert_eq!(labels(&mut gateway).await, named(&[("a", 1)]));
    label(&mut gateway, "a", 2, within(3600))
        .await
        .expect("for an hour");
    gateway.admin.confirm(confirm()).await.expect("kept");
    let request = v1::GetModelRequest { model: "m".into() };
    let model = gateway
        .admin
        .get_model(request)
        .await
        .expect("model")
        .into_inner();
    assert_eq!((model.confirm_by, model.labels["a"]), (None, 2));
    assert_eq!(
        gateway
            .predict(rows("m", [good()]))
            .await
            .expect("answer")
            .version,
        2
    );
    gateway.drain().await;
}
