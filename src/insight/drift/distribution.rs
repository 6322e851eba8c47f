//! What is known of the distribution of a column of numbers.

use super::count::as_f64;
use crate::insight::sketch::{Bucket, LARGEST, MANTISSA_BITS, SMALLEST, Sketch, around};

/// What is known of a distribution: the share of the values in each of some closed intervals, in ascending order.
///
/// A single value is an interval of zero width, so a distribution of samples is known completely. A bucket of a sketch is an
/// interval. The range between two neighbouring quantiles of a profile is one too. Quantiles that repeat are an *atom*: an
/// interval of zero width, a value that many rows share. So a feature with few distinct values, such as the day of the week, is
/// not mistaken for a continuous one.
///
/// Rows without a value are counted separately and belong to no share.
///
/// Invariants: intervals do not overlap, but may touch. Shares are cumulative and end at 1. There are no intervals if no value
/// was counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    intervals: Vec<Interval>,
    count: u64,
    /// The error of any cumulative share is at most this.
    slack: f64,
    /// Rows without a value.
    missing: u64,
    /// Precision of the values, as [`Sketch::bits`] of a sketch.
    bits: u32,
}

/// An interval.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Interval {
    low: f64,
    high: f64,
    /// Share of all values in this interval and those before it.
    up_to: f64,
}

/// A share with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Share {
    pub(super) low: f64,
    pub(super) estimate: f64,
    pub(super) high: f64,
}

impl Distribution {
    /// Creates the distribution of the values themselves. Values that are not finite are ignored.
    #[must_use]
    pub fn of_samples(values: &[f64]) -> Self {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|x| x.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        // Unlike `total_cmp`, `==` takes negative zero for zero.
        let equal = sorted.chunk_by(|one, two| one == two);
        Self::of_counts(equal.map(|run| (run[0], run[0], run.len() as u64)))
    }

    /// Creates the distribution of a sketch, in which the bucket of each value is known.
    #[must_use]
    pub fn of_sketch(sketch: &Sketch) -> Self {
        let (min, max) = (sketch.min().unwrap_or(0.0), sketch.max().unwrap_or(0.0));
        let counts = sketch.buckets().map(|bucket| {
            let (low, high) = closed(&bucket);
            // The outermost bucket of each sign is open-ended.
            let low = if low <= -LARGEST { low.min(min) } else { low };
            let high = if high >= LARGEST { high.max(max) } else { high };
            (low, high, bucket.count)
        });
        Self {
            bits: sketch.bits(),
            ..Self::of_counts(counts)
        }
    }

    /// Creates the distribution of a profile: `quantiles` are ascending, at equal steps from the smallest to the largest of
    /// `count` values (linear interpolation, Hyndman and Fan type 7). Between two neighbours lies one step, in an unknown place. A
    /// quantile lies between two neighbouring values, so cumulative shares are known to within one row. The bounds do not cover
    /// the rounding of the quantiles themselves. Returns `None` for fewer than two quantiles or no values.
    #[must_use]
    pub fn of_quantiles(quantiles: &[f64], count: u64) -> Option<Self> {
        let steps = quantiles.len().checked_sub(1).filter(|steps| *steps > 0)?;
        let mut intervals: Vec<Interval> = Vec::with_capacity(steps);
        for (at, pair) in quantiles.windows(2).enumerate() {
            let up_to = as_f64(at as u64 + 1) / as_f64(steps as u64);
            match intervals.last_mut() {
                Some(last) if last.low == pair[1] => last.up_to = up_to,
                _ => intervals.push(Interval {
                    low: pair[0],
                    high: pair[1],
                    up_to,
                }),
            }
        }
        (count > 0).then(|| Self {
            intervals,
            count,
            slack: 1.0 / as_f64(count),
            missing: 0,
            bits: MANTISSA_BITS,
        })
    }

    /// Returns self with `missing` rows without a value.
    #[must_use]
    pub fn with_missing(self, missing: u64) -> Self {
        Self { missing, ..self }
    }

    fn of_counts(counts: impl Iterator<Item = (f64, f64, u64)>) -> Self {
        let mut count = 0;
        let counted: Vec<(f64, f64, u64)> = counts
            .map(|(low, high, more)| {
                count += more;
                (low, high, count)
            })
            .collect();
        let intervals = counted.into_iter().map(|(low, high, up_to)| Interval {
            low,
            high,
            up_to: as_f64(up_to) / as_f64(count),
        });
        Self {
            intervals: intervals.collect(),
            count,
            slack: 0.0,
            missing: 0,
            bits: MANTISSA_BITS,
        }
    }

