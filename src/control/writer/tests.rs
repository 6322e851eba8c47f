//! The writer over an in-memory store, with small real versions, in paused time.

mod automatic;
mod replaced;
mod several_writers;
mod versions;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep};

use crate::control::clock::from_unix_ms;
use crate::control::edit::{ChangeOptions, Edit};
use crate::control::handle::Control;
use crate::control::settings::{ModelSettings, Settings};
use crate::control::store::{Author, Draft, MemoryStore, Origin, Record, RevisionRange, Store};
use crate::control::test_support::{
    RemoteStore, START_MS, TestClock, TestRegistry, TestWriter, audit_lines, model, move_label,
    options, v, wait_for,
};
use crate::control::wanted::{Pending, Wanted};
use crate::control::writer::{Event, StartMode, Writer};
use crate::error::AdminError;
use crate::ident::Revision;
use crate::model::samples;
use crate::serving::route::RawPolicy;

/// A policy that sends everything to one version.
fn policy_to(version: u64) -> RawPolicy {
    RawPolicy {
        split: vec![(version.into(), 10_000)],
        ..RawPolicy::default()
    }
}

fn all_to(version: u64) -> Edit {
    Edit::SetPolicy(policy_to(version))
}

/// Writes a change of model `m` directly into the store. `writer` is the name of the writer in its record.
async fn store_change(store: &dyn Store, previous: u64, wanted: Wanted, writer: &str) {
    let draft = Draft {
        at_ms: START_MS,
        author: Author::default(),
        action: "test".to_owned(),
        base: Revision(previous),
        wanted,
        origin: Origin::Operator,
        writer: writer.to_owned(),
    };
    let stored = store
        .compare_and_set(&model("m"), Revision(previous), draft)
        .await;
    stored.unwrap();
}

/// Runs writers until the test ends.
fn run(writers: impl IntoIterator<Item = Writer>) -> JoinSet<()> {
    let mut running = JoinSet::new();
    for writer in writers {
        running.spawn(writer.run());
    }
    running
}

/// Makes a change of model `m`. Returns the revision in force.
async fn change(control: &Control, edit: Edit, options: ChangeOptions) -> Result<u64, AdminError> {
    let changed = control.change("m".into(), edit, options).await;
    changed.map(|changed| changed.revision.0)
}

/// All changes in a store.
async fn history(store: &dyn Store) -> Vec<Record> {
    let range = RevisionRange {
        limit: 10_000,
        ..RevisionRange::default()
    };
    store.history(range).await.unwrap()
}

