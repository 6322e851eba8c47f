//! A statistic with its bounds.

/// A statistic of data that is known only in part.
///
/// Invariant: `low <= value <= high`, and the statistic of the values themselves lies within `low..=high`, except for the
/// rounding of sums of `f64`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The best estimate.
    pub value: f64,
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
}

impl Estimate {
    /// Creates a statistic. Rounding may have exchanged the bounds or moved `value` outside them: this corrects both.
    pub(super) fn new(value: f64, low: f64, high: f64) -> Self {
        let (low, high) = (low.min(high), high.max(low));
        Self {
            value: value.clamp(low, high),
            low,
            high,
        }
    }

    /// Returns the distance from [`value`](Self::value) to the farther bound.
    #[must_use]
    pub fn bound(&self) -> f64 {
        (self.value - self.low).max(self.high - self.value)
    }
}

/// There are too few rows for a statistic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{have} rows, wants at least {want}")]
pub struct TooFewRows {
    /// Rows of the smaller side.
    pub have: u64,
    /// The number of rows that is enough.
    pub want: u64,
}
