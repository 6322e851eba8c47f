//! Copies of requests for versions whose answers no client waits for.
//!
//! After the primary has answered or failed, [`ShadowPool::offer`] gives a copy of the request to the [`ShadowQueue`] of each
//! shadow that [`select_shadows`](super::route::select_shadows) chose. A shadow queue is bounded, has threads of its own of the lowest
//! priority, and belongs to the policy that named the shadow: when that policy is replaced, queued copies are dropped, the
//! threads end, and the version is released.
//!
//! Those threads only encode and run the forward pass. One thread of normal priority records the results (`recorder.rs`), so
//! that no other thread ever waits for a lock that a thread of the lowest priority holds.
//!
//! Invariants:
//! - Offering a copy never waits, and its cost to the client does not grow.
//! - A shadow that is slow, fails, panics or hangs occupies only its own threads.
//! - A copy that is not scored is counted by reason. A copy that is scored past its deadline counts as `DEADLINE_EXCEEDED`.
//! - While every copy that a shadow may score at one time is past its deadline, further copies for it are dropped. This state
//!   belongs to the version (`ShadowSlots`), not to the queue, so a version that hangs holds no more threads after a change
//!   of policy than before.
//!
//! Not here: which versions are shadows, and of what share ([`route`](super::route)).

mod budget;
mod memory;
mod pool;
mod queue;
mod recorder;
pub(super) mod slots;

pub use pool::{ShadowPool, ShadowPoolSettings};
pub use queue::{PrimaryResult, ShadowCopy, ShadowQueue};
