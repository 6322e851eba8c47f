//! The start, and the lifecycle of versions.

use super::*;
use crate::control::state::State;

#[tokio::test]
async fn a_failed_version_is_retried_on_request_after_its_folder_is_repaired() {
    let registry = TestRegistry::of_m(&[1]);
    let mut broken = samples::document("m", 2);
    broken["golden"][0]["answer"] = serde_json::json!([0.25]);
    registry.add(2, &broken);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (control, writer, events) = TestWriter::over(store).start(&registry).await;
    let view = control.view();
    let failed = &view.models["m"].versions[&v(2)];
    assert_eq!((failed.state, failed.failures), (State::Failed, 1));
    assert!(
        failed
            .faults
            .as_ref()
            .unwrap()
            .to_string()
            .contains("golden")
    );
    let _running = run([writer]);
    let author = Author::default;
    let refused = control.retry("m".into(), 1, author()).await;
    assert_eq!(refused.unwrap_err().reason(), "NOTHING_TO_CHANGE");
    let unknown = control.retry("m".into(), 9, author()).await;
    assert_eq!(unknown.unwrap_err().reason(), "UNKNOWN_VERSION");
    // It is also retried by itself, and is not FAILED meanwhile.
    let mut retried = control.retry("m".into(), 2, author()).await;
    while retried.is_err() {
        wait_for(&control, "the failure", |m| {
            m.versions[&v(2)].state == State::Failed
        })
        .await;
        retried = control.retry("m".into(), 2, author()).await;
    }
    wait_for(&control, "the second failure", |m| {
        m.versions[&v(2)].failures > 1
    })
    .await;
    registry.add(2, &samples::document("m", 2));
    events
        .send(Event::Listed(registry.listing()))
        .await
        .unwrap();
    wait_for(&control, "the repaired version", |m| {
        m.versions[&v(2)].state == State::Ready
    })
    .await;
}

#[tokio::test]
async fn an_unloaded_version_is_drained_and_retired() {
    let registry = TestRegistry::of_m(&[1, 2]);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (control, writer, _events) = TestWriter::over(store).start(&registry).await;
    let live = writer.live();
    let _running = run([writer]);
    let request = live.snapshot();
    change(&control, Edit::Unload(1), options(None))
        .await
        .unwrap();
    assert!(!live.snapshot().models["m"].ready.contains_key(&v(1)));
    assert_eq!(
        control.view().models["m"].versions[&v(1)].state,
        State::Draining
    );
    drop(request);
    wait_for(&control, "the release", |m| {
        m.versions[&v(1)].state == State::Retired
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_configuration_sets_the_initial_state_and_the_store_wins_later() {
    let registry = TestRegistry::of_m(&[1, 2]);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let start = async |label, version| {
        let writer = TestWriter {
            settings: settings_with_label(label, version),
            ..TestWriter::over(Arc::clone(&store))
        };
        let (_, mut writer, _events) = writer.build();
        let started = writer.start(&registry.listing(), StartMode::Serve).await;
        started.map(|()| writer.live().snapshot().models["m"].labels.clone())
    };
    let faults = start("stable", 3).await.unwrap_err().to_string();
    let expected = "$.models.m.labels.stable: label `stable` names version 3, which is not READY";
    assert!(faults.contains(expected), "{faults}");
    assert!(history(&*store).await.is_empty());
    for (label, version) in [("stable", 1), ("other", 2)] {
        let labels = start(label, version).await.unwrap();
        assert_eq!(
            (labels.get("stable"), labels.get("other")),
            (Some(&v(1)), None),
            "{label}"
        );
        assert_eq!(
            revisions_and_actions(&history(&*store).await),
            [(1, "configure")]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_older_than_the_audit_log_prevents_the_start() {
    let (registry, dir) = (TestRegistry::of_m(&[1]), tempfile::tempdir().unwrap());
    let writer = |store| TestWriter {
        audit: Some(dir.path().to_owned()),
        ..TestWriter::over(store)
    };
    let (control, first, _events) = writer(Arc::new(MemoryStore::default()))
        .start(&registry)
        .await;
    let running = run([first]);
    change(&control, move_label("stable", 1), options(None))
        .await
        .unwrap();
    drop(running);
    let (_, mut second, _events) = writer(Arc::new(MemoryStore::default())).build();
    let faults = second
        .start(&registry.listing(), StartMode::Serve)
        .await
        .unwrap_err();
    let expected = "the audit log ends with revision 2, and the store with revision 0";
    assert!(faults.to_string().contains(expected), "{faults}");
}
