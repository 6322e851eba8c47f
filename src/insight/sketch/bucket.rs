//! One bucket of a sketch, and the range of values that have one.

/// The bits of the mantissa that distinguish two buckets.
pub const MANTISSA_BITS: u32 = 7;
/// Smaller magnitudes count as zero: 2^-40, about 9.1e-13.
pub const SMALLEST: f64 = 1.0 / (1_u64 << 40) as f64;
/// Larger magnitudes count as this: 2^64, about 1.8e19.
pub const LARGEST: f64 = (1_u128 << 64) as f64;

/// Values that are not distinguished further: all lie in `low..high`, or all are equal if `low == high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The smallest value that it can contain.
    pub low: f64,
    /// An upper limit: no value in it is larger.
    pub high: f64,
    /// The number of values in it; never 0.
    pub count: u64,
}

impl Bucket {
    /// Returns the value that represents all values in it.
    #[must_use]
    pub fn middle(&self) -> f64 {
        self.low + (self.high - self.low) / 2.0
    }
}
