//! Forward passes that are too expensive for the thread that holds the request: one queue per version, and one thread pool.
//!
//! The pool is work-conserving: a pass begins as soon as a thread is free, with every request that waits for that version at
//! that moment, up to the rows of a batch. So batches grow with the load, and requests wait for others only if
//! `max_queue_delay` says so. Versions take turns, one batch each.
//!
//! Invariants:
//! - Queues are bounded.
//! - A request whose deadline has passed, or whose client has disconnected, is dropped before it is computed, and counted.
//! - A request that cannot be answered before its deadline is refused: when it arrives, or as soon as this becomes known.
//! - A fault of one request fails no other request.
//!
//! Not here: passes that cost less than a change of threads, and passes while a fallback is ready (`execute.rs`); shadows
//! (`shadow/`).
//!
//! `form.rs` and `admit.rs` contain the rules, and are pure; `cost.rs` and `load.rs` estimate; `queue.rs` and `pool.rs` apply
//! them.

mod admit;
pub(super) mod cost;
mod form;
mod load;
mod pool;
pub(super) mod queue;
pub(super) mod settings;

pub use cost::Costs;
pub use pool::Pool;
pub use queue::BatchQueue;
pub use settings::{Batching, BatchingHints};
