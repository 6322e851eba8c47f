//! Where changes are kept, behind a trait that the embedded store implements and a replicated one can.
//!
//! A store keeps one document per model ([`Wanted`]) and the history of all of them. Revisions are counted over all models
//! together, as etcd and NATS count them. Not here: what a change may do (`edit`, `admit`), who did what in vain
//! ([`audit`](crate::audit)).

mod embedded;
mod memory;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::ops::RangeInclusive;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::wanted::Wanted;
use crate::ident::{ModelName, Revision};

pub use embedded::{EmbeddedStore, OpenError};
pub use memory::MemoryStore;

/// One stored change: who wanted what, when and why. Never changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its revision.
    pub revision: Revision,
    /// The model.
    pub model: ModelName,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who and why.
    #[serde(rename = "signed")]
    pub author: Author,
    /// What kind of change, in words: `set policy`, `move label canary to 2`.
    pub action: String,
    /// The revision of the same model before this one; 0 for the first.
    pub previous: Revision,
    /// The revision that an undo brings back: `previous`, but for a change that was itself an undo.
    pub base: Revision,
    /// What is wanted since.
    pub wanted: Wanted,
}

impl Record {
    /// When.
    #[must_use]
    pub fn at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(self.at_ms)
    }

    /// Revisions that must be kept, however old, while this is the model's last change: what an undo brings back, and what
    /// comes back unless the change is confirmed.
    fn needs(&self) -> impl Iterator<Item = u64> + use<> {
        let restores = self.wanted.pending.map(|pending| pending.restores);
        [Some(self.base), restores]
            .into_iter()
            .flatten()
            .map(|revision| revision.0)
    }
}

/// Who makes a change, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// Who: 1 to 128 characters.
    pub actor: String,
    /// Why: up to 512 characters; may be empty.
    pub reason: String,
}

/// A change on its way into the store, which gives it the next revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who and why.
    pub author: Author,
    /// What kind of change, in words.
    pub action: String,
    /// See [`Record::base`].
    pub base: Revision,
    /// What is to be wanted.
    pub wanted: Wanted,
}

impl Draft {
    /// The change of `model` that it becomes, as the one after `newest` of all models and after `previous` of this one.
    fn into_record(self, model: &ModelName, newest: Revision, previous: Revision) -> Record {
        Record {
            revision: newest.next(),
            model: model.clone(),
            at_ms: self.at_ms,
            author: self.author,
            action: self.action,
            previous,
            base: self.base,
            wanted: self.wanted,
        }
    }
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was faster.
    #[error("revision {current} is in force")]
    Conflict {
        /// The model's revision now; 0 where it has none.
        current: Revision,
    },
    /// The disk is full. Nothing was changed.
    #[error("the disk of the state folder is full")]
    Full,
    /// The store failed. Nothing was changed.
    #[error("{0}")]
    Failed(String),
}

/// Which part of the history is asked for.
#[derive(Clone, Debug, Default)]
pub struct RevisionRange<'a> {
    /// Only this model; `None`: all.
    pub model: Option<&'a ModelName>,
    /// Only revisions above this one.
    pub after: Revision,
    /// Only revisions below this one; `None`: up to the newest.
    pub before: Option<Revision>,
    /// At most so many: the newest of the span.
    pub limit: usize,
}

impl RevisionRange<'_> {
    /// The revisions asked for; `None`: there can be none.
    fn revisions(&self) -> Option<RangeInclusive<u64>> {
        let first = self.after.0.checked_add(1)?;
        let last = match self.before {
            Some(before) => before.0.checked_sub(1)?,
            None => u64::MAX,
        };
        (first <= last && self.limit > 0).then_some(first..=last)
    }
}

/// Keeps what is wanted of every model, and what was.
///
/// Whoever implements it guarantees: of two calls of [`compare_and_set`](Store::compare_and_set) for one model with the
/// same `expected` at most one succeeds; revisions only grow; once it has answered `Ok`, every later read sees that change,
/// after a restart or a crash too if the store is durable; a change that it did not acknowledge is there as a whole or not
/// at all. Histories are bounded: of each model at least the last [`KEPT`](Store::KEPT) changes can be read.
pub trait Store: Send + Sync + 'static {
    /// Changes of one model that are kept at least.
    const KEPT: usize = 1000;

    /// The last change of every model, by name.
    fn all(&self) -> impl Future<Output = Result<Vec<Record>, StoreError>> + Send;

    /// The change with this revision, if it is kept.
    fn at(
        &self,
        revision: Revision,
    ) -> impl Future<Output = Result<Option<Record>, StoreError>> + Send;

    /// Stores `draft` as the next revision of `model`, whose revision must be `expected`: 0 where it has none.
    fn compare_and_set(
        &self,
        model: &ModelName,
        expected: Revision,
        draft: Draft,
    ) -> impl Future<Output = Result<Record, StoreError>> + Send;

    /// The changes in `span`, ascending.
    fn history(
        &self,
        span: RevisionRange<'_>,
    ) -> impl Future<Output = Result<Vec<Record>, StoreError>> + Send;

    /// The highest revision that is no longer kept, over all models: a reader who has seen it, or a later one, has missed
    /// nothing. 0 where everything is kept.
    fn compacted(&self) -> impl Future<Output = Result<Revision, StoreError>> + Send;

    /// The newest revision, whenever there is a newer one. Level-triggered: who wakes late reads the [`history`](Self::history)
    /// since the revision it knows and has missed none.
    fn watch(&self) -> watch::Receiver<Revision>;
}
