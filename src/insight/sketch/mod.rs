//! A distribution of numbers in bounded memory, with a stated error.
//!
//! A [`Sketch`] counts values in buckets whose bounds are the floating-point numbers with [`MANTISSA_BITS`] bits after the
//! leading one: 128 buckets between one power of two and the next, so a value is known to [`RELATIVE_ERROR`]. This is the log-linear
//! histogram of HdrHistogram over floating-point numbers, with the guarantee of DDSketch (Masson, Rim, Lee 2019,
//! <https://arxiv.org/abs/1908.10693>): every quantile is within that relative error of a value of that rank. All sketches
//! have the same bounds, so two are merged by adding their counts, which loses nothing, in any order.
//!
//! Memory is bounded: buckets are allocated in chunks of sixteen where values come. If a sketch would need more chunks than it
//! may have, every two neighbouring buckets are joined, which doubles the error (Epicoco et al. 2020, "UDDSketch"). A value of an
//! unusual magnitude costs one chunk, so a few of them do not make the other buckets coarser.
//!
//! Invariants:
//! * [`Sketch::relative_error`] returns the error, which is [`RELATIVE_ERROR`] until there are too many chunks.
//! * Until then, whole numbers up to 256 have a bucket each, so they are exact.
//! * Zero has a bucket. Values closer to zero than [`SMALLEST`] count as zero.
//! * Values beyond [`LARGEST`] count as [`LARGEST`], also in mean and variance. [`Sketch::beyond`] returns how many there are.
//! * Minimum and maximum are exact; mean and variance are exact to rounding.
//!
//! Not here: time, and what follows from a distribution.

mod bucket;
mod store;
#[cfg(test)]
mod tests;

use store::Store;

pub use bucket::{Bucket, LARGEST, MANTISSA_BITS, SMALLEST};

/// The largest relative distance between a value and the middle of its bucket.
pub const RELATIVE_ERROR: f64 = 1.0 / 256.0;
/// The bytes on the heap that a sketch may take by default: enough for 32 powers of two of each sign.
pub const MAX_BYTES: usize = 512 * store::CHUNK_BYTES;
/// The bytes on the heap that every sketch may take: enough to distinguish numbers that differ by a factor of two.
pub const MIN_BYTES: usize = store::MIN_CHUNKS * store::CHUNK_BYTES;

/// A distribution of finite numbers. The module documentation says what it keeps and what it loses.
#[derive(Clone, Debug, PartialEq)]
pub struct Sketch {
    store: Store,
    zero: u64,
    count: u64,
    mean: f64,
    /// Sum of squared distances to the mean.
    squares: f64,
    min: f64,
    max: f64,
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            store: Store::new(MAX_BYTES / store::CHUNK_BYTES),
            zero: 0,
            count: 0,
            mean: 0.0,
            squares: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }
}

impl Sketch {
    /// Creates an empty sketch that takes at most `bytes` on the heap. `bytes` is limited to [`MIN_BYTES`] to [`MAX_BYTES`].
    #[must_use]
    pub fn within(bytes: usize) -> Self {
        let store = Store::new(bytes.min(MAX_BYTES) / store::CHUNK_BYTES);
        Self {
            store,
            ..Self::default()
        }
    }

    /// Counts `value` and returns whether it did: a value that is not finite is not counted.
    #[inline]
    pub fn record(&mut self, value: f64) -> bool {
        if !value.is_finite() {
            return false;
        }
        if value.abs() < SMALLEST {
            self.zero += 1;
        } else {
            self.store.add(value);
        }
        // Welford's recurrence: no cancellation, however far the mean is from zero. Values are cut so that no square is infinite.
        self.count += 1;
        let cut = value.clamp(-LARGEST, LARGEST);
        let from = cut - self.mean;
        self.mean += from / as_f64(self.count);
        self.squares += from * (cut - self.mean);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        true
    }

