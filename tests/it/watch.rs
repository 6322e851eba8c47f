//! Watches of changes and states.

use std::fs;
use std::path::Path;

use taper::proto::v1;
use taper::proto::v1::watch_response::Event;
use tonic::{Status, Streaming};

use crate::harness::{TestGateway, ends, fields, reason};
use crate::tiny;

type Events = Streaming<v1::WatchResponse>;

fn two_models(root: &Path) {
    (1..=2).for_each(|version| tiny::publish(root, "m", version));
    tiny::publish(root, "other", 1);
}

async fn watch(
    gateway: &mut TestGateway,
    model: &str,
    after_revision: Option<u64>,
) -> Result<Events, Status> {
    let request = v1::WatchRequest {
        model: model.into(),
        after_revision,
    };
    Ok(gateway.admin.watch(request).await?.into_inner())
}

async fn label(gateway: &mut TestGateway, model: &str, version: u64) {
    let request = v1::SetLabelRequest {
        model: model.into(),
        label: "stable".into(),
        version,
        terms: None,
    };
    gateway.admin.set_label(request).await.expect("changed");
}

async fn next(events: &mut Events) -> Event {
    let event = ends("an event", events.message()).await;
    event
        .expect("no error")
        .expect("no end")
        .event
        .expect("an event")
}

/// Describes an event, such as `change 3 of m`, `state of m at 3` or `m is gone`.
fn describe(event: &Event) -> String {
    match event {
        Event::Change(change) => format!("change {} of {}", change.revision, change.model),
        Event::Model(model) => format!("state of {} at {}", model.model, model.revision),
        Event::Gone(model) => format!("{model} is gone"),
    }
}

#[tokio::test]
async fn a_watch_begins_with_missed_changes_and_continues_with_new_ones() {
    let mut gateway = TestGateway::start("", two_models).await;
    label(&mut gateway, "m", 1).await;
    label(&mut gateway, "other", 1).await;
    label(&mut gateway, "m", 2).await;
    let mut events = watch(&mut gateway, "", Some(3)).await.expect("watch");
    for want in [
        "change 4 of other",
        "change 5 of m",
        "state of m at 5",
        "state of other at 4",
    ] {
        assert_eq!(describe(&next(&mut events).await), want);
    }
    label(&mut gateway, "m", 1).await;
    let Event::Change(change) = next(&mut events).await else {
        panic!("the change comes before the state that follows from it")
    };
    assert_eq!((change.revision, &*change.differences[0].after), (6, "1"));
    let Event::Model(model) = next(&mut events).await else {
        panic!("the state follows")
    };
    assert_eq!((model.revision, model.labels["stable"]), (6, 1));
    gateway.drain().await;
}

#[tokio::test]
async fn a_watch_without_a_revision_reports_new_changes_only_and_can_select_one_model() {
    let mut gateway = TestGateway::start("", two_models).await;
    label(&mut gateway, "m", 1).await;
    let mut all = watch(&mut gateway, "", None).await.expect("watch");
    let mut other = watch(&mut gateway, "other", Some(0)).await.expect("watch");
    for want in ["state of m at 3", "state of other at 2"] {
        assert_eq!(describe(&next(&mut all).await), want);
    }
    for want in ["change 2 of other", "state of other at 2"] {
        assert_eq!(describe(&next(&mut other).await), want);
    }
    label(&mut gateway, "m", 2).await;
    label(&mut gateway, "other", 1).await;
    for want in ["change 5 of other", "state of other at 5"] {
        assert_eq!(describe(&next(&mut other).await), want);
    }
    let status = watch(&mut gateway, "nobody", None)
        .await
        .expect_err("unknown");
    assert_eq!(reason(&status), "UNKNOWN_MODEL");
    let status = watch(&mut gateway, "", Some(9)).await.expect_err("not yet");
    assert_eq!(
        (&*reason(&status), fields(&status)),
        ("INVALID_CHANGE", vec!["after_revision".to_owned()])
    );
    gateway.drain().await;
}

