//! Keys: unsigned integers in the order of the numbers that they stand for.
//!
//! A split compares keys instead of numbers, because then one comparison covers every condition: `x <= t` is `key(x) < key(t) + 1`,
//! and a missing value is the first or the last key.

use std::cell::Cell;
use std::fmt::Debug;

/// Values of this magnitude or less are zero in splits with [`Missing::ZeroYes`](crate::model::trees::Missing::ZeroYes) or `ZeroNo`:
/// `kZeroThreshold` of LightGBM, which is 1e-35 in f32.
const ZERO: f32 = 1e-35;
/// The most keys that a thread keeps from one call to the next.
const KEPT: usize = 1 << 16;

/// An unsigned integer that stands for a number.
pub(super) trait Key: Copy + Ord + Debug + 'static {
    /// Below the key of every number.
    const FIRST: Self;
    /// Above the key of every number.
    const LAST: Self;

    /// Returns the key after this one.
    fn next(self) -> Self;

    /// Calls `work` with memory for `length` keys. Their content is arbitrary.
    fn with_scratch<T>(length: usize, work: impl FnOnce(&mut [Self]) -> T) -> T;
}

/// A value of a row.
pub(super) trait Input: Copy + Debug + Default + Into<f64> {
    /// Its key.
    type Key: Key;

    /// Returns the key of the number. Both zeros have the same key. The result for NaN is arbitrary.
    fn key(self) -> Self::Key;

    /// Returns whether it is NaN.
    fn is_missing(self) -> bool;

    /// Returns whether it is NaN, or so small that some splits treat it like NaN.
    fn is_missing_or_zero(self) -> bool;

    /// Returns the key of the number of this type that is nearest to `x`, and that number.
    fn nearest(x: f64) -> (Self::Key, f64);

    /// Returns the key of the smallest number that is at least `x`.
    fn at_least(x: f64) -> Self::Key {
        match Self::nearest(x) {
            (key, near) if near >= x => key,
            (key, _) => key.next(),
        }
    }

    /// Returns the key after those of all numbers up to `x`.
    fn above(x: f64) -> Self::Key {
        match Self::nearest(x) {
            (key, near) if near > x => key,
            (key, _) => key.next(),
        }
    }
}

/// Implements the traits for a type of floats and the unsigned and signed integers of its size.
macro_rules! implement {
    ($float:ty, $key:ty, $signed:ty, $scratch:ident) => {
        thread_local! {
            static $scratch: Cell<Vec<$key>> = const { Cell::new(Vec::new()) };
        }

        impl Key for $key {
            const FIRST: Self = 0;
            const LAST: Self = <$key>::MAX;

            fn next(self) -> Self {
                self.saturating_add(1)
            }

            fn with_scratch<T>(length: usize, work: impl FnOnce(&mut [Self]) -> T) -> T {
                // Taken out of the thread-local variable, so that a panic or a nested call does not find it borrowed.
                let mut scratch = $scratch.take();
                if scratch.len() < length {
                    scratch.resize(length, 0);
                }
                let result = work(&mut scratch[..length]);
                if scratch.capacity() <= KEPT {
                    $scratch.set(scratch);
                }
                result
            }
        }

        impl Input for $float {
            type Key = $key;

            #[inline(always)]
            fn key(self) -> $key {
                const SIGN: $key = 1 << (<$key>::BITS - 1);
                // The sum turns the negative zero into the positive one.
                let bits = (self + 0.0).to_bits();
                // Of a negative number all bits are flipped, of a positive one the sign.
                bits ^ (((bits as $signed >> (<$key>::BITS - 1)) as $key) | SIGN)
            }

            #[inline(always)]
            fn is_missing(self) -> bool {
                self.is_nan()
            }

            #[inline(always)]
            fn is_missing_or_zero(self) -> bool {
                self.is_nan() || self.abs() <= <$float>::from(ZERO)
            }

            fn nearest(x: f64) -> ($key, f64) {
                let near = x as $float;
                (near.key(), f64::from(near))
            }
        }
    };
}

implement!(f32, u32, i32, SINGLE);
implement!(f64, u64, i64, DOUBLE);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_the_numbers() {
        let tiny = f32::from_bits(1);
        let ascending = [
            f32::NEG_INFINITY,
            f32::MIN,
            -1.0,
            -f32::MIN_POSITIVE,
            -tiny,
            0.0,
            tiny,
            f32::MIN_POSITIVE,
            1.0,
            f32::MAX,
            f32::INFINITY,
        ];
        let keys: Vec<_> = ascending.iter().map(|x| x.key()).collect();
        assert!(keys.is_sorted_by(|a, b| a < b));
        assert!(u32::FIRST < keys[0] && keys[10].next() < u32::LAST);
        let wide: Vec<_> = ascending.iter().map(|x| f64::from(*x).key()).collect();
        assert!(wide.is_sorted_by(|a, b| a < b));
        assert!(u64::FIRST < wide[0] && wide[10].next() < u64::LAST);
        assert_eq!((-0.0_f32).key(), 0.0_f32.key());
        assert_eq!((-0.0_f64).key(), 0.0_f64.key());
    }

    #[test]
    fn a_threshold_between_two_floats_is_compared_exactly() {
        let one = 1.0_f32.key();
        for (x, at_least, above) in [
            (1.0, one, one + 1),
            (1.0 + 1e-12, one + 1, one + 1),
            (1.0 - 1e-12, one, one),
            (1e-60, 0.0_f32.key() + 1, 0.0_f32.key() + 1),
            (-1e-60, 0.0_f32.key(), 0.0_f32.key()),
            (1e300, f32::INFINITY.key(), f32::INFINITY.key()),
            (f64::INFINITY, f32::INFINITY.key(), f32::INFINITY.key() + 1),
        ] {
            assert_eq!(f32::at_least(x), at_least, "at least {x}");
            assert_eq!(f32::above(x), above, "above {x}");
        }
    }

    #[test]
    fn a_thread_keeps_only_the_memory_of_small_calls() {
        u32::with_scratch(KEPT / 2, |keys| keys.fill(7));
        u32::with_scratch(3, |keys| assert_eq!(keys, [7; 3]));
        u32::with_scratch(KEPT + 1, |keys| assert_eq!(keys.len(), KEPT + 1));
        u32::with_scratch(3, |keys| assert_eq!(keys, [0; 3]));
    }
}
