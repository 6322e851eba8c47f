//! What was seen: how often, how fast and with what result each version answered.
//!
//! Everything that a request records goes through handles that were resolved when its version was loaded, so that
//! recording builds no label and takes no lock that requests share. Series and statistics belong to a version: when its last
//! holder lets it go, they go. The metrics facade is write-only; what is decided is decided from [`stats`].

pub mod attempt;
pub mod compare;
pub mod drift;
pub mod metrics;
pub mod outcomes;
pub mod prediction_log;
pub mod query;
pub mod sketch;
pub mod stats;

mod outputs;
mod version;

pub use version::VersionInsight;
