//! Answers every question about what was observed, in domain types: statistics, drift, comparison and outcomes.
//!
//! One file per question. The functions read [`VersionInsight`](super::VersionInsight)s and contain the rules: which rows are
//! compared with which, what counts as an error of the version, what is not compared and why, and the defaults. RPCs, rollouts
//! and the drift gauges get their answers here, so that all of them get the same one.
//!
//! Invariants: nothing here writes, waits for a client, reads a clock, or knows a wire format or the metrics facade.
//! Not here: the measures themselves ([`stats`](super::stats), [`drift`](super::drift), [`compare`](super::compare),
//! [`outcomes`](super::outcomes)), and which versions are READY (`serving`).

pub mod compare;
pub mod drift;
pub mod outcomes;
pub mod stats;

mod distribution;
mod observed;
#[cfg(test)]
mod tests;

pub use distribution::DistributionSummary;
pub use observed::{ObservedVersion, Sample, select};
