//! One bucket of a sketch, and the range of values that have one.

/// Bits of the mantissa that tell two buckets apart.
pub const MANTISSA_BITS: u32 = 7;
/// Magnitudes below count as zero: 2^-40, about 9.1e-13.
pub const SMALLEST: f64 = 1.0 / (1_u64 << 40) as f64;
/// Magnitudes above count as this: 2^64, about 1.8e19.
pub const LARGEST: f64 = (1_u128 << 64) as f64;

/// Values that are told apart no further: all of them lie in `low..high`, or are equal where `low == high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Smallest value that it can hold.
    pub low: f64,
    /// No value in it is larger.
    pub high: f64,
    /// How many it holds; never 0.
    pub count: u64,
}

impl Bucket {
    /// The value that stands for all in it.
    #[must_use]
    pub fn middle(&self) -> f64 {
        self.low + (self.high - self.low) / 2.0
    }
}
