//! A store that ends with the process, for checking whether a configuration could serve, and for tests.
//!
//! It keeps every guarantee of [`Store`] except durability.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::watch;

use super::contract::{MIN_HISTORY, Store, StoreError, StoreFuture};
use super::document::{DocumentContent, DocumentId, DocumentWatch, RawDocument};
use super::record::{Draft, Record, RevisionRange};
use crate::ident::{ModelName, Revision};
use crate::sync;

/// Keeps changes and documents in memory.
#[derive(Debug)]
pub struct MemoryStore {
    changes: Mutex<Changes>,
    newest: watch::Sender<Revision>,
    /// Documents by kind.
    documents: Mutex<BTreeMap<String, Kind>>,
    /// Changes of each model that are kept.
    kept: usize,
}

#[derive(Debug, Default)]
struct Changes {
    records: BTreeMap<u64, Record>,
    /// The revisions in `records` by model; none of the sets is empty.
    models: BTreeMap<ModelName, BTreeSet<u64>>,
    compacted: Revision,
}

/// The documents of one kind.
#[derive(Debug)]
struct Kind {
    by_key: BTreeMap<String, RawDocument>,
    newest: watch::Sender<Revision>,
}

impl Default for Kind {
    fn default() -> Self {
        Self {
            by_key: BTreeMap::new(),
            newest: watch::Sender::new(Revision::default()),
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::from_records([])
    }
}

impl MemoryStore {
    /// Creates a store that contains `records`, in any order. A revision below the newest that is not among them counts as no
    /// longer kept.
    #[must_use]
    pub fn from_records(records: impl IntoIterator<Item = Record>) -> Self {
        let mut changes = Changes::default();
        for record in records {
            changes.insert(record);
        }
        let newest = changes.newest();
        let missing = (1..newest.0)
            .rev()
            .find(|revision| !changes.records.contains_key(revision));
        changes.compacted = Revision(missing.unwrap_or(0));
        Self {
            changes: Mutex::new(changes),
            newest: watch::Sender::new(newest),
            documents: Mutex::default(),
            kept: MIN_HISTORY,
        }
    }

    #[cfg(test)]
    pub(in crate::control) fn keeping(kept: usize) -> Self {
        Self {
            kept,
            ..Self::default()
        }
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        sync::lock(&self.changes)
    }

    fn kinds(&self) -> MutexGuard<'_, BTreeMap<String, Kind>> {
        sync::lock(&self.documents)
    }

    fn write(
        &self,
        model: &ModelName,
        expected: Revision,
        draft: Draft,
    ) -> Result<Record, StoreError> {
        let mut changes = self.changes();
        let current = changes.newest_of(model);
        if current != expected {
            return Err(StoreError::Conflict { current });
        }
        let record = draft.into_record(model, changes.newest(), current);
        changes.insert(record.clone());
        changes.compact(&record, self.kept);
        self.newest.send_replace(record.revision);
        Ok(record)
    }

    fn write_document(
        &self,
        id: DocumentId<'_>,
        expected: Revision,
        content: Option<DocumentContent>,
    ) -> Result<Revision, StoreError> {
        let mut kinds = self.kinds();
        let kind = kinds.entry(id.kind.to_owned()).or_default();
        let stored = kind.by_key.get(id.key);
        let current = stored.map_or(Revision::default(), |document| document.revision);
        if current != expected {
            return Err(StoreError::Conflict { current });
        }
        let newest = *kind.newest.borrow();
        let revision = match content {
            Some(content) => {
                let document = RawDocument {
                    key: id.key.to_owned(),
                    revision: newest.next(),
                    content,
                };
                kind.by_key.insert(id.key.to_owned(), document);
                newest.next()
            }
            None if kind.by_key.remove(id.key).is_some() => newest.next(),
            None => return Ok(newest),
        };
        kind.newest.send_replace(revision);
        Ok(revision)
    }
}

impl Changes {
    fn newest(&self) -> Revision {
        self.records
            .last_key_value()
            .map_or(Revision::default(), |(revision, _)| Revision(*revision))
    }

