//! The guarantees of every store, tested on both implementations.

mod documents;

use std::sync::Arc;

use super::*;
use crate::control::wanted::{Pending, Wanted};
use crate::ident::{ModelName, Revision};

pub(super) fn model(name: &str) -> ModelName {
    name.parse().unwrap()
}

/// Returns a draft whose undo restores `base`.
pub(super) fn draft(action: &str, base: u64) -> Draft {
    Draft {
        at_ms: 1_700_000_000_000,
        author: Author {
            actor: "ada".into(),
            reason: "a test".into(),
        },
        action: action.into(),
        base: Revision(base),
        wanted: Wanted::default(),
        origin: Origin::Operator,
        writer: String::new(),
    }
}

/// Changes the model `name` and returns the new revision.
pub(super) async fn set(store: &dyn Store, name: &str, expected: u64) -> u64 {
    let (model, draft) = (model(name), draft("set", expected));
    let stored = store
        .compare_and_set(&model, Revision(expected), draft)
        .await;
    stored.unwrap().revision.0
}

pub(super) fn revisions(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.revision.0).collect()
}

/// Tests `$guarantee` on both stores, which keep `$kept` changes of each model.
macro_rules! test_both {
    ($guarantee:ident, $kept:expr) => {
        #[tokio::test]
        async fn $guarantee() {
            guarantees::$guarantee(Arc::new(MemoryStore::keeping($kept))).await;
            let dir = tempfile::tempdir().unwrap();
            let store = EmbeddedStore::keeping(dir.path(), $kept);
            guarantees::$guarantee(Arc::new(store)).await;
        }
    };
}

test_both!(a_change_is_read_back_as_it_was_drafted, 1000);
test_both!(a_stale_revision_is_a_conflict_and_changes_nothing, 1000);
test_both!(
    of_sixteen_writers_with_the_same_expected_revision_one_succeeds,
    1000
);
test_both!(a_range_returns_its_newest_changes_ascending, 1000);
test_both!(a_watcher_wakes_up_at_the_newest_revision, 1000);
test_both!(old_changes_are_dropped_up_to_the_compacted_revision, 3);
test_both!(the_revisions_that_an_undo_or_a_revert_restores_are_kept, 2);

mod guarantees {
    use super::*;

    pub(super) async fn a_change_is_read_back_as_it_was_drafted(store: Arc<dyn Store>) {
        assert_eq!(set(&*store, "a", 0).await, 1);
        assert_eq!(
            set(&*store, "b", 0).await,
            2,
            "revisions are counted over all models"
        );
        let mut change = draft("move label canary to 7", 1);
        change
            .wanted
            .labels
            .insert("canary".parse().unwrap(), 7.try_into().unwrap());
        let stored = store
            .compare_and_set(&model("a"), Revision(1), change.clone())
            .await
            .unwrap();
        let expected = Record {
            revision: Revision(3),
            model: model("a"),
            at_ms: change.at_ms,
            author: change.author,
            action: change.action,
            previous: Revision(1),
            base: Revision(1),
            wanted: change.wanted,
            origin: change.origin,
            writer: change.writer,
        };
        assert_eq!(stored, expected);
        assert_eq!(store.at(Revision(3)).await.unwrap(), Some(expected.clone()));
        assert_eq!(store.at(Revision(4)).await.unwrap(), None);
        let all = store.all().await.unwrap();
        assert_eq!(
            revisions(&all),
            [3, 2],
            "the last change of every model, by name"
        );
        assert_eq!(all[0], expected);
    }

    pub(super) async fn a_stale_revision_is_a_conflict_and_changes_nothing(store: Arc<dyn Store>) {
        set(&*store, "a", 0).await;
        set(&*store, "a", 1).await;
        for (name, expected, current) in [("a", 0, 2), ("a", 1, 2), ("a", 3, 2), ("b", 2, 0)] {
            let stored = store
                .compare_and_set(&model(name), Revision(expected), draft("set", 0))
                .await;
            match stored {
                Err(StoreError::Conflict { current: found }) => {
                    assert_eq!(found, Revision(current))
                }
                other => panic!("{name} {expected}: {other:?}"),
            }
        }
        let history = store
            .history(RevisionRange {
                limit: 10,
                ..RevisionRange::default()
            })
            .await
            .unwrap();
        assert_eq!(revisions(&history), [1, 2]);
    }

