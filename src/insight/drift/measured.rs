//! A statistic with what is not known about it.

/// A statistic of data that is known in part only.
///
/// Invariant: `low <= value <= high`, and what the values themselves would give lies within `low..=high`, to the rounding of
/// sums of `f64`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// The best guess.
    pub value: f64,
    /// It is no less.
    pub low: f64,
    /// It is no more.
    pub high: f64,
}

impl Measured {
    /// Ends that are crossed by rounding are put in order, and `value` between them.
    pub(super) fn new(value: f64, low: f64, high: f64) -> Self {
        let (low, high) = (low.min(high), high.max(low));
        Self {
            value: value.clamp(low, high),
            low,
            high,
        }
    }

    /// How far the truth may be from [`value`](Self::value), on the side where that is more.
    #[must_use]
    pub fn bound(&self) -> f64 {
        (self.value - self.low).max(self.high - self.value)
    }
}

/// Not enough rows to say anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{have} rows, wants at least {want}")]
pub struct TooFew {
    /// Rows of the smaller side.
    pub have: u64,
    /// The fewest that are enough.
    pub want: u64,
}
