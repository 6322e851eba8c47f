//! Drift: whether the inputs and predictions of a version now differ from those of before.
//!
//! A [`Distribution`] describes a column of numbers by the numbers themselves, by a [`Sketch`](super::sketch::Sketch) or by the
//! 101 quantiles of a reference profile. [`statistics`] compare two distributions, or two tables of counts. [`assess`] computes
//! all of them for all features and predictions and reports which have drifted. [`Columns`] selects what can be compared of a
//! version.
//!
//! Invariants:
//! * Everything is a pure function of its arguments.
//! * Each statistic of numbers is an [`Estimate`]. Its bounds enclose the result for the values themselves, even if little is
//!   known of them.
//! * Too few rows give no number at all.
//!
//! Not here: where the counts come from ([`stats`](super::stats)), and what to do about drift (alerts, rollouts).

mod categories;
mod columns;
mod count;
mod distribution;
mod estimate;
mod report;
pub mod statistics;
#[cfg(test)]
mod tests;

pub use categories::Categories;
pub use columns::Columns;
pub use distribution::Distribution;
pub use estimate::{Estimate, TooFewRows};
pub use report::{
    ColumnPair, ColumnResult, DriftReport, Finding, Pair, Rule, Severity, Statistics, assess,
};