    /// Returns the number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the number of rows without a value. [`count`](Self::count) does not include them.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Returns the number of rows, including those without a value.
    pub(super) fn total(&self) -> u64 {
        self.count + self.missing
    }

    /// Returns the precision of the values, as [`Sketch::bits`].
    pub(super) fn bits(&self) -> u32 {
        self.bits
    }

    /// Returns the largest error of a cumulative share.
    pub(super) fn slack(&self) -> f64 {
        self.slack
    }

    /// Returns the share of the values below `x`.
    pub(super) fn below(&self, x: f64) -> Share {
        self.cumulated(x, |end| end < x)
    }

    /// Returns the share of the values at or below `x`.
    pub(super) fn up_to(&self, x: f64) -> Share {
        self.cumulated(x, |end| end <= x)
    }

    /// Returns the share of the values that `before` accepts. `before` is called with ends of intervals, and accepts them up to
    /// `x`.
    fn cumulated(&self, x: f64, before: impl Fn(f64) -> bool) -> Share {
        let whole = self
            .intervals
            .partition_point(|interval| before(interval.high));
        let begun = self
            .intervals
            .partition_point(|interval| before(interval.low));
        let at = |intervals: usize| {
            intervals
                .checked_sub(1)
                .map_or(0.0, |at| self.intervals[at].up_to)
        };
        let (low, high) = (at(whole), at(begun));
        let estimate = if begun > whole {
            let interval = self.intervals[whole];
            low + (interval.up_to - low)
                * ((x - interval.low) / (interval.high - interval.low)).clamp(0.0, 1.0)
        } else {
            low
        };
        Share {
            low,
            estimate,
            high,
        }
    }

    /// Returns both ends of each interval, ascending.
    pub(super) fn ends(&self) -> impl Iterator<Item = f64> + '_ {
        self.intervals
            .iter()
            .flat_map(|interval| [interval.low, interval.high])
    }

    /// Returns half the width of a value's interval, averaged over all values: a bound on the mean error of values that are
    /// assumed to be spread evenly in their intervals.
    pub(super) fn mean_half_width(&self) -> f64 {
        let mut before = 0.0;
        let each = self.intervals.iter().map(|interval| {
            let share = interval.up_to - before;
            before = interval.up_to;
            share * (interval.high / 2.0 - interval.low / 2.0)
        });
        each.sum()
    }

    /// Returns the smallest and the largest possible value, or `None` without values.
    pub(super) fn span(&self) -> Option<(f64, f64)> {
        Some((self.intervals.first()?.low, self.intervals.last()?.high))
    }

    /// Returns the best estimate of the value below which the share `q` lies, or `None` without values.
    pub(super) fn quantile(&self, q: f64) -> Option<f64> {
        // The quantiles of a profile are at whole percents, which `f64` represents with a rounding error.
        const ROUNDING: f64 = 1e-12;
        let at = self
            .intervals
            .partition_point(|interval| interval.up_to < q - ROUNDING);
        let interval = self.intervals.get(at).or(self.intervals.last())?;
        let before = at.checked_sub(1).map_or(0.0, |at| self.intervals[at].up_to);
        let within = ((q - before) / (interval.up_to - before)).clamp(0.0, 1.0);
        Some(if within >= 1.0 - ROUNDING {
            interval.high
        } else {
            interval.low + (interval.high - interval.low) * within
        })
    }
}

/// Returns the smallest and the largest number in a bucket. The bucket of positive numbers includes its lower end, that of
/// negative numbers its upper end.
pub(super) fn closed(bucket: &Bucket) -> (f64, f64) {
    if bucket.low >= 0.0 && bucket.high > 0.0 {
        (bucket.low.max(SMALLEST), bucket.high.next_down())
    } else if bucket.high <= 0.0 && bucket.low < 0.0 {
        (bucket.low.next_up(), bucket.high.min(-SMALLEST))
    } else {
        ((-SMALLEST).next_up(), SMALLEST.next_down())
    }
}

/// Returns the smallest and the largest number that a sketch of `bits` bits does not distinguish from `x`, which is finite.
pub(super) fn cell(x: f64, bits: u32) -> (f64, f64) {
    closed(&around(x, bits))
}
