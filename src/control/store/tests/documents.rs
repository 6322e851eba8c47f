//! The guarantees about documents, tested on both stores.

use serde::{Deserialize, Serialize};

use super::*;

/// A document in its current format.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Plan {
    steps: Vec<u32>,
    note: String,
}

impl Document for Plan {
    const KIND: &'static str = "plan";
    const VERSION: u32 = 2;

    fn read(version: u32, json: &[u8]) -> serde_json::Result<Self> {
        match version {
            1 => serde_json::from_slice(json).map(|OldPlan(steps)| plan(&steps)),
            _ => serde_json::from_slice(json),
        }
    }
}

/// The same document in format version 1.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct OldPlan(Vec<u32>);

impl Document for OldPlan {
    const KIND: &'static str = Plan::KIND;
    const VERSION: u32 = 1;
}

/// A document of another kind.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Job(u32);

impl Document for Job {
    const KIND: &'static str = "job";
    const VERSION: u32 = 1;
}

fn plan(steps: &[u32]) -> Plan {
    Plan {
        steps: steps.to_vec(),
        ..Plan::default()
    }
}

fn documents<D: Document>(store: &Arc<dyn Store>) -> Documents<D> {
    Documents::new(Arc::clone(store))
}

/// Tests `$guarantee` on both stores.
macro_rules! test_both {
    ($guarantee:ident) => {
        #[tokio::test]
        async fn $guarantee() {
            guarantees::$guarantee(Arc::new(MemoryStore::default())).await;
            let dir = tempfile::tempdir().unwrap();
            let store = EmbeddedStore::open(dir.path()).unwrap();
            guarantees::$guarantee(Arc::new(store)).await;
        }
    };
}

test_both!(a_document_is_read_back_with_its_revision);
test_both!(a_stale_revision_of_a_document_is_a_conflict_and_changes_nothing);
test_both!(of_sixteen_creators_of_a_document_one_succeeds);
test_both!(each_kind_counts_its_own_revisions_and_leaves_those_of_models_alone);
test_both!(a_deleted_document_is_created_again_with_a_higher_revision);
test_both!(a_watcher_wakes_up_at_the_newest_revision_of_its_kind);
test_both!(an_old_format_is_read_and_a_newer_one_is_an_error_of_its_document);
test_both!(a_document_above_the_size_limit_is_refused);

mod guarantees {
    use super::*;

    pub(super) async fn a_document_is_read_back_with_its_revision(store: Arc<dyn Store>) {
        let plans = documents::<Plan>(&store);
        assert_eq!(plans.get("a").await.unwrap(), None);
        assert_eq!(
            plans.set("b", Revision(0), &plan(&[1])).await.unwrap(),
            Revision(1)
        );
        assert_eq!(
            plans.set("a", Revision(0), &plan(&[2])).await.unwrap(),
            Revision(2)
        );
        assert_eq!(
            plans.set("b", Revision(1), &plan(&[3])).await.unwrap(),
            Revision(3)
        );
        let stored = |key: &str, revision, steps: &[u32]| StoredDocument {
            key: key.to_owned(),
            revision: Revision(revision),
            document: plan(steps),
        };
        assert_eq!(plans.get("b").await.unwrap(), Some(stored("b", 3, &[3])));
        let all: Vec<_> = plans
            .all()
            .await
            .unwrap()
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(all, [stored("a", 2, &[2]), stored("b", 3, &[3])], "by key");
    }

    pub(super) async fn a_stale_revision_of_a_document_is_a_conflict_and_changes_nothing(
        store: Arc<dyn Store>,
    ) {
        let plans = documents::<Plan>(&store);
        plans.set("a", Revision(0), &plan(&[1])).await.unwrap();
        plans.set("a", Revision(1), &plan(&[2])).await.unwrap();
        for (key, expected, current) in [("a", 0, 2), ("a", 1, 2), ("a", 3, 2), ("b", 2, 0)] {
            for result in [
                plans.set(key, Revision(expected), &plan(&[9])).await,
                plans.delete(key, Revision(expected)).await,
            ] {
                match result {
                    Err(StoreError::Conflict { current: found }) => {
                        assert_eq!(found, Revision(current), "{key} {expected}");
                    }
                    other => panic!("{key} {expected}: {other:?}"),
                }
            }
        }
        assert_eq!(plans.get("a").await.unwrap().unwrap().document, plan(&[2]));
        assert_eq!(*plans.watch().borrow(), Revision(2));
    }

