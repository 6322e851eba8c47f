//! What is known of the distribution of a column of numbers.

use super::as_f64;
use crate::insight::sketch::{Bucket, LARGEST, MANTISSA_BITS, SMALLEST, Sketch, around};

/// What is known of a distribution: how much of it lies in each of some closed intervals, in ascending order.
///
/// Single values are intervals of no width, so of samples everything is known. A bucket of a sketch is an interval; so is what
/// lies between two neighbouring quantiles of a profile, and quantiles that repeat are an *atom*: an interval of no width, where
/// many rows have the very same value. So a feature that has few values (the day of the week) is not taken for a smooth one.
///
/// Rows without a value are counted beside it: they are no part of any share.
///
/// Invariants: intervals do not overlap, but may touch; shares are cumulated and end at 1; empty if nothing was counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    pieces: Vec<Piece>,
    count: u64,
    /// How far the cumulated shares may be off everywhere.
    slack: f64,
    /// Rows without a value.
    missing: u64,
    /// How finely it tells values apart, as [`Sketch::bits`] of a sketch.
    bits: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    low: f64,
    high: f64,
    /// Share of all that lies in this piece and those before.
    upto: f64,
}

/// A share between two that it cannot leave, and the best guess.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Share {
    pub(super) low: f64,
    pub(super) guess: f64,
    pub(super) high: f64,
}

impl Distribution {
    /// Of the values themselves; what is not finite is left out.
    #[must_use]
    pub fn of_samples(values: &[f64]) -> Self {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|x| x.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        // Negative zero is zero.
        let equal = sorted.chunk_by(|one, two| one == two);
        Self::of_counts(equal.map(|run| (run[0], run[0], run.len() as u64)))
    }

    /// Of a sketch: a value is known to its bucket.
    #[must_use]
    pub fn of_sketch(sketch: &Sketch) -> Self {
        let (min, max) = (sketch.min().unwrap_or(0.0), sketch.max().unwrap_or(0.0));
        let counts = sketch.buckets().map(|bucket| {
            let (low, high) = closed(&bucket);
            // The last bucket of each sign is open.
            let low = if low <= -LARGEST { low.min(min) } else { low };
            let high = if high >= LARGEST { high.max(max) } else { high };
            (low, high, bucket.count)
        });
        Self {
            bits: sketch.bits(),
            ..Self::of_counts(counts)
        }
    }

    /// Of a profile: `quantiles` at equal steps from the smallest to the largest of `count` values (linear interpolation, Hyndman
    /// and Fan type 7), ascending. Between two of them lies one step, somewhere; a quantile stands between two neighbouring values, so
    /// cumulated shares are known to one row. What rounding of the quantiles themselves hides is not covered. `None` for fewer than
    /// two quantiles or no values.
    #[must_use]
    pub fn of_quantiles(quantiles: &[f64], count: u64) -> Option<Self> {
        let steps = quantiles.len().checked_sub(1).filter(|steps| *steps > 0)?;
        let mut pieces: Vec<Piece> = Vec::with_capacity(steps);
        for (at, pair) in quantiles.windows(2).enumerate() {
            let upto = as_f64(at as u64 + 1) / as_f64(steps as u64);
            match pieces.last_mut() {
                Some(last) if last.low == pair[1] => last.upto = upto,
                _ => pieces.push(Piece {
                    low: pair[0],
                    high: pair[1],
                    upto,
                }),
            }
        }
        (count > 0).then(|| Self {
            pieces,
            count,
            slack: 1.0 / as_f64(count),
            missing: 0,
            bits: MANTISSA_BITS,
        })
    }