    pub(super) async fn of_sixteen_writers_with_the_same_expected_revision_one_succeeds(
        store: Arc<dyn Store>,
    ) {
        let mut writers = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let store = Arc::clone(&store);
            writers.spawn(async move {
                let draft = draft("set", 0);
                store
                    .compare_and_set(&model("a"), Revision(0), draft)
                    .await
                    .is_ok()
            });
        }
        let won = writers
            .join_all()
            .await
            .into_iter()
            .filter(|won| *won)
            .count();
        assert_eq!(won, 1);
        assert_eq!(*store.watch().borrow(), Revision(1));
    }

    pub(super) async fn a_range_returns_its_newest_changes_ascending(store: Arc<dyn Store>) {
        // a: 1 3 5 7, b: 2 4 6 8.
        let (mut a, mut b) = (0, 0);
        for _ in 0..4 {
            a = set(&*store, "a", a).await;
            b = set(&*store, "b", b).await;
        }
        for (name, after, before, limit, expected, why) in [
            (
                None,
                0,
                None,
                100,
                &[1, 2, 3, 4, 5, 6, 7, 8][..],
                "everything",
            ),
            (None, 0, None, 3, &[6, 7, 8], "the newest, not the oldest"),
            (None, 6, None, 100, &[7, 8], "`after` is excluded"),
            (None, 0, Some(3), 100, &[1, 2], "`before` is excluded"),
            (None, 0, Some(7), 2, &[5, 6], "the newest below `before`"),
            (Some("a"), 0, None, 100, &[1, 3, 5, 7], "of one model"),
            (
                Some("a"),
                1,
                Some(7),
                1,
                &[5],
                "of one model, the newest between",
            ),
            (Some("c"), 0, None, 100, &[], "of a model without changes"),
            (None, 4, Some(5), 100, &[], "nothing between the bounds"),
            (None, 6, Some(3), 100, &[], "reversed bounds"),
            (None, 0, Some(0), 100, &[], "below the first revision"),
            (
                None,
                u64::MAX,
                None,
                100,
                &[],
                "above the last possible revision",
            ),
            (None, 0, None, 0, &[], "a limit of 0"),
        ] {
            let name = name.map(model);
            let range = RevisionRange {
                model: name.as_ref(),
                after: Revision(after),
                before: before.map(Revision),
                limit,
            };
            assert_eq!(
                revisions(&store.history(range).await.unwrap()),
                expected,
                "{why}"
            );
        }
    }

    pub(super) async fn a_watcher_wakes_up_at_the_newest_revision(store: Arc<dyn Store>) {
        let mut watch = store.watch();
        assert_eq!(*watch.borrow_and_update(), Revision(0));
        set(&*store, "a", 0).await;
        set(&*store, "b", 0).await;
        watch.changed().await.unwrap();
        assert_eq!(*watch.borrow_and_update(), Revision(2));
        let stale = store
            .compare_and_set(&model("a"), Revision(7), draft("set", 0))
            .await;
        assert!(stale.is_err() && !watch.has_changed().unwrap());
    }

    /// The store keeps 3 changes of each model.
    pub(super) async fn old_changes_are_dropped_up_to_the_compacted_revision(
        store: Arc<dyn Store>,
    ) {
        let mut a = 0;
        for _ in 0..3 {
            a = set(&*store, "a", a).await;
        }
        assert_eq!(store.compacted().await.unwrap(), Revision(0));
        set(&*store, "b", 0).await;
        for _ in 0..3 {
            a = set(&*store, "a", a).await;
        }
        let history = store
            .history(RevisionRange {
                limit: 10,
                ..RevisionRange::default()
            })
            .await
            .unwrap();
        assert_eq!(
            revisions(&history),
            [4, 5, 6, 7],
            "the only change of `b` stays although it is older"
        );
        assert_eq!(store.compacted().await.unwrap(), Revision(3));
        assert_eq!(store.at(Revision(3)).await.unwrap(), None);
    }

    /// The store keeps 2 changes of each model.
    pub(super) async fn the_revisions_that_an_undo_or_a_revert_restores_are_kept(
        store: Arc<dyn Store>,
    ) {
        let mut a = 0;
        for _ in 0..3 {
            a = set(&*store, "a", a).await;
        }
        let set_to = async |expected, base, pending| {
            let mut change = draft("set", base);
            change.wanted.pending = pending;
            store
                .compare_and_set(&model("a"), Revision(expected), change)
                .await
                .unwrap();
            let history = store
                .history(RevisionRange {
                    limit: 10,
                    ..RevisionRange::default()
                })
                .await
                .unwrap();
            (revisions(&history), store.compacted().await.unwrap().0)
        };
        // Revision 1 was dropped when 3 was stored.
        assert_eq!(
            set_to(3, 2, None).await,
            (vec![2, 3, 4], 1),
            "2 is the base of 4"
        );
        assert_eq!(
            set_to(4, 2, None).await,
            (vec![2, 4, 5], 3),
            "2 is still the base"
        );
        let pending = Some(Pending {
            restores: Revision(2),
            until_ms: 1,
        });
        assert_eq!(
            set_to(5, 5, pending).await,
            (vec![2, 5, 6], 4),
            "2 is restored unless 6 is confirmed"
        );
        assert_eq!(
            set_to(6, 6, None).await,
            (vec![6, 7], 5),
            "2 is not needed any more"
        );
    }
}

#[tokio::test]
async fn a_memory_store_contains_the_records_that_it_is_created_from() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    set(&store, "a", 0).await;
    set(&store, "a", 1).await;
    set(&store, "b", 0).await;
    let copy = MemoryStore::from_records(EmbeddedStore::read_only_records(dir.path()).unwrap());
    assert_eq!(revisions(&copy.all().await.unwrap()), [2, 3]);
    assert_eq!(copy.compacted().await.unwrap(), Revision(1));
    assert_eq!(*copy.watch().borrow(), Revision(3));
    assert_eq!(set(&copy, "a", 2).await, 4);
    assert_eq!(*store.watch().borrow(), Revision(3), "a copy");
}
