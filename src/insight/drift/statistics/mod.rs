//! Statistics of two distributions and of two tables of counts, one file for each.
//!
//! Statistics of numbers take [`Distribution`](super::Distribution)s and return [`Estimate`](super::Estimate)s. They are exact for
//! samples. For a sketch or a profile, their bounds enclose the result for the samples.

mod bins;
mod chi_squared;
mod discovery;
mod gamma;
mod kolmogorov;
mod ks;
mod wasserstein;

pub use bins::{Bins, SHARE_FLOOR, jensen_shannon, population_stability};
pub(super) use bins::{jensen_shannon_of_counts, population_stability_of_counts};
pub use chi_squared::{ChiSquared, EXPECTED_FLOOR, chi_squared, pooled};
pub use discovery::benjamini_hochberg;
pub use kolmogorov::survival as kolmogorov_survival;
pub use ks::{kolmogorov_smirnov, two_sample_p};
pub use wasserstein::wasserstein;
