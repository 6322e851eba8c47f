//! A sketch as the numbers that people read.

use crate::insight::sketch::{Bucket, Sketch};
use crate::insight::stats::bars;

/// Bars of a distribution of scores, confidences, differences or inputs. Times have none.
pub(super) const BARS: usize = 40;

/// How numbers are distributed. All fields are zero without numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DistributionSummary {
    /// How many numbers there are.
    pub count: u64,
    /// Their mean, of values cut to [`LARGEST`](crate::insight::sketch::LARGEST). Exact to rounding.
    pub mean: f64,
    /// Their standard deviation (divided by their number), of values cut likewise. Exact to rounding.
    pub std: f64,
    /// The smallest, exactly.
    pub min: f64,
    /// The largest, exactly.
    pub max: f64,
    /// The median. As all quantiles, within `relative_error` of a value of its rank.
    pub p50: f64,
    /// The quantile 0.9.
    pub p90: f64,
    /// The quantile 0.95.
    pub p95: f64,
    /// The quantile 0.99.
    pub p99: f64,
    /// The quantile 0.999.
    pub p999: f64,
    /// Bars of equal width, ascending, without empty ones. None for times.
    pub bars: Vec<Bucket>,
    /// The largest relative distance between a quantile and a value of its rank.
    pub relative_error: f64,
    /// Values at or beyond [`LARGEST`](crate::insight::sketch::LARGEST) on either side.
    pub beyond: u64,
}

impl DistributionSummary {
    /// Summarises a distribution of times, without bars.
    pub(super) fn of_times(sketch: &Sketch) -> Self {
        let quantile = |q| sketch.quantile(q).unwrap_or_default();
        Self {
            count: sketch.count(),
            mean: sketch.mean().unwrap_or_default(),
            std: sketch.variance().unwrap_or_default().sqrt(),
            min: sketch.min().unwrap_or_default(),
            max: sketch.max().unwrap_or_default(),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p95: quantile(0.95),
            p99: quantile(0.99),
            p999: quantile(0.999),
            bars: Vec::new(),
            relative_error: sketch.relative_error(),
            beyond: sketch.beyond(),
        }
    }

    /// Summarises a distribution of values, with up to [`BARS`] bars.
    pub(super) fn of_values(sketch: &Sketch) -> Self {
        Self {
            bars: bars(sketch, BARS),
            ..Self::of_times(sketch)
        }
    }
}