    /// The same beside `missing` rows without a value.
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
        let pieces = counted.into_iter().map(|(low, high, upto)| Piece {
            low,
            high,
            upto: as_f64(upto) / as_f64(count),
        });
        Self {
            pieces: pieces.collect(),
            count,
            slack: 0.0,
            missing: 0,
            bits: MANTISSA_BITS,
        }
    }

    /// How many values it describes.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Rows without a value, which are not among them.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// How many rows it describes, those without a value included.
    pub(super) fn total(&self) -> u64 {
        self.count + self.missing
    }

    /// How finely it tells values apart.
    pub(super) fn bits(&self) -> u32 {
        self.bits
    }

    /// How far cumulated shares may be off everywhere.
    pub(super) fn slack(&self) -> f64 {
        self.slack
    }

    /// Share of the values below `x`.
    pub(super) fn below(&self, x: f64) -> Share {
        self.cumulated(x, |end| end < x)
    }

    /// Share of the values at or below `x`.
    pub(super) fn upto(&self, x: f64) -> Share {
        self.cumulated(x, |end| end <= x)
    }

    /// `before` says whether an end of an interval, if it were a value, would be counted.
    fn cumulated(&self, x: f64, before: impl Fn(f64) -> bool) -> Share {
        let whole = self.pieces.partition_point(|piece| before(piece.high));
        let begun = self.pieces.partition_point(|piece| before(piece.low));
        let at = |pieces: usize| pieces.checked_sub(1).map_or(0.0, |at| self.pieces[at].upto);
        let (low, high) = (at(whole), at(begun));
        let guess = if begun > whole {
            let piece = self.pieces[whole];
            low + (piece.upto - low) * ((x - piece.low) / (piece.high - piece.low)).clamp(0.0, 1.0)
        } else {
            low
        };
        Share { low, guess, high }
    }

    /// All ends of intervals, ascending.
    pub(super) fn ends(&self) -> impl Iterator<Item = f64> + '_ {
        self.pieces.iter().flat_map(|piece| [piece.low, piece.high])
    }

    /// How far the value of a row is from where it is guessed to be, at most, on average over all rows.
    pub(super) fn mean_half_width(&self) -> f64 {
        let mut before = 0.0;
        let each = self.pieces.iter().map(|piece| {
            let share = piece.upto - before;
            before = piece.upto;
            share * (piece.high / 2.0 - piece.low / 2.0)
        });
        each.sum()
    }

    /// From the smallest to the largest value that is possible.
    pub(super) fn span(&self) -> Option<(f64, f64)> {
        Some((self.pieces.first()?.low, self.pieces.last()?.high))
    }

    /// The value below which the share `q` lies, guessed; `None` without values.
    pub(super) fn quantile(&self, q: f64) -> Option<f64> {
        // A profile has its quantiles at whole per cents, which as f64 are met to rounding only.
        const ROUNDING: f64 = 1e-12;
        let at = self
            .pieces
            .partition_point(|piece| piece.upto < q - ROUNDING);
        let piece = self.pieces.get(at).or(self.pieces.last())?;
        let before = at.checked_sub(1).map_or(0.0, |at| self.pieces[at].upto);
        let within = ((q - before) / (piece.upto - before)).clamp(0.0, 1.0);
        Some(if within >= 1.0 - ROUNDING {
            piece.high
        } else {
            piece.low + (piece.high - piece.low) * within
        })
    }
}

/// The smallest and the largest number of a bucket: of a bucket above zero the low end belongs to it, of one below the high end.
pub(super) fn closed(bucket: &Bucket) -> (f64, f64) {
    if bucket.low >= 0.0 && bucket.high > 0.0 {
        (bucket.low.max(SMALLEST), bucket.high.next_down())
    } else if bucket.high <= 0.0 && bucket.low < 0.0 {
        (bucket.low.next_up(), bucket.high.min(-SMALLEST))
    } else {
        ((-SMALLEST).next_up(), SMALLEST.next_down())
    }
}

/// The smallest and the largest number that a sketch of so many bits does not tell from `x`, which is finite.
pub(super) fn cell(x: f64, bits: u32) -> (f64, f64) {
    closed(&around(x, bits))
}