    /// Adds the values of `other`.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.store.merge(&other.store);
        self.zero += other.zero;
        // Chan, Golub, LeVeque 1979.
        let (own, theirs) = (as_f64(self.count), as_f64(other.count));
        let both = own + theirs;
        let apart = other.mean - self.mean;
        self.mean += apart * (theirs / both);
        self.squares += other.squares + apart * apart * (own * theirs / both);
        self.count += other.count;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Subtracts the values of `part`, which was merged into this one. The buckets become those of the remaining values. Minimum and
    /// maximum stay, and enclose the remaining values. Mean and variance lose precision if few values remain of many.
    pub fn subtract(&mut self, part: &Self) {
        let left = self.count.saturating_sub(part.count);
        if left == 0 {
            return self.clear();
        }
        self.store.subtract(&part.store);
        self.zero = self.zero.saturating_sub(part.zero);
        // The recurrence of `merge`, solved for what was there before.
        let (all, theirs, own) = (as_f64(self.count), as_f64(part.count), as_f64(left));
        let mean = self.mean + (self.mean - part.mean) * (theirs / own);
        let apart = part.mean - mean;
        self.squares =
            (self.squares - part.squares - apart * apart * (own * theirs / all)).max(0.0);
        self.mean = mean;
        self.count = left;
    }

    /// Removes all values and keeps the memory for later ones.
    pub fn clear(&mut self) {
        let mut store = std::mem::replace(&mut self.store, Store::new(0));
        store.clear();
        *self = Self {
            store,
            ..Self::default()
        };
    }

    /// Returns the number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the smallest value, exactly; `None` without values.
    #[must_use]
    pub fn min(&self) -> Option<f64> {
        (self.count > 0).then_some(self.min)
    }

    /// Returns the largest value, exactly; `None` without values.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        (self.count > 0).then_some(self.max)
    }

    /// Returns the number of values at or beyond [`LARGEST`], on either side.
    #[must_use]
    pub fn beyond(&self) -> u64 {
        let beyond = self
            .buckets()
            .filter(|bucket| bucket.low >= LARGEST || bucket.high <= -LARGEST);
        beyond.map(|bucket| bucket.count).sum()
    }

    /// Returns the bits of the mantissa that distinguish two buckets: [`MANTISSA_BITS`], or fewer if there were too many chunks.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.store.bits()
    }

    /// Returns the largest relative distance between a value, up to [`LARGEST`], and the middle of its bucket.
    #[must_use]
    pub fn relative_error(&self) -> f64 {
        0.5 / f64::from(1_u32 << self.bits())
    }

    /// Returns the mean of the values, cut to [`LARGEST`]; `None` without values.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// Returns the variance of the values (divided by their number), cut to [`LARGEST`]; `None` without values.
    #[must_use]
    pub fn variance(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.squares / as_f64(self.count)).max(0.0))
    }

    /// Returns the quantile `q`: the value at or below which the share `q` of all values lies, within [`relative_error`](Self::relative_error) of a value of that rank
    /// (the `⌈q n⌉`-th smallest), or [`SMALLEST`] around zero. `q` is cut to 0 to 1. `None` without values.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and the count"
        )]
        let rank = ((q.clamp(0.0, 1.0) * as_f64(self.count)).ceil() as u64).clamp(1, self.count);
        let mut below = 0;
        for bucket in self.buckets() {
            below += bucket.count;
            if below >= rank {
                return Some(bucket.middle().clamp(self.min, self.max));
            }
        }
        Some(self.max)
    }

    /// Returns the buckets that are not empty, ascending. They do not overlap.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        let zero = (self.zero > 0).then_some(Bucket {
            low: 0.0,
            high: 0.0,
            count: self.zero,
        });
        self.store.below().chain(zero).chain(self.store.above())
    }

    /// Returns its bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.store.heap_bytes()
    }
}

/// Returns the bucket in which a sketch with this many [`bits`](Sketch::bits) counts `value`, which must be finite.
#[must_use]
pub fn around(value: f64, bits: u32) -> Bucket {
    if value.abs() < SMALLEST {
        let (low, high) = (0.0, 0.0);
        return Bucket {
            low,
            high,
            count: 1,
        };
    }
    store::around(value, bits)
}

impl Extend<f64> for Sketch {
    fn extend<T: IntoIterator<Item = f64>>(&mut self, values: T) {
        for value in values {
            self.record(value);
        }
    }
}

impl FromIterator<f64> for Sketch {
    fn from_iter<T: IntoIterator<Item = f64>>(values: T) -> Self {
        let mut sketch = Self::default();
        sketch.extend(values);
        sketch
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts stay far below 2^52, where every whole number is exact"
)]
fn as_f64(count: u64) -> f64 {
    count as f64
}
