//! The contract of every store.

use std::fmt;
use std::path::PathBuf;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::document::{DocumentContent, DocumentId, DocumentWatch, RawDocument};
use super::record::{Draft, Record, RevisionRange};
use crate::ident::{ModelName, Revision};

/// Changes of each model that a store keeps at least.
pub const MIN_HISTORY: usize = 1000;

/// What a method of a [`Store`] returns.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// Why a store did not do what it was asked. In every case nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another writer was faster.
    #[error("revision {current} is in force")]
    Conflict {
        /// Current revision of the model or document; 0 if it has none.
        current: Revision,
    },
    /// The disk is full.
    #[error("the disk of the state folder is full")]
    Full,
    /// A document exceeds the limit on its size.
    #[error("document {id} has {bytes} bytes, at most {limit} are allowed")]
    TooLarge {
        /// The document, `kind/key`.
        id: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The folder of the store is not the one that was opened.
    #[error(
        "the state folder {} was removed or replaced while this gateway used it, and a change would be lost with the next start: \
         put the folder back, or restart the gateway, which then uses what is there",
        .0.display()
    )]
    Lost(PathBuf),
    /// The store failed.
    #[error("{0}")]
    Failed(String),
}

/// Keeps the desired state of every model with its history, and documents of other kinds.
///
/// Every implementation guarantees:
///
/// - Of two writes to one model or document with the same `expected` revision, at most one succeeds.
/// - Revisions only grow: over all models together, and for documents within each kind.
/// - Once a write has returned `Ok`, every later read sees it, including after a restart or a crash if the store is durable.
/// - A write that was not acknowledged is either completely there or not at all.
/// - Of each model, at least the last [`MIN_HISTORY`] changes can be read. Older changes are dropped.
/// - Several writers may use one store. Each sees the changes of the others through [`watch`](Store::watch). After a conflict,
///   `watch` already shows the revision that won.
pub trait Store: fmt::Debug + Send + Sync {
    /// Returns the last change of every model, sorted by name.
    fn all(&self) -> StoreFuture<'_, Vec<Record>>;

    /// Returns the change with this revision, if it is kept.
    fn at(&self, revision: Revision) -> StoreFuture<'_, Option<Record>>;

    /// Stores `draft` as the next revision of `model`, whose current revision must be `expected`: 0 if it has none.
    fn compare_and_set<'a>(
        &'a self,
        model: &'a ModelName,
        expected: Revision,
        draft: Draft,
    ) -> StoreFuture<'a, Record>;

    /// Returns the changes in `range`, ascending.
    fn history<'a>(&'a self, range: RevisionRange<'a>) -> StoreFuture<'a, Vec<Record>>;

    /// Returns the highest revision that is no longer kept, over all models; 0 if all are kept. A reader that has seen this
    /// revision or a later one has missed none.
    fn compacted(&self) -> StoreFuture<'_, Revision>;

    /// Returns a receiver of the newest revision over all models. Level-triggered: a reader that wakes late reads the
    /// [`history`](Self::history) since the revision that it knows, and misses none.
    fn watch(&self) -> watch::Receiver<Revision>;

    /// Checks that what is stored can still be found after a restart. A change is refused for the same reason.
    fn check(&self) -> StoreFuture<'_, ()>;

    /// Returns one document, if it exists.
    fn document<'a>(&'a self, id: DocumentId<'a>) -> StoreFuture<'a, Option<RawDocument>>;

    /// Returns all documents of a kind, sorted by key.
    fn documents<'a>(&'a self, kind: &'a str) -> StoreFuture<'a, Vec<RawDocument>>;

    /// Stores `content` under `id`, or deletes the document if it is `None`, and returns the new revision of the kind. The
    /// document's current revision must be `expected`: 0 if it does not exist.
    ///
    /// A document that is deleted and created again gets a higher revision than before. Deleting a document that does not
    /// exist changes nothing.
    fn set_document<'a>(
        &'a self,
        id: DocumentId<'a>,
        expected: Revision,
        content: Option<DocumentContent>,
    ) -> StoreFuture<'a, Revision>;

    /// Returns a receiver of the newest revision of a kind. Level-triggered: a reader that wakes late reads the
    /// [`documents`](Self::documents) again.
    fn watch_documents(&self, kind: &str) -> DocumentWatch;
}
