//! The path of one request: from a decoded [`Query`] to an [`Answer`].
//!
//! [`Pipeline::predict`] loads one [`Snapshot`](live::Snapshot) and keeps it to the end, so a change of policy or of versions
//! never tears a request. [`route`] decides which version answers, and is pure. `execute` decides where the forward pass runs,
//! and [`batch`] which requests run together. [`shadow`] scores copies for versions that no client waits for.
//!
//! Not here: wire formats ([`api`](crate::api)), and how snapshots are built ([`control`](crate::control)).

pub mod admission;
pub mod batch;
pub mod call_limit;
pub mod live;
pub mod route;
pub mod shadow;
pub mod version;

mod execute;
mod fallback;
mod isolation;
mod lookup;
mod pipeline;
mod query;
mod score;
mod work;

pub use lookup::pinned;
pub use pipeline::Pipeline;
pub use query::{Answer, Pin, Query};
pub use work::Prediction;
