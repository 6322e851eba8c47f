//! Durability of documents, and the tables that hold them.

use redb::{ReadableDatabase, TableHandle};
use serde::{Deserialize, Serialize};

use super::*;
use crate::control::store::{Document, Documents};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Plan(u32);

impl Document for Plan {
    const KIND: &'static str = "plan";
    const VERSION: u32 = 1;
}

/// Opens the documents in `dir`. The store is closed when they are dropped.
fn plans(dir: &Path) -> Documents<Plan> {
    Documents::new(Arc::new(open_when_unlocked(dir).unwrap()))
}

#[tokio::test]
async fn documents_and_their_revisions_are_there_after_reopening() {
    let dir = folder_of_three().await;
    let store = plans(dir.path());
    store.set("a", Revision(0), &Plan(1)).await.unwrap();
    store.set("b", Revision(0), &Plan(2)).await.unwrap();
    store.delete("b", Revision(2)).await.unwrap();
    drop(store);
    let store = plans(dir.path());
    assert_eq!(*store.watch().borrow(), Revision(3));
    let a = store.get("a").await.unwrap().unwrap();
    assert_eq!((a.revision, a.document), (Revision(1), Plan(1)));
    assert_eq!(store.all().await.unwrap().len(), 1);
    assert_eq!(
        store.set("b", Revision(0), &Plan(3)).await.unwrap(),
        Revision(4)
    );
}

/// The names of all tables in the database of `dir`.
fn tables_in(dir: &Path) -> Vec<String> {
    let database = open::open_existing(&dir.join("state.redb"))
        .unwrap()
        .database;
    let transaction = database.begin_read().unwrap();
    let tables = transaction.list_tables().unwrap();
    tables.map(|table| table.name().to_owned()).collect()
}

#[tokio::test]
async fn document_tables_are_added_with_the_first_document_and_the_other_tables_stay() {
    let dir = folder_of_three().await;
    let without = ["changes", "histories", "meta", "models"];
    assert_eq!(tables_in(dir.path()), without);
    let store = plans(dir.path());
    assert_eq!(store.get("a").await.unwrap(), None);
    assert!(store.all().await.unwrap().is_empty());
    drop(store);
    assert_eq!(tables_in(dir.path()), without, "reading adds none");

    let store = plans(dir.path());
    store.set("a", Revision(0), &Plan(1)).await.unwrap();
    drop(store);
    let mut with = [&without[..], &["documents", "document_revisions"]].concat();
    with.sort_unstable();
    assert_eq!(tables_in(dir.path()), with);
    let store = open_when_unlocked(dir.path()).unwrap();
    assert_eq!(revisions(&all_changes(&store).await), [1, 2, 3]);
    assert_eq!(set(&store, "a", 3).await, 4);
}

#[tokio::test]
async fn a_document_write_that_returned_an_error_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open_when_unlocked(dir.path()).unwrap());
    let plans = Documents::<Plan>::new(Arc::clone(&store) as Arc<dyn Store>);
    plans.set("a", Revision(0), &Plan(1)).await.unwrap();
    let content = DocumentContent {
        version: 1,
        json: b"2".to_vec(),
    };
    // As after a commit that failed although the write is in the file: one changes a document, one creates a document, and
    // one deletes a document.
    for (key, expected, content) in [
        ("a", 1, Some(&content)),
        ("b", 0, Some(&content)),
        ("a", 1, None),
    ] {
        let id = DocumentId { kind: "plan", key };
        let mut uncertain = None;
        let written = store.inner.run(None, |database| {
            documents::set(database, id, Revision(expected), content, &mut uncertain)
        });
        assert!(
            matches!(written, Ok(Written::Changed(Revision(2)))),
            "{key}"
        );
        *store.inner.uncertain.lock().unwrap() = uncertain.map(UncertainWrite::Document);
        *store.inner.database.write().unwrap() = None;

        let a = plans.get("a").await.unwrap().unwrap();
        assert_eq!((a.revision, a.document), (Revision(1), Plan(1)), "{key}");
        assert_eq!(plans.all().await.unwrap().len(), 1, "{key}");
    }
    assert_eq!(
        plans.set("a", Revision(1), &Plan(3)).await.unwrap(),
        Revision(2)
    );
}
