//! One request's way: from a decoded [`Query`] to an [`Answer`].
//!
//! [`Pipeline::predict`] loads one [`Snapshot`](live::Snapshot) and keeps it to the end, so that a change of policy or
//! of versions never tears a request. Decisions are in [`route`], which is pure; where the forward pass runs is decided
//! in [`execute`], and what waits together in [`batch`]; versions that only get copies are in [`shadow`].
//! Not here: the wire ([`api`](crate::api)), how snapshots come to be ([`control`](crate::control)).

pub mod admission;
pub mod batch;
pub mod execute;
pub mod live;
pub mod route;
pub mod shadow;

mod fallback;
mod lookup;
mod pipeline;
mod query;
mod score;

pub use lookup::pinned;
pub use pipeline::Pipeline;
pub use query::{Answer, Pin, Query};
pub use score::Scored;