    pub(super) async fn of_sixteen_creators_of_a_document_one_succeeds(store: Arc<dyn Store>) {
        let mut creators = tokio::task::JoinSet::new();
        for number in 0..16 {
            let plans = documents::<Plan>(&store);
            creators.spawn(async move {
                let created = plans.set("a", Revision(0), &plan(&[number])).await;
                created.is_ok()
            });
        }
        let created = creators.join_all().await;
        assert_eq!(created.into_iter().filter(|created| *created).count(), 1);
        assert_eq!(*documents::<Plan>(&store).watch().borrow(), Revision(1));
    }

    pub(super) async fn each_kind_counts_its_own_revisions_and_leaves_those_of_models_alone(
        store: Arc<dyn Store>,
    ) {
        let (plans, jobs) = (documents::<Plan>(&store), documents::<Job>(&store));
        plans.set("a", Revision(0), &plan(&[1])).await.unwrap();
        plans.set("a", Revision(1), &plan(&[2])).await.unwrap();
        assert_eq!(
            jobs.set("a", Revision(0), &Job(7)).await.unwrap(),
            Revision(1)
        );
        assert_eq!(*store.watch().borrow(), Revision(0));
        assert_eq!(set(&*store, "a", 0).await, 1);
        assert_eq!(
            plans.set("b", Revision(0), &plan(&[3])).await.unwrap(),
            Revision(3)
        );
        assert_eq!(set(&*store, "a", 1).await, 2);
        assert_eq!(jobs.get("a").await.unwrap().unwrap().document, Job(7));
        assert_eq!(jobs.all().await.unwrap().len(), 1);
        assert_eq!(plans.all().await.unwrap().len(), 2);
    }

    pub(super) async fn a_deleted_document_is_created_again_with_a_higher_revision(
        store: Arc<dyn Store>,
    ) {
        let plans = documents::<Plan>(&store);
        plans.set("a", Revision(0), &plan(&[1])).await.unwrap();
        assert_eq!(plans.delete("a", Revision(1)).await.unwrap(), Revision(2));
        assert_eq!(plans.get("a").await.unwrap(), None);
        assert_eq!(
            plans.delete("a", Revision(0)).await.unwrap(),
            Revision(2),
            "deleting nothing changes nothing"
        );
        let stale = plans.set("a", Revision(1), &plan(&[2])).await;
        assert!(matches!(
            stale,
            Err(StoreError::Conflict {
                current: Revision(0)
            })
        ));
        assert_eq!(
            plans.set("a", Revision(0), &plan(&[2])).await.unwrap(),
            Revision(3)
        );
    }

    pub(super) async fn a_watcher_wakes_up_at_the_newest_revision_of_its_kind(
        store: Arc<dyn Store>,
    ) {
        let (plans, jobs) = (documents::<Plan>(&store), documents::<Job>(&store));
        let mut watch = plans.watch();
        assert_eq!(*watch.borrow_and_update(), Revision(0));
        jobs.set("a", Revision(0), &Job(1)).await.unwrap();
        assert!(!watch.has_changed().unwrap());
        plans.set("a", Revision(0), &plan(&[1])).await.unwrap();
        plans.delete("a", Revision(1)).await.unwrap();
        watch.changed().await.unwrap();
        assert_eq!(*watch.borrow_and_update(), Revision(2));
    }

    pub(super) async fn an_old_format_is_read_and_a_newer_one_is_an_error_of_its_document(
        store: Arc<dyn Store>,
    ) {
        let (plans, old_plans) = (documents::<Plan>(&store), documents::<OldPlan>(&store));
        old_plans
            .set("a", Revision(0), &OldPlan(vec![1, 2]))
            .await
            .unwrap();
        assert_eq!(
            plans.get("a").await.unwrap().unwrap().document,
            plan(&[1, 2])
        );
        plans.set("b", Revision(0), &plan(&[3])).await.unwrap();
        let error = old_plans.get("b").await.unwrap_err().to_string();
        for expected in ["plan/b", "version 2", "up to 1"] {
            assert!(error.contains(expected), "{error}: expected {expected}");
        }
        let all = old_plans.all().await.unwrap();
        assert_eq!(all[0].as_ref().unwrap().document, OldPlan(vec![1, 2]));
        assert_eq!(all[1].as_ref().unwrap_err().to_string(), error);
    }

    pub(super) async fn a_document_above_the_size_limit_is_refused(store: Arc<dyn Store>) {
        let plans = documents::<Plan>(&store);
        let large = Plan {
            note: "x".repeat(1 << 20),
            ..Plan::default()
        };
        let refused = plans.set("a", Revision(0), &large).await;
        assert!(matches!(
            refused,
            Err(StoreError::TooLarge {
                limit: 1_048_576,
                ..
            })
        ));
        assert_eq!(plans.get("a").await.unwrap(), None);
    }
}
