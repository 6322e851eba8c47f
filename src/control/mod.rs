//! Desired state and the task that brings it about: traffic policies, labels, revisions, and which versions are loaded.
//!
//! A change goes from the [`Control`] handle to the writer. The writer applies it ([`Edit`]), checks it against the READY
//! versions ([`admit()`]) and stores it with compare-and-set ([`Store`]). The writer follows the store: each new record, its
//! own and those of other writers alike, becomes part of the next snapshot, which one atomic store publishes. A change is
//! acknowledged after that, so it is durable and live, and in the audit log.
//!
//! Versions are loaded and retired by the same task. The registry reports which folders exist, [`reconcile()`] decides what
//! to do, the loader's thread loads and verifies, the writer publishes, and the reaper's thread frees the old weights after
//! their last request.
//!
//! Invariants: every acknowledged change is stored; a version that a policy or a label refers to is never retired.
//!
//! Not here: routing by the policy ([`serving::route`](crate::serving::route)), what is inside a version
//! ([`model`](crate::model)), which folders exist ([`registry`](crate::registry)).

mod admit;
mod automatic;
mod clock;
mod difference;
mod digests;
mod edit;
mod handle;
mod load;
mod load_request;
mod loader;
mod model_state;
mod reaper;
mod reconcile;
mod settings;
mod state;
mod store;
#[cfg(test)]
mod test_support;
mod version_entry;
mod view;
mod wanted;
mod writer;

pub use admit::{Availability, admit};
pub use clock::{Clock, SystemClock};
pub use difference::{Difference, differences};
pub use edit::{ChangeOptions, Edit};
pub use handle::{ChangeResult, Control};
pub use load_request::{LoadRequest, LoaderRequest, VerifyRequest};
pub use loader::{LoadEvent, LoadReport, Loader};
pub use reaper::{FreedVersion, Reaper, RetiredVersion};
pub use reconcile::{Situation, Step, VersionChoice, VersionFacts, latest, reconcile};
pub use settings::{ModelSettings, Settings};
pub use state::State;
pub use store::{
    Author, Document, DocumentContent, DocumentId, DocumentWatch, Documents, Draft, EmbeddedStore,
    MIN_HISTORY, MemoryStore, OpenError, Origin, RawDocument, Record, RevisionRange, Store,
    StoreError, StoreFuture, StoredDocument,
};
pub use view::{ModelView, VersionView, View};
pub use wanted::{AcceptedDigest, LatestLabel, Pending, Wanted};
pub use writer::{Event, StartMode, Writer, WriterParts};
