//! Whether what a version sees and says now differs from what it saw and said before.
//!
//! A [`Distribution`] is what is known of a column of numbers: the numbers themselves, a [`Sketch`](super::sketch::Sketch) of them or
//! the 101 quantiles of a reference profile. [`statistics`] compare two of them, and two tables of counts; [`assess`] runs all
//! of them over all features and predictions and says which ones drifted. [`Columns`] are what of a version can be compared.
//!
//! What always holds: everything is a pure function of its arguments; every statistic of numbers comes as a [`Measured`], whose ends
//! enclose what the values themselves would give, however little of them is known; too few rows give no number at all.
//! Not here: where the counts come from (the windows), and what to do about drift (alerts, rollouts).

mod categories;
mod columns;
mod distribution;
mod measured;
mod report;
pub mod statistics;
#[cfg(test)]
mod tests;

pub use categories::Categories;
pub use columns::Columns;
pub use distribution::Distribution;
pub use measured::{Measured, TooFew};
pub use report::{
    DriftReport, FeaturePair, Finding, Outcome, Pair, Rule, Severity, Statistics, assess,
};

/// A count as a number. Counts stay far below 2^53, up to which every whole number is exact.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn as_f64(count: u64) -> f64 {
    count as f64
}
