//! Durable state, behind a trait that the embedded store implements and a replicated store can implement.
//!
//! A store keeps two things. First, the desired state of each model ([`Wanted`](super::wanted::Wanted)) with the history of
//! its changes: [`Record`]s, whose revisions are counted over all models, as etcd and NATS count them. Second, typed
//! [`Document`]s of any other kind, by kind and key, without a history; each kind counts its own revisions, so they leave no
//! gaps in the revisions that operators see. Both are written with compare-and-set and can be watched.
//!
//! Not here: what a change may do (`edit`, `admit`), and refused changes ([`audit`](crate::audit)).

mod contract;
mod document;
mod documents;
mod embedded;
mod memory;
mod record;
#[cfg(test)]
mod tests;

pub use contract::{MIN_HISTORY, Store, StoreError, StoreFuture};
pub use document::{
    Document, DocumentContent, DocumentId, DocumentWatch, RawDocument, StoredDocument,
};
pub use documents::Documents;
pub use embedded::{EmbeddedStore, OpenError};
pub use memory::MemoryStore;
pub use record::{Author, Draft, Origin, Record, RevisionRange};
