//! Copies of requests for versions whose answers nobody waits for.
//!
//! After the primary has answered, or failed, the request goes with [`ShadowPool::offer`] to the [`ShadowQueue`] of each shadow that
//! [`copies`](super::route::copies) chose. A lane is a bounded queue of its own with threads of its own, of the lowest
//! priority, and belongs to the policy that named the shadow: when that policy goes, what waits is dropped, the threads end,
//! and the version is free.
//!
//! Those threads do nothing but encode and run the forward pass; what they did is recorded by one thread of the common
//! priority (`desk`), so that nobody ever waits for a lock that a thread of the lowest one holds.
//!
//! What always holds: offering never waits and costs the caller nothing that grows; a shadow that is slow, fails, panics or
//! hangs takes nothing but its own threads; whatever is not scored is counted by reason. A copy that is computed past its
//! deadline counts as `DEADLINE_EXCEEDED`, and while everything that a shadow may compute at one time is past it, its further
//! copies are dropped. That is kept with the version ([`Slots`]), not with the lane, so a version that hangs holds no more
//! threads after a change of policy than before.
//! Not here: who is a shadow of what share ([`route`](super::route)).

mod budget;
mod pool;
mod queue;
mod recorder;
mod slots;

pub use pool::{ShadowPool, ShadowPoolSettings};
pub use queue::{Copied, Primary, ShadowQueue};
pub use slots::Slots;
