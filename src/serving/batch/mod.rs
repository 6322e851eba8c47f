//! Forward passes that are too dear for the thread that has the request: a queue a version, and one pool of threads.
//!
//! Work-conserving: a pass begins as soon as a thread is free, with all that waits for that version then, up to the rows of a
//! batch; so batches grow with the load and nobody waits for company unless `max_queue_delay` says so. Versions take turns,
//! a batch each. What always holds: queues are bounded; a request whose deadline has passed or whose caller has gone is dropped
//! before anything is computed, and counted; one that cannot end in time is refused at once, or when
//! that is seen; what is wrong with one request
//! fails no other.
//! Not here: passes that cost less than a change of threads, shadows, and passes beside a fallback (`execute.rs`, `shadow/`).
//!
//! `form.rs` and `admit.rs` decide, and are pure; `cost.rs` learns what a pass takes; `queue.rs` and `pool.rs` do.

mod admit;
mod cost;
mod form;
mod pool;
mod queue;
mod settings;

pub use cost::Costs;
pub use pool::Pool;
pub use queue::Queue;
pub use settings::{Batching, BatchingHints};
