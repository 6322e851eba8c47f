//! Several writers that share one store.

use super::*;

/// A desired state with one label, which names version 1, as the split does.
fn labelled(label: &str) -> Wanted {
    let mut wanted = Wanted {
        policy: Some(policy_to(1)),
        ..Wanted::default()
    };
    wanted.labels.insert(label.parse().unwrap(), v(1));
    wanted
}

#[tokio::test(start_paused = true)]
async fn a_change_by_one_writer_goes_live_in_the_other() {
    let registry = TestRegistry::of_m(&[1, 2]);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (one, first, _events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let (other, second, _events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let live = second.live();
    let _running = run([first, second]);

    change(&one, move_label("canary", 1), options(None))
        .await
        .unwrap();
    wait_for(&other, "the change", |m| m.revision == Revision(2)).await;
    assert_eq!(live.snapshot().models["m"].labels["canary"], v(1));

    // And the other way round, by a caller who has seen that revision.
    assert_eq!(
        change(&other, all_to(1), options(Some(2))).await.unwrap(),
        3
    );
    assert_eq!(change(&one, all_to(2), options(Some(3))).await.unwrap(), 4);
    wait_for(&other, "the fourth change", |m| m.revision == Revision(4)).await;
    let routing = live.snapshot().models["m"].routing.clone().unwrap();
    assert_eq!(
        (routing.revision, routing.shares()[0].0),
        (Revision(4), v(2))
    );
}

#[tokio::test(start_paused = true)]
async fn sixteen_writers_that_move_sixteen_labels_lose_none() {
    let registry = TestRegistry::of_m(&[1]);
    let store: Arc<dyn Store> = Arc::new(RemoteStore::default());
    let (mut controls, mut writers, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..16 {
        let (control, writer, sender) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
        controls.push(control);
        writers.push(writer);
        events.push(sender);
    }
    let _running = run(writers);
    let mut moves = JoinSet::new();
    for (number, control) in controls.iter().cloned().enumerate() {
        moves.spawn(async move {
            change(
                &control,
                move_label(&format!("l{number}"), 1),
                options(None),
            )
            .await
            .unwrap()
        });
    }
    let mut revisions = moves.join_all().await;
    revisions.sort_unstable();
    assert_eq!(revisions, (2..=17).collect::<Vec<_>>());
    let records = history(&*store).await;
    assert_eq!(records.len(), 17);
    for control in &controls {
        wait_for(control, "all labels", |m| m.wanted.labels.len() == 16).await;
        assert_eq!(*control.view().models["m"].wanted, records[16].wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_changes_that_expect_the_same_revision_one_is_a_conflict() {
    let registry = TestRegistry::of_m(&[1, 2]);
    let store: Arc<dyn Store> = Arc::new(RemoteStore::default());
    let (one, first, _events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let (other, second, _events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let _running = run([first, second]);
    let (left, right) = tokio::join!(
        change(&one, all_to(1), options(Some(1))),
        change(&other, all_to(2), options(Some(1))),
    );
    let (revision, error) = one_of_each(left, right);
    let conflict = AdminError::RevisionConflict {
        expected: Revision(1),
        current: Revision(2),
    };
    assert_eq!((revision, error.to_string()), (2, conflict.to_string()));
    assert_eq!(history(&*store).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_retried_change_is_checked_again_on_the_newer_state() {
    let registry = TestRegistry::of_m(&[1, 2]);
    let store: Arc<dyn Store> = Arc::new(RemoteStore::default());
    let (one, first, _events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let (other, second, _events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let _running = run([first, second]);
    let unless_confirmed = || ChangeOptions {
        confirm_within: Some(Duration::from_secs(60)),
        ..options(None)
    };
    let (left, right) = tokio::join!(
        change(&one, move_label("a", 1), unless_confirmed()),
        change(&other, move_label("b", 2), unless_confirmed()),
    );
    let (revision, error) = one_of_each(left, right);
    assert_eq!((revision, error.reason()), (2, "UNCONFIRMED_CHANGE"));
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_another_writer_overtakes_is_a_conflict_and_not_repeated() {
    let registry = TestRegistry::of_m(&[1, 2]);
    let store: Arc<dyn Store> = Arc::new(RemoteStore::default());
    let (one, first, _events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let (other, second, _events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let _running = run([first, second]);
    change(&one, move_label("canary", 1), options(None))
        .await
        .unwrap();
    change(&one, move_label("canary", 2), options(None))
        .await
        .unwrap();
    wait_for(&other, "both changes", |m| m.revision == Revision(3)).await;
    let (left, right) = tokio::join!(
        change(&one, Edit::Undo, options(None)),
        change(&other, Edit::Undo, options(None)),
    );
    let (revision, error) = one_of_each(left, right);
    assert_eq!((revision, error.reason()), (4, "REVISION_CONFLICT"));
    let records = history(&*store).await;
    assert_eq!(records.len(), 4);
    assert_eq!(records[3].wanted.labels["canary"], v(1));
}

/// Returns the revision of the change that succeeded and the error of the other one.
fn one_of_each(left: Result<u64, AdminError>, right: Result<u64, AdminError>) -> (u64, AdminError) {
    match (left, right) {
        (Ok(revision), Err(error)) | (Err(error), Ok(revision)) => (revision, error),
        both => panic!("{both:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_unconfirmed_change_is_reverted_once_by_whichever_writer_is_faster() {
    let registry = TestRegistry::of_m(&[1, 2]);
    let store: Arc<dyn Store> = Arc::new(RemoteStore::default());
    let (one, first, _events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let (other, second, _events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let _running = run([first, second]);
    change(&one, all_to(1), options(None)).await.unwrap();
    let unless_confirmed = ChangeOptions {
        confirm_within: Some(Duration::from_secs(60)),
        ..options(None)
    };
    change(&one, all_to(2), unless_confirmed).await.unwrap();
    wait_for(&other, "the unconfirmed change", |m| {
        m.revision == Revision(3)
    })
    .await;
    let held = &other.view().models["m"].versions[&v(1)].held_by;
    assert!(
        held.iter()
            .any(|by| by.contains("the revert of revision 3")),
        "{held:?}"
    );
    sleep(Duration::from_secs(120)).await;
    let records = history(&*store).await;
    let expected = [
        (1, "first version 2"),
        (2, "set policy"),
        (3, "set policy"),
        (4, "revert to revision 2"),
    ];
    assert_eq!(revisions_and_actions(&records), expected);
    for control in [&one, &other] {
        let view = control.view();
        assert_eq!(
            (view.models["m"].revision, &view.models["m"].problem),
            (Revision(4), &None)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_are_no_longer_kept_are_skipped() {
    let registry = TestRegistry::of_m(&[1]);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::keeping(2));
    let (control, mut writer, _events) =
        TestWriter::over(Arc::clone(&store)).start(&registry).await;
    for previous in 1..11 {
        store_change(&*store, previous, labelled(&format!("l{previous}")), "").await;
    }
    assert_eq!(store.compacted().await.unwrap(), Revision(9));
    writer.follow_store().await.unwrap();
    assert_eq!(writer.followed, Revision(11));
    writer.reconcile_and_publish();
    let view = control.view();
    assert_eq!(view.models["m"].revision, Revision(11));
    assert!(view.models["m"].labels.contains_key("l10"));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_followed_twice_changes_nothing() {
    let registry = TestRegistry::of_m(&[1]);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (_control, mut writer, _events) =
        TestWriter::over(Arc::clone(&store)).start(&registry).await;
    store_change(&*store, 1, labelled("one"), "").await;
    store_change(&*store, 2, labelled("two"), "").await;
    writer.follow_store().await.unwrap();
    writer.reconcile_and_publish();
    let snapshot = writer.live().snapshot();
    for record in history(&*store).await {
        writer.follow(record).await.unwrap();
    }
    assert!(writer.unpublished.is_empty());
    assert_eq!(writer.followed, Revision(3));
    writer.reconcile_and_publish();
    assert!(Arc::ptr_eq(&snapshot, &writer.live().snapshot()));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_is_read_again_later() {
    let registry = TestRegistry::of_m(&[1]);
    let remote = Arc::new(RemoteStore::default());
    let store: Arc<dyn Store> = Arc::clone(&remote) as _;
    let (control, writer, _events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let _running = run([writer]);
    remote.set_reads_fail(true);
    store_change(&*store, 1, labelled("stable"), "").await;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(control.view().models["m"].revision, Revision(1));
    let refused = change(&control, move_label("canary", 1), options(None)).await;
    assert_eq!(refused.unwrap_err().reason(), "STORAGE_FAILED");
    remote.set_reads_fail(false);
    wait_for(&control, "the change", |m| m.revision == Revision(2)).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_model_that_this_registry_lacks_is_a_problem_of_that_model() {
    let registry = TestRegistry::of_m(&[]);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (control, writer, _events) = TestWriter::over(Arc::clone(&store)).start(&registry).await;
    let _running = run([writer]);
    store_change(&*store, 0, labelled("stable"), "").await;
    let problem = "revision 1 is in force, and the registry has no such model";
    wait_for(&control, "the problem", |m| {
        m.problem.as_deref() == Some(problem)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn two_writers_that_start_at_the_same_time_store_one_initial_state() {
    let registry = TestRegistry::of_m(&[1, 2]);
    let store: Arc<dyn Store> = Arc::new(RemoteStore::default());
    let start = async |version| {
        let writer = TestWriter {
            settings: settings_with_label("stable", version),
            ..TestWriter::over(Arc::clone(&store))
        };
        let (control, _writer, _events) = writer.start(&registry).await;
        control.view().models["m"].labels["stable"]
    };
    let (left, right) = tokio::join!(start(1), start(2));
    assert_eq!(left, right, "the slower writer follows the faster one");
    assert_eq!(
        revisions_and_actions(&history(&*store).await),
        [(1, "configure")]
    );
}

#[tokio::test(start_paused = true)]
async fn each_writer_audits_its_own_changes_also_those_that_a_crash_left_out() {
    let registry = TestRegistry::of_m(&[1, 2]);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let dirs = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let writer = |name, dir: &tempfile::TempDir| TestWriter {
        name,
        audit: Some(dir.path().to_owned()),
        ..TestWriter::over(Arc::clone(&store))
    };
    let (a, first, _events) = writer("a", &dirs[0]).start(&registry).await;
    let (b, second, _events) = writer("b", &dirs[1]).start(&registry).await;
    let running = run([first, second]);
    change(&a, move_label("one", 1), options(None))
        .await
        .unwrap();
    change(&b, move_label("two", 1), options(None))
        .await
        .unwrap();
    change(&a, move_label("three", 1), options(None))
        .await
        .unwrap();
    let line = |revision| (Some(revision), "done".to_owned());
    assert_eq!(audit_lines(dirs[0].path()), [line(1), line(2), line(4)]);
    assert_eq!(audit_lines(dirs[1].path()), [line(3)]);
    drop(running);

    // Both processes end, after one of them stored a change without writing its line.
    store_change(&*store, 4, labelled("four"), "b").await;
    store_change(&*store, 5, labelled("five"), "a").await;
    let (_control, _writer, _events) = writer("b", &dirs[1]).start(&registry).await;
    assert_eq!(audit_lines(dirs[1].path()), [line(3), line(5)]);
}
