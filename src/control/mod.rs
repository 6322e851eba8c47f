//! What is wanted: of each model its traffic policy, its labels and its versions; and the one task that makes it so.
//!
//! Every change goes the same way: the [`Control`] handle sends it to the writer, which applies it ([`Edit`]), checks it
//! against what is READY ([`admit()`]), stores it under compare-and-set ([`Store`]), publishes the next snapshot with one store
//! and writes it into the audit log. It is answered after that, so an acknowledged change is durable and live.
//!
//! Versions come and go the same way: the registry is looked at, [`reconcile()`] says what to do, the loader's thread loads
//! and verifies, the writer publishes, and the reaper's thread frees the old weights after their last request.
//!
//! What always holds: what is stored is what was acknowledged; a version that a policy or a label names is never retired.
//! Not here: routing by the policy ([`serving::route`](crate::serving::route)), what is inside a version
//! ([`model`](crate::model)), which folders there are ([`registry`](crate::registry)).

mod admit;
mod difference;
mod edit;
mod handle;
mod load;
mod loader;
mod model_state;
mod reaper;
mod reconcile;
mod settings;
mod state;
mod store;
mod version_entry;
mod view;
mod wanted;
mod writer;

pub use admit::{Means, admit};
pub use difference::{Difference, differences};
pub use edit::{ChangeOptions, Edit};
pub use handle::{Changed, Control};
pub use loader::{LoadEvent, Loader, Order, Report};
pub use reaper::{Freed, Reaper, Retired};
pub use reconcile::{Situation, Step, VersionChoice, VersionFacts, latest, reconcile};
pub use settings::{ModelSettings, Settings};
pub use state::State;
pub use store::{
    Author, Draft, EmbeddedStore, MemoryStore, OpenError, Record, RevisionRange, Store, StoreError,
};
pub use view::{ModelView, VersionView, View};
pub use wanted::{Pending, Wanted};
pub use writer::{Beginning, Event, Tools, Writer};