    fn newest_of(&self, model: &ModelName) -> Revision {
        let last = self.models.get(model).and_then(BTreeSet::last);
        last.map_or(Revision::default(), |revision| Revision(*revision))
    }

    fn insert(&mut self, record: Record) {
        let revision = record.revision.0;
        self.models
            .entry(record.model.clone())
            .or_default()
            .insert(revision);
        self.records.insert(revision, record);
    }

    /// Drops the changes of the model of `newest` that are older than its last `kept`, except those that `newest` requires.
    fn compact(&mut self, newest: &Record, kept: usize) {
        let Some(revisions) = self.models.get_mut(&newest.model) else {
            return;
        };
        let required: BTreeSet<u64> = newest.required_revisions().collect();
        let old = revisions
            .iter()
            .rev()
            .skip(kept)
            .filter(|revision| !required.contains(revision));
        for revision in old.copied().collect::<Vec<_>>() {
            revisions.remove(&revision);
            self.records.remove(&revision);
            self.compacted = self.compacted.max(Revision(revision));
        }
    }

    fn last_of_each_model(&self) -> Vec<Record> {
        let newest = self.models.values().filter_map(BTreeSet::last);
        newest
            .filter_map(|revision| self.records.get(revision).cloned())
            .collect()
    }

    fn in_range(&self, range: &RevisionRange<'_>) -> Vec<Record> {
        let Some(revisions) = range.revisions() else {
            return Vec::new();
        };
        let newest_first = self.records.range(revisions).rev();
        let mut records: Vec<_> = newest_first
            .map(|(_, record)| record)
            .filter(|record| range.model.is_none_or(|model| record.model == *model))
            .take(range.limit)
            .cloned()
            .collect();
        records.reverse();
        records
    }
}

impl Store for MemoryStore {
    fn all(&self) -> StoreFuture<'_, Vec<Record>> {
        Box::pin(async { Ok(self.changes().last_of_each_model()) })
    }

    fn at(&self, revision: Revision) -> StoreFuture<'_, Option<Record>> {
        Box::pin(async move { Ok(self.changes().records.get(&revision.0).cloned()) })
    }

    fn compare_and_set<'a>(
        &'a self,
        model: &'a ModelName,
        expected: Revision,
        draft: Draft,
    ) -> StoreFuture<'a, Record> {
        Box::pin(async move { self.write(model, expected, draft) })
    }

    fn history<'a>(&'a self, range: RevisionRange<'a>) -> StoreFuture<'a, Vec<Record>> {
        Box::pin(async move { Ok(self.changes().in_range(&range)) })
    }

    fn compacted(&self) -> StoreFuture<'_, Revision> {
        Box::pin(async { Ok(self.changes().compacted) })
    }

    fn watch(&self) -> watch::Receiver<Revision> {
        self.newest.subscribe()
    }

    fn check(&self) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn document<'a>(&'a self, id: DocumentId<'a>) -> StoreFuture<'a, Option<RawDocument>> {
        Box::pin(async move {
            let kinds = self.kinds();
            let kind = kinds.get(id.kind);
            Ok(kind.and_then(|kind| kind.by_key.get(id.key).cloned()))
        })
    }

    fn documents<'a>(&'a self, kind: &'a str) -> StoreFuture<'a, Vec<RawDocument>> {
        Box::pin(async move {
            let kinds = self.kinds();
            let documents = kinds.get(kind).map(|kind| kind.by_key.values().cloned());
            Ok(documents.into_iter().flatten().collect())
        })
    }

    fn set_document<'a>(
        &'a self,
        id: DocumentId<'a>,
        expected: Revision,
        content: Option<DocumentContent>,
    ) -> StoreFuture<'a, Revision> {
        Box::pin(async move { self.write_document(id, expected, content) })
    }

    fn watch_documents(&self, kind: &str) -> DocumentWatch {
        let mut kinds = self.kinds();
        kinds.entry(kind.to_owned()).or_default().newest.subscribe()
    }
}
