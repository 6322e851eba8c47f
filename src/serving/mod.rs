//! One request's way: from a decoded [`Query`] to an [`Answer`].
//!
//! [`Pipeline::predict`] loads one [`Snapshot`](live::Snapshot) and keeps it to the end, so that a change of policy or
//! of versions never tears a request. Decisions are in [`route`], which is pure; where the forward pass runs is decided
//! in [`execute`]; versions that only get copies are in [`shadow`].
//! Not here: the wire ([`api`](crate::api)), how snapshots come to be ([`control`](crate::control)).

pub mod execute;
pub mod gate;
pub mod live;
pub mod route;
pub mod shadow;

mod fallback;
mod pipeline;
mod query;

pub use pipeline::Pipeline;
pub use query::{Answer, Pin, Query};
