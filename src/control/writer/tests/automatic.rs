//! The changes that taper makes itself, and models that go away.

use super::*;
use crate::control::state::State;
use crate::ident::RawTarget;
use crate::registry::Listing;

/// A policy that follows the newest version.
fn follow_latest() -> Edit {
    Edit::SetPolicy(RawPolicy::everything_to(RawTarget::Label("latest".into())))
}

/// Publishes a version and waits until it is READY.
async fn push(
    version: u64,
    registry: &TestRegistry,
    control: &Control,
    events: &tokio::sync::mpsc::Sender<Event>,
) {
    registry.add(version, &samples::document("m", version));
    let listed = Event::Listed(registry.listing());
    events.send(listed).await.unwrap();
    wait_for(control, "the version", |m| {
        let version = m.versions.get(&v(version));
        version.is_some_and(|version| version.state == State::Ready)
    })
    .await;
}

/// The one version that gets everything.
fn only_target(writer_live: &crate::serving::live::Live) -> u64 {
    let routing = writer_live.snapshot().models["m"].routing.clone().unwrap();
    let shares = routing.shares();
    assert_eq!(shares.len(), 1, "{shares:?}");
    shares[0].0.get()
}

#[tokio::test]
async fn a_later_version_gets_no_traffic_and_no_revision() {
    let registry = TestRegistry::of_m(&[1, 2]);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (control, writer, events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let live = writer.live();
    let _running = run([writer]);
    assert_eq!(only_target(&live), 2);
    push(3, &registry, &control, &events).await;
    assert_eq!(only_target(&live), 2);
    let records = history(&*store).await;
    assert_eq!(revisions_and_actions(&records), [(1, "first version 2")]);
    assert_eq!(records[0].author.actor, "taper");
}

#[tokio::test]
async fn latest_is_followed_by_revisions_and_an_undo_holds() {
    let registry = TestRegistry::of_m(&[1]);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (control, writer, events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let live = writer.live();
    let _running = run([writer]);
    change(&control, follow_latest(), options(None))
        .await
        .unwrap();
    push(2, &registry, &control, &events).await;
    assert_eq!(only_target(&live), 2);
    let records = history(&*store).await;
    let expected = [
        (1, "first version 1"),
        (2, "set policy"),
        (3, "move label latest to 2"),
    ];
    assert_eq!(revisions_and_actions(&records), expected);
    let undone = control
        .change("m".into(), Edit::Undo, options(None))
        .await
        .unwrap();
    let changed = &undone.differences[0];
    assert_eq!(
        (
            changed.field.as_str(),
            changed.before.as_str(),
            changed.after.as_str()
        ),
        ("labels.latest", "2", "1")
    );
    assert_eq!(only_target(&live), 1);
    // Something else happens: the version that was undone is not followed again.
    change(&control, move_label("canary", 2), options(None))
        .await
        .unwrap();
    assert_eq!(only_target(&live), 1);
    push(3, &registry, &control, &events).await;
    assert_eq!(only_target(&live), 3);
}

#[tokio::test]
async fn a_restart_keeps_the_first_version_and_the_configuration_still_applies() {
    let registry = TestRegistry::of_m(&[1]);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (_, writer, _events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    drop(writer);
    registry.add(2, &samples::document("m", 2));
    let (_, writer, _events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    assert_eq!(only_target(&writer.live()), 1);
    drop(writer);
    let configured = TestWriter {
        settings: settings_with_label("canary", 2),
        ..TestWriter::over(Arc::clone(&store))
    };
    let (control, writer, _events) = configured.start(&registry).await;
    assert_eq!(only_target(&writer.live()), 1, "no split is configured");
    assert_eq!(control.view().models["m"].labels["canary"], v(2));
    let records = history(&*store).await;
    let expected = [(1, "first version 1"), (2, "configure")];
    assert_eq!(revisions_and_actions(&records), expected);
    assert_eq!(records[1].base, Revision(1));
}

#[tokio::test]
async fn a_configured_split_that_follows_latest_is_one_revision() {
    let registry = TestRegistry::of_m(&[1, 2]);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let mut settings = settings_with_label("stable", 1);
    for model in settings.models.values_mut() {
        let latest = RawTarget::Label("latest".into());
        model.policy = Some(RawPolicy::everything_to(latest));
    }
    let configured = TestWriter {
        settings,
        ..TestWriter::over(Arc::clone(&store))
    };
    let (_control, writer, _events) = configured.start(&registry).await;
    assert_eq!(only_target(&writer.live()), 2);
    let records = history(&*store).await;
    assert_eq!(revisions_and_actions(&records), [(1, "configure")]);
}

#[tokio::test]
async fn revision_0_is_expected_until_an_operator_changes_the_model() {
    let registry = TestRegistry::of_m(&[1, 2]);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (control, writer, _events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let _running = run([writer]);
    let first = change(&control, all_to(1), options(Some(0))).await;
    assert_eq!(first.unwrap(), 2);
    let second = change(&control, all_to(2), options(Some(0))).await;
    assert_eq!(second.unwrap_err().reason(), "REVISION_CONFLICT");
}

#[tokio::test]
async fn a_first_version_that_cannot_be_stored_serves_until_it_can() {
    let registry = TestRegistry::of_m(&[1]);
    let remote = Arc::new(RemoteStore::default());
    remote.set_writes_fail(true);
    let store: Arc<dyn Store> = Arc::clone(&remote) as _;
    let (control, writer, events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let live = writer.live();
    let _running = run([writer]);
    assert_eq!(only_target(&live), 1);
    let problem = control.view().models["m"].problem.clone().unwrap();
    assert!(problem.contains("the test breaks writes"), "{problem}");
    push(2, &registry, &control, &events).await;
    assert_eq!(only_target(&live), 1);
    remote.set_writes_fail(false);
    wait_for(&control, "the revision", |m| m.revision == Revision(1)).await;
    let records = history(&*store).await;
    assert_eq!(revisions_and_actions(&records), [(1, "first version 1")]);
    assert_eq!(control.view().models["m"].problem, None);
}

#[tokio::test]
async fn a_model_whose_folder_went_away_serves_until_it_is_forgotten_which_can_be_undone() {
    let registry = TestRegistry::of_m(&[1]);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (control, writer, events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let live = writer.live();
    let _running = run([writer]);
    let refused = change(&control, Edit::Forget, options(None))
        .await
        .unwrap_err();
    assert_eq!(refused.reason(), "VERSION_HELD");
    events
        .send(Event::Listed(Listing::default()))
        .await
        .unwrap();
    wait_for(&control, "the problem", |m| {
        let problem = m.problem.as_deref().unwrap_or_default();
        problem.contains("taper models forget m")
    })
    .await;
    assert_eq!(only_target(&live), 1, "it serves from memory");

    change(&control, Edit::Forget, options(None)).await.unwrap();
    let mut views = control.views();
    views.wait_for(|view| view.models.is_empty()).await.unwrap();
    assert!(live.snapshot().models.is_empty());

    let undone = change(&control, Edit::Undo, options(None)).await;
    assert_eq!(undone.unwrap(), 3);
    events
        .send(Event::Listed(registry.listing()))
        .await
        .unwrap();
    wait_for(&control, "the model", |m| {
        m.problem.is_none() && m.versions[&v(1)].state == State::Ready
    })
    .await;
    assert_eq!(only_target(&live), 1);
}

#[tokio::test]
async fn a_forgotten_model_that_comes_back_begins_anew_and_its_history_stays() {
    let registry = TestRegistry::of_m(&[1]);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (control, writer, events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let _running = run([writer]);
    events
        .send(Event::Listed(Listing::default()))
        .await
        .unwrap();
    wait_for(&control, "the problem", |m| m.problem.is_some()).await;
    change(&control, Edit::Forget, options(None)).await.unwrap();
    let mut views = control.views();
    views.wait_for(|view| view.models.is_empty()).await.unwrap();
    push(2, &registry, &control, &events).await;
    wait_for(&control, "its first version", |m| m.revision == Revision(3)).await;
    let records = history(&*store).await;
    let expected = [
        (1, "first version 1"),
        (2, "forget"),
        (3, "first version 2"),
    ];
    assert_eq!(revisions_and_actions(&records), expected);
    assert!(!records[2].wanted.forgotten);
}