#[tokio::test]
async fn a_slow_reader_gets_every_change_and_the_newest_state() {
    // All states together exceed the buffers of the transport while the client does not read.
    let mut gateway = TestGateway::start("", |root| {
        (1..=2).for_each(|version| {
            tiny::publish_with(root, "m", version, |manifest| {
                manifest["description"] = "x".repeat(20_000).into();
            });
        });
    })
    .await;
    let mut events = watch(&mut gateway, "m", Some(1)).await.expect("watch");
    assert_eq!(describe(&next(&mut events).await), "state of m at 1");
    let changes = 500;
    for change in 1..=changes {
        label(&mut gateway, "m", change % 2 + 1).await;
    }
    let (mut known, mut states) = (1, 0);
    loop {
        match next(&mut events).await {
            Event::Change(change) => {
                assert_eq!(change.revision, known + 1, "in order, and none is missing");
                known = change.revision;
            }
            Event::Model(model) => {
                states += 1;
                assert!(
                    model.revision <= known,
                    "no state before the change that it follows from"
                );
                if model.revision == changes + 1 {
                    break;
                }
            }
            Event::Gone(model) => panic!("{model} is not gone"),
        }
    }
    assert_eq!(known, changes + 1);
    assert!(states < changes, "{states} states were sent one by one");
    gateway.drain().await;
}

#[tokio::test]
async fn new_versions_and_removed_models_are_reported() {
    let mut gateway = TestGateway::start("[watch]\npoll_ms = 100", |root| {
        tiny::publish(root, "m", 2);
        // A version that answers would stay for its clients.
        tiny::publish_with(root, "other", 1, |manifest| manifest["version"] = 9.into());
    })
    .await;
    let mut events = watch(&mut gateway, "", None).await.expect("watch");
    for want in ["state of m at 1", "state of other at 0"] {
        assert_eq!(describe(&next(&mut events).await), want);
    }
    tiny::publish(&gateway.models(), "m", 3);
    loop {
        if let Event::Model(model) = next(&mut events).await
            && model.labels["latest"] == 3
        {
            break;
        }
    }
    fs::remove_dir_all(gateway.models().join("other")).expect("removed");
    loop {
        match next(&mut events).await {
            Event::Gone(model) => break assert_eq!(model, "other"),
            Event::Model(_) => {}
            Event::Change(change) => panic!("unexpected change: {change:?}"),
        }
    }
    gateway.drain().await;
}

#[tokio::test]
async fn a_watcher_beyond_the_limit_is_refused_until_another_one_ends() {
    let mut gateway = TestGateway::start("", two_models).await;
    let mut watchers = Vec::new();
    for _ in 0..64 {
        watchers.push(watch(&mut gateway, "", None).await.expect("watch"));
    }
    let status = watch(&mut gateway, "", None)
        .await
        .expect_err("one too many");
    assert_eq!(reason(&status), "OVERLOADED");
    assert!(
        status.message().contains("too many watchers (limit 64)"),
        "{status:?}"
    );
    watchers.pop();
    let admin = gateway.admin.clone();
    crate::harness::eventually("a free watcher", || {
        let mut admin = admin.clone();
        async move { admin.watch(v1::WatchRequest::default()).await.ok() }
    })
    .await;
    gateway.drain().await;
}

#[tokio::test]
async fn a_watch_cannot_resume_from_a_revision_that_was_removed() {
    let mut gateway = TestGateway::start("", two_models).await;
    let mut changes = 0;
    // At least a thousand changes of one model are kept. The store decides how many more.
    let status = loop {
        assert!(changes < 5_000, "nothing is given up");
        for _ in 0..250 {
            label(&mut gateway, "m", changes % 2 + 1).await;
            changes += 1;
        }
        if changes > 1_000
            && let Err(status) = watch(&mut gateway, "", Some(0)).await
        {
            break status;
        }
    };
    assert_eq!(
        (status.code(), &*reason(&status)),
        (tonic::Code::OutOfRange, "REVISION_COMPACTED")
    );
    let mut events = watch(&mut gateway, "", Some(changes + 1))
        .await
        .expect("the newest are kept");
    assert_eq!(
        describe(&next(&mut events).await),
        format!("change {} of m", changes + 2)
    );
    gateway.drain().await;
}

#[tokio::test]
async fn watchers_do_not_delay_the_drain_and_are_notified() {
    let mut gateway = TestGateway::start("", two_models).await;
    let mut events = watch(&mut gateway, "m", None).await.expect("watch");
    assert_eq!(describe(&next(&mut events).await), "state of m at 1");
    let drained = tokio::task::spawn(gateway.drain());
    let status = events.message().await.expect_err("the end");
    assert_eq!(reason(&status), "DRAINING", "{status:?}");
    drained.await.expect("drained");
}
