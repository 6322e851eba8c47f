//! A store that ends with the process: for looking whether a configuration could serve, and for tests.
//!
//! It keeps to everything that [`Store`] asks, but for lasting.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::{Draft, Record, RevisionRange, Store, StoreError};
use crate::ident::{ModelName, Revision};

/// Keeps changes in memory only.
#[derive(Debug)]
pub struct MemoryStore {
    shelf: Mutex<Shelf>,
    newest: watch::Sender<Revision>,
    /// Changes of one model that are kept.
    kept: usize,
}

#[derive(Debug, Default)]
struct Shelf {
    records: BTreeMap<u64, Record>,
    /// The revisions in `records` by model; none of the sets is empty.
    models: BTreeMap<ModelName, BTreeSet<u64>>,
    compacted: Revision,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::from_records([])
    }
}

impl MemoryStore {
    /// One that begins with `records`, in any order. What lacks before the newest of them counts as no longer kept.
    #[must_use]
    pub fn from_records(records: impl IntoIterator<Item = Record>) -> Self {
        let mut shelf = Shelf::default();
        for record in records {
            shelf.put(record);
        }
        let newest = shelf.newest();
        let lacking = (1..newest.0)
            .rev()
            .find(|revision| !shelf.records.contains_key(revision));
        shelf.compacted = Revision(lacking.unwrap_or(0));
        Self {
            shelf: Mutex::new(shelf),
            newest: watch::Sender::new(newest),
            kept: <Self as Store>::KEPT,
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn keeping(kept: usize) -> Self {
        Self {
            kept,
            ..Self::default()
        }
    }
}

impl Shelf {
    fn newest(&self) -> Revision {
        self.records
            .last_key_value()
            .map_or(Revision::default(), |(revision, _)| Revision(*revision))
    }

    fn newest_of(&self, model: &ModelName) -> Revision {
        let last = self.models.get(model).and_then(BTreeSet::last);
        last.map_or(Revision::default(), |revision| Revision(*revision))
    }

    fn put(&mut self, record: Record) {
        let revision = record.revision.0;
        self.models
            .entry(record.model.clone())
            .or_default()
            .insert(revision);
        self.records.insert(revision, record);
    }

    /// Forgets what is older than the last `kept` changes of the model of `newest`, but for what `newest` needs.
    fn trim(&mut self, newest: &Record, kept: usize) {
        let Some(revisions) = self.models.get_mut(&newest.model) else {
            return;
        };
        let needed: BTreeSet<u64> = newest.needs().collect();
        let old = revisions
            .iter()
            .rev()
            .skip(kept)
            .filter(|revision| !needed.contains(revision));
        for revision in old.copied().collect::<Vec<_>>() {
            revisions.remove(&revision);
            self.records.remove(&revision);
            self.compacted = self.compacted.max(Revision(revision));
        }
    }
}

impl Store for MemoryStore {
    async fn all(&self) -> Result<Vec<Record>, StoreError> {
        let shelf = self.shelf();
        let newest = shelf.models.values().filter_map(BTreeSet::last);
        Ok(newest
            .filter_map(|revision| shelf.records.get(revision).cloned())
            .collect())
    }

    async fn at(&self, revision: Revision) -> Result<Option<Record>, StoreError> {
        Ok(self.shelf().records.get(&revision.0).cloned())
    }

    async fn compare_and_set(
        &self,
        model: &ModelName,
        expected: Revision,
        draft: Draft,
    ) -> Result<Record, StoreError> {
        let mut shelf = self.shelf();
        let current = shelf.newest_of(model);
        if current != expected {
            return Err(StoreError::Conflict { current });
        }
        let record = draft.into_record(model, shelf.newest(), current);
        shelf.put(record.clone());
        shelf.trim(&record, self.kept);
        self.newest.send_replace(record.revision);
        Ok(record)
    }

    async fn history(&self, span: RevisionRange<'_>) -> Result<Vec<Record>, StoreError> {
        let Some(revisions) = span.revisions() else {
            return Ok(Vec::new());
        };
        let shelf = self.shelf();
        let asked = |record: &&Record| span.model.is_none_or(|model| record.model == *model);
        let newest_first = shelf
            .records
            .range(revisions)
            .rev()
            .map(|(_, record)| record);
        let mut records: Vec<_> = newest_first
            .filter(asked)
            .take(span.limit)
            .cloned()
            .collect();
        records.reverse();
        Ok(records)
    }

    async fn compacted(&self) -> Result<Revision, StoreError> {
        Ok(self.shelf().compacted)
    }

    fn watch(&self) -> watch::Receiver<Revision> {
        self.newest.subscribe()
    }
}
