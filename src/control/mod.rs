//! What is wanted: the traffic policy of each model, its revisions, and the one task that changes what is live.
//!
//! Every change goes the same way: the [`Control`] handle sends it to the writer, which checks it against what is READY
//! ([`admit()`]), stores it under compare-and-set ([`Store`]), builds the next snapshot and publishes it with one store.
//! It is acknowledged after that, so an acknowledged change is stored and live.
//! Not here: routing by the policy ([`serving::route`](crate::serving::route)).

mod admit;
mod boot;
mod load;
mod loader;
mod reaper;
mod store;
mod writer;

pub use admit::admit;
pub use boot::{ModelSettings, boot};
pub use load::{LoadedModel, load_registry};
pub use loader::{LoadEvent, Loader, Order, Report};
pub use reaper::{Freed, Reaper, Retired};
pub use store::{MemoryStore, Store, StoreError, Stored};
pub use writer::{Control, PolicyChange, Writer};
