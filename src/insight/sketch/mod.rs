//! A distribution of numbers in bounded memory, with a stated error.
//!
//! A [`Sketch`] counts values in buckets whose bounds are the floating-point numbers with [`MANTISSA_BITS`] bits after the
//! leading one: 128 buckets between each power of two and the next, so a value is known to [`RELATIVE_ERROR`]. It is the log-linear
//! histogram of HdrHistogram over floating-point numbers, and gives the guarantee of DDSketch (Masson, Rim, Lee 2019,
//! <https://arxiv.org/abs/1908.10693>): every quantile is within that relative error of a value of that rank. All sketches
//! have the same bounds, so merging two is adding their counts: it loses nothing, in whatever order.
//!
//! Memory is bounded, too: buckets come in chunks of sixteen, made where values come, and where a sketch would need more of them
//! than it may have, every two neighbouring buckets become one, which doubles the error (Epicoco et al. 2020, "UDDSketch").
//! A value of an odd size costs one chunk, so a few of them take nothing from what is known of the others.
//!
//! What always holds: [`Sketch::relative_error`] tells the error, which is [`RELATIVE_ERROR`] until there are too many chunks; then
//! whole numbers up to 256 have a bucket of their own, so for them nothing is lost at all; zero has one, too, and values closer to
//! it than [`SMALLEST`] count as zero; values beyond [`LARGEST`] count as that, in mean and variance, too, and
//! [`Sketch::beyond`] tells how many there are; minimum and maximum are exact, mean and variance to rounding.
//! Not here: time, and what to conclude.

mod bucket;
mod store;
#[cfg(test)]
mod tests;

use store::Store;

pub use bucket::{Bucket, LARGEST, MANTISSA_BITS, SMALLEST};

/// Largest relative distance between a value and the middle of its bucket.
pub const RELATIVE_ERROR: f64 = 1.0 / 256.0;
/// Bytes on the heap that a sketch may take where nobody says how many: all of 32 powers of two of each sign.
pub const MOST_BYTES: usize = 512 * store::CHUNK_BYTES;
/// Bytes on the heap that a sketch may take in any case: with them it tells numbers apart that differ by a factor of two.
pub const FEWEST_BYTES: usize = store::FEWEST_CHUNKS * store::CHUNK_BYTES;

/// Counts of finite numbers. See the module for what it keeps and what it loses.
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
            store: Store::of(MOST_BYTES / store::CHUNK_BYTES),
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
    /// Nothing yet, of at most so many `bytes` on the heap, cut to [`FEWEST_BYTES`] to [`MOST_BYTES`].
    #[must_use]
    pub fn within(bytes: usize) -> Self {
        let store = Store::of(bytes.min(MOST_BYTES) / store::CHUNK_BYTES);
        Self {
            store,
            ..Self::default()
        }
    }

    /// Counts `value`. What is not finite is not counted, which the answer tells.
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
        // Welford's recurrence: no cancellation however far the mean is from zero. Cut, so that no square is infinite.
        self.count += 1;
        let cut = value.clamp(-LARGEST, LARGEST);
        let from = cut - self.mean;
        self.mean += from / as_f64(self.count);
        self.squares += from * (cut - self.mean);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        true
    }

    /// Adds all that `other` has counted.
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

    /// Takes back all that `part` has counted, which was merged into this one. The buckets are then as if it had never been; the
    /// minimum and the maximum stay and enclose what is left, and mean and variance are rounded where little is left of much.
    pub fn take_back(&mut self, part: &Self) {
        let left = self.count.saturating_sub(part.count);
        if left == 0 {
            return self.clear();
        }
        self.store.take_back(&part.store);
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

    /// Forgets all, and keeps the memory for what comes next.
    pub fn clear(&mut self) {
        let mut store = std::mem::replace(&mut self.store, Store::of(0));
        store.clear();
        *self = Self {
            store,
            ..Self::default()
        };
    }

    /// How many values were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The smallest value, exactly; `None` without values.
    #[must_use]
    pub fn min(&self) -> Option<f64> {
        (self.count > 0).then_some(self.min)
    }

    /// The largest value, exactly; `None` without values.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        (self.count > 0).then_some(self.max)
    }

    /// How many values lie at or beyond [`LARGEST`], on either side.
    #[must_use]
    pub fn beyond(&self) -> u64 {
        let beyond = self
            .buckets()
            .filter(|bucket| bucket.low >= LARGEST || bucket.high <= -LARGEST);
        beyond.map(|bucket| bucket.count).sum()
    }

    /// Bits of the mantissa that tell two buckets apart: [`MANTISSA_BITS`], and fewer where there were too many chunks.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.store.bits()
    }

    /// Largest relative distance between a value, up to [`LARGEST`], and the middle of its bucket.
    #[must_use]
    pub fn relative_error(&self) -> f64 {
        0.5 / f64::from(1_u32 << self.bits())
    }

    /// The mean, of values cut to [`LARGEST`]; `None` without values.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// The variance of the values themselves (divided by their number), cut to [`LARGEST`]; `None` without values.
    #[must_use]
    pub fn variance(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.squares / as_f64(self.count)).max(0.0))
    }

    /// The value below or at which the share `q` of all lies, within [`relative_error`](Self::relative_error) of a value of that rank
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

    /// All buckets that hold anything, ascending, without overlap.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        let zero = (self.zero > 0).then_some(Bucket {
            low: 0.0,
            high: 0.0,
            count: self.zero,
        });
        self.store.below().chain(zero).chain(self.store.above())
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.store.heap_bytes()
    }
}

/// The bucket that a sketch of so many [`bits`](Sketch::bits) counts `value`, which is finite, in.
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
