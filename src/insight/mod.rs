//! What was seen: how often, how fast and with what result each version answered.
//!
//! Everything that a request records goes through handles that were resolved when its version was loaded, so that
//! recording builds no label and takes no lock. Series belong to a version: when its last holder lets it go, they go.
//! The metrics facade is write-only; nothing here is read back to decide anything.

pub mod compare;
pub mod metrics;
pub mod sketch;
