//! Versions whose files are replaced after they were READY.

use super::*;
use crate::control::state::State;
use crate::control::view::VersionView;

/// The sample document of a version with another description: another content under the same number.
fn changed(version: u64) -> serde_json::Value {
    let mut document = samples::document("m", version);
    document["description"] = "changed".into();
    document
}

fn description(version: &VersionView) -> Option<&str> {
    let manifest = version.manifest.as_ref()?;
    manifest.about.description.as_deref()
}

#[tokio::test]
async fn files_that_are_replaced_are_noticed_and_the_version_answers_until_they_are_accepted() {
    let registry = TestRegistry::of_m(&[1, 2]);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (control, writer, events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let _running = run([writer]);
    let accept = async |version| change(&control, Edit::Accept(version), options(None)).await;
    assert_eq!(accept(1).await.unwrap_err().reason(), "NOTHING_TO_CHANGE");
    let list = async || {
        let listed = Event::Listed(registry.listing());
        events.send(listed).await.unwrap();
    };
    registry.add(1, &changed(1));
    list().await;
    wait_for(&control, "the replacement", |m| {
        m.versions[&v(1)].replaced.is_some()
    })
    .await;
    let view = control.view();
    let problem = view.models["m"].problem.as_deref().unwrap();
    assert!(
        problem.contains("taper versions accept 1 --model m"),
        "{problem}"
    );
    assert_ne!(
        description(&view.models["m"].versions[&v(1)]),
        Some("changed")
    );

    // Back as they were: nothing is wrong any more.
    registry.add(1, &samples::document("m", 1));
    list().await;
    wait_for(&control, "the repair", |m| m.problem.is_none()).await;

    registry.add(1, &changed(1));
    list().await;
    wait_for(&control, "the replacement", |m| m.problem.is_some()).await;
    assert_eq!(accept(1).await.unwrap(), 2);
    wait_for(&control, "the accepted files", |m| {
        let version = &m.versions[&v(1)];
        version.state == State::Ready && description(version) == Some("changed")
    })
    .await;
    assert_eq!(control.view().models["m"].problem, None);
}

#[tokio::test]
async fn a_version_that_was_replaced_while_the_gateway_was_down_is_refused_until_it_is_accepted() {
    let registry = TestRegistry::of_m(&[1, 2]);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let start = async || TestWriter::over(Arc::clone(&store)).start(&registry).await;
    drop(start().await);
    registry.add(1, &changed(1));
    let (control, writer, _events) = start().await;
    let view = control.view();
    let refused = &view.models["m"].versions[&v(1)];
    assert_eq!(refused.state, State::Failed);
    let why = refused.faults.as_ref().unwrap().to_string();
    for part in ["metadata.json: was replaced", "taper versions accept 1"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    assert_eq!(
        view.models["m"].versions[&v(2)].state,
        State::Ready,
        "others serve"
    );
    let _running = run([writer]);
    change(&control, Edit::Accept(1), options(None))
        .await
        .unwrap();
    wait_for(&control, "the accepted version", |m| {
        m.versions[&v(1)].state == State::Ready
    })
    .await;
    let records = history(&*store).await;
    let action = "accept the files of version 1";
    assert_eq!(records.last().unwrap().action, action);
    assert_eq!(records.last().unwrap().wanted.accepted.len(), 1);
    // The next start takes them as well.
    let (control, _writer, _events) = start().await;
    assert_eq!(
        control.view().models["m"].versions[&v(1)].state,
        State::Ready
    );
}

#[tokio::test]
async fn the_number_of_a_version_that_was_removed_may_be_used_again() {
    let registry = TestRegistry::of_m(&[1, 2]);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (control, writer, events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let _running = run([writer]);
    registry.remove(1);
    let listed = || Event::Listed(registry.listing());
    events.send(listed()).await.unwrap();
    wait_for(&control, "the removal", |m| !m.versions.contains_key(&v(1))).await;
    registry.add(1, &changed(1));
    events.send(listed()).await.unwrap();
    wait_for(&control, "the new version", |m| {
        let version = m.versions.get(&v(1));
        version.is_some_and(|version| version.state == State::Ready)
    })
    .await;
}
