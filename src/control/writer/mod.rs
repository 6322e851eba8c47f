//! The one task that changes what is live.
//!
//! It handles everything in sequence: commands, new records in the store, registry listings, versions that were loaded or
//! freed, and times that are due. So no update is lost between a read and a write, and no lock is needed. After each,
//! [`reconcile`](super::reconcile::reconcile) decides what to do, and one atomic store publishes the next snapshot.
//!
//! Several writers may share one store. Each follows all records, its own and those of the others, and writes audit lines for
//! its own only: an audit log belongs to one process, and a change is in the log of the writer that made it.

mod audit_lines;
mod automatic;
mod change;
mod digests;
mod follow;
mod lifecycle;
mod revert;
mod start;
mod task;
#[cfg(test)]
mod tests;

pub use start::StartMode;
pub use task::{Event, Writer, WriterParts};