fn revisions_and_actions(records: &[Record]) -> Vec<(u64, &str)> {
    let records = records.iter();
    records
        .map(|record| (record.revision.0, record.action.as_str()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn an_acknowledged_change_is_stored_live_and_audited() {
    let (registry, dir) = (TestRegistry::of_m(&[1, 2]), tempfile::tempdir().unwrap());
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let writer = TestWriter {
        audit: Some(dir.path().to_owned()),
        ..TestWriter::over(Arc::clone(&store))
    };
    let (control, writer, _events) = writer.start(&registry).await;
    let live = writer.live();
    let _running = run([writer]);
    assert_eq!(live.snapshot().models["m"].labels["latest"], v(2));

    let changed = control
        .change("m".into(), move_label("stable", 1), options(None))
        .await
        .unwrap();
    assert_eq!((changed.revision, changed.confirm_by), (Revision(2), None));
    assert_eq!(changed.differences[0].field, "labels.stable");
    let stored = store.at(Revision(2)).await.unwrap().unwrap();
    assert_eq!(
        (
            stored.at_ms,
            stored.action.as_str(),
            stored.author.actor.as_str()
        ),
        (START_MS, "move label stable to 1", "ada")
    );
    assert_eq!(live.snapshot().models["m"].labels["stable"], v(1));
    assert_eq!(control.view().models["m"].revision, Revision(2));
    assert_eq!(
        audit_lines(dir.path()),
        [1, 2].map(|revision| (Some(revision), "done".into()))
    );

    let again = change(&control, move_label("stable", 1), options(None)).await;
    assert_eq!(
        again.unwrap(),
        2,
        "a change that changes nothing makes no revision"
    );
    let dry_run = ChangeOptions {
        dry_run: true,
        ..options(None)
    };
    let tried = control
        .change("m".into(), move_label("stable", 2), dry_run)
        .await
        .unwrap();
    assert_eq!((tried.revision, tried.differences.len()), (Revision(2), 1));
    assert_eq!(history(&*store).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_change_changes_nothing_and_is_audited() {
    let (registry, dir) = (TestRegistry::of_m(&[1]), tempfile::tempdir().unwrap());
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let writer = TestWriter {
        audit: Some(dir.path().to_owned()),
        ..TestWriter::over(Arc::clone(&store))
    };
    let (control, writer, _events) = writer.start(&registry).await;
    let _running = run([writer]);
    let dry_run = ChangeOptions {
        dry_run: true,
        ..options(None)
    };
    let absent = control
        .change("absent".into(), Edit::Undo, options(None))
        .await;
    assert_eq!(absent.unwrap_err().reason(), "UNKNOWN_MODEL");
    for (edit, options, reason) in [
        (move_label("stable", 2), options(None), "UNKNOWN_VERSION"),
        (all_to(2), options(Some(0)), "VERSION_NOT_READY"),
        (
            move_label("stable", 1),
            options(Some(3)),
            "REVISION_CONFLICT",
        ),
        (
            Edit::RollbackTo(Revision(5)),
            options(None),
            "UNKNOWN_REVISION",
        ),
        (move_label("stable", 2), dry_run, "UNKNOWN_VERSION"),
    ] {
        let refused = change(&control, edit.clone(), options).await;
        assert_eq!(refused.unwrap_err().reason(), reason, "{edit:?}");
    }
    let first = [(1, "first version 1")];
    assert_eq!(revisions_and_actions(&history(&*store).await), first);
    let outcomes: Vec<_> = audit_lines(dir.path())
        .into_iter()
        .skip(1)
        .map(|(_, outcome)| outcome)
        .collect();
    let expected = [
        "UNKNOWN_MODEL",
        "UNKNOWN_VERSION",
        "VERSION_NOT_READY",
        "REVISION_CONFLICT",
        "UNKNOWN_REVISION",
    ];
    assert_eq!(outcomes, expected, "a dry run leaves no line");
}

#[tokio::test(start_paused = true)]
async fn an_unconfirmed_change_is_reverted_at_its_time_and_a_confirmed_one_stays() {
    let registry = TestRegistry::of_m(&[1, 2]);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (control, writer, _events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let _running = run([writer]);
    change(&control, all_to(1), options(None)).await.unwrap();
    let unless_confirmed = || ChangeOptions {
        confirm_within: Some(Duration::from_secs(60)),
        ..options(None)
    };
    let begin = Instant::now();
    let changed = control
        .change("m".into(), all_to(2), unless_confirmed())
        .await
        .unwrap();
    assert_eq!(changed.confirm_by, Some(from_unix_ms(START_MS + 60_000)));
    let refused = change(&control, move_label("stable", 1), options(None)).await;
    assert_eq!(refused.unwrap_err().reason(), "UNCONFIRMED_CHANGE");
    wait_for(&control, "the revert", |m| m.revision == Revision(4)).await;
    assert_eq!(begin.elapsed().as_secs(), 60);
    let records = history(&*store).await;
    assert_eq!(records[3].wanted, records[1].wanted);
    let Author { actor, reason } = &records[3].author;
    assert_eq!(
        (actor.as_str(), reason.as_str()),
        ("taper", "revision 3 was not confirmed in time")
    );
    assert_eq!(records[3].action, "revert to revision 2");

    change(&control, all_to(2), unless_confirmed())
        .await
        .unwrap();
    assert_eq!(
        change(&control, Edit::Confirm, options(None))
            .await
            .unwrap(),
        6
    );
    sleep(Duration::from_secs(120)).await;
    assert_eq!(control.view().models["m"].revision, Revision(6));
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_is_set_neither_delays_nor_hastens_a_revert() {
    for set_by in [-7_200, 7_200] {
        let registry = TestRegistry::of_m(&[1, 2]);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let (control, mut writer, _events) = TestWriter::over(store).start(&registry).await;
        let clock = Arc::new(TestClock::start());
        writer.clock = Arc::clone(&clock) as _;
        let _running = run([writer]);
        let begin = Instant::now();
        let trial = ChangeOptions {
            confirm_within: Some(Duration::from_secs(60)),
            ..options(None)
        };
        control.change("m".into(), all_to(1), trial).await.unwrap();
        clock.set_by(set_by);
        wait_for(&control, "the revert", |m| m.revision == Revision(3)).await;
        assert_eq!(begin.elapsed().as_secs(), 60, "set by {set_by} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_revert_to_a_version_that_cannot_answer_is_a_problem_until_it_can() {
    let registry = TestRegistry::of_m(&[2]);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let mut wanted = Wanted {
        policy: Some(policy_to(1)),
        ..Wanted::default()
    };
    store_change(&*store, 0, wanted.clone(), "").await;
    wanted.policy = Some(policy_to(2));
    wanted.pending = Some(Pending {
        restores: Revision(1),
        until_ms: START_MS + 60_000,
    });
    store_change(&*store, 1, wanted, "").await;
    let (control, mut writer, _events) =
        TestWriter::over(Arc::clone(&store)).start(&registry).await;
    advance(Duration::from_secs(59)).await;
    writer.revert_due_changes().await;
    assert_eq!(
        writer.models["m"].automatic_problem, None,
        "it is not due yet"
    );

    advance(Duration::from_secs(1)).await;
    writer.revert_due_changes().await;
    writer.reconcile_and_publish();
    let problem = control.view().models["m"].problem.clone().unwrap();
    let expected = "revision 2 was not confirmed and cannot be reverted: version 1";
    assert!(problem.contains(expected), "{problem}");

    registry.add(1, &samples::document("m", 1));
    writer.apply_listing(&registry.listing());
    writer.load_all().await;
    writer.revert_due_changes().await;
    assert_eq!(
        history(&*store).await.len(),
        2,
        "the next attempt is a second later"
    );
    advance(Duration::from_secs(1)).await;
    writer.revert_due_changes().await;
    let view = control.view();
    assert_eq!(
        (view.models["m"].revision, &view.models["m"].problem),
        (Revision(3), &None)
    );
}

#[tokio::test(start_paused = true)]
async fn an_undo_and_a_rollback_restore_earlier_revisions() {
    let registry = TestRegistry::of_m(&[1, 2]);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (control, writer, _events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let _running = run([writer]);
    change(&control, move_label("stable", 1), options(None))
        .await
        .unwrap();
    change(&control, move_label("stable", 2), options(None))
        .await
        .unwrap();
    assert_eq!(
        change(&control, Edit::Undo, options(None)).await.unwrap(),
        4
    );
    assert_eq!(
        change(&control, Edit::Undo, options(None)).await.unwrap(),
        5
    );
    let refused = change(&control, Edit::Undo, options(None)).await;
    assert_eq!(
        refused.unwrap_err().reason(),
        "NOTHING_TO_CHANGE",
        "before the first version, nothing decided the traffic"
    );
    let refused = change(&control, Edit::RollbackTo(Revision(0)), options(None)).await;
    assert_eq!(refused.unwrap_err().reason(), "NOTHING_TO_CHANGE");
    change(&control, Edit::RollbackTo(Revision(3)), options(None))
        .await
        .unwrap();
    let records = history(&*store).await;
    assert_eq!(records[3].wanted, records[1].wanted);
    assert_eq!(
        records[4].wanted, records[0].wanted,
        "the second undo goes one further back"
    );
    assert_eq!(records[5].wanted, records[2].wanted);
}

#[tokio::test(start_paused = true)]
async fn an_undo_after_a_rollback_restores_what_was_in_force_before_it() {
    let registry = TestRegistry::of_m(&[1, 2]);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (control, writer, _events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let _running = run([writer]);
    for edit in [
        move_label("stable", 1),
        move_label("canary", 2),
        move_label("stable", 2),
        Edit::RollbackTo(Revision(2)),
    ] {
        change(&control, edit, options(None)).await.unwrap();
    }
    let undo = async |dry_run| {
        let options = ChangeOptions {
            dry_run,
            ..options(None)
        };
        let undone = control.change("m".into(), Edit::Undo, options).await;
        undone.unwrap().restores
    };
    // The rollback, then the third change, then the second.
    for restores in [4, 3, 2, 1] {
        assert_eq!(undo(true).await, Some(Revision(restores)));
        assert_eq!(undo(false).await, Some(Revision(restores)));
        let records = history(&*store).await;
        let restored = &records[restores as usize - 1];
        assert_eq!(records.last().unwrap().wanted, restored.wanted);
    }
    // An undo of a change after an undo: it, and then what the earlier undo left.
    change(&control, move_label("stable", 1), options(None))
        .await
        .unwrap();
    assert_eq!(undo(false).await, Some(Revision(9)));
}

fn settings_with_label(label: &str, version: u64) -> Settings {
    let model_settings = ModelSettings {
        labels: [(label.parse().unwrap(), v(version))].into(),
        ..ModelSettings::default()
    };
    Settings {
        models: [(model("m"), model_settings)].into(),
        ..Settings::default()
    }
}
