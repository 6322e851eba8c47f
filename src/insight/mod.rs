//! What was observed of each version: how often, how fast, and with what result it answered.
//!
//! A [`VersionInsight`] belongs to one loaded version and contains everything that was observed of it. Requests record through
//! handles that are made when the version is loaded, so recording builds no label and takes no lock that requests share.
//! Statistics and series end with the version, when its last holder drops it.
//!
//! Invariant: every decision and every answer comes from [`query`], never from the metrics facade, which is write-only.

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
