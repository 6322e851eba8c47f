//! Arithmetic of all types of numbers, as ONNX defines it: integers wrap, and their division rounds toward zero.

use crate::model::format::onnx::value::Element;

/// A number.
pub(super) trait Number: Element + Copy + PartialOrd {
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// Not above any other number; minus infinity for floats.
    const LOWEST: Self;
    /// Not below any other number; infinity for floats.
    const HIGHEST: Self;
    /// Whether division by zero is an error.
    const IS_INTEGER: bool;

    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// The quotient. `other` must not be zero for integers.
    fn div(self, other: Self) -> Self;
    /// The remainder with the sign of `other`. `other` must not be zero for integers.
    fn modulo(self, other: Self) -> Self;
    /// The remainder with the sign of `self`. `other` must not be zero for integers.
    fn rem(self, other: Self) -> Self;
    fn negated(self) -> Self;
    fn magnitude(self) -> Self;
    /// -1, 0 or 1.
    fn sign(self) -> Self;
    fn as_f64(self) -> f64;
    /// Converts a number; toward zero for integers.
    fn from_f64(x: f64) -> Self;
    /// Whether this is NaN.
    fn is_nan(self) -> bool;

    /// The smaller number; NaN if one is NaN.
    fn smaller(self, other: Self) -> Self {
        if other < self || other.is_nan() {
            other
        } else {
            self
        }
    }

    /// The larger number; NaN if one is NaN.
    fn larger(self, other: Self) -> Self {
        if other > self || other.is_nan() {
            other
        } else {
            self
        }
    }
}

macro_rules! integer {
    ($($type:ty, $sign:expr, $magnitude:expr;)*) => {
        $(
            impl Number for $type {
                const ZERO: Self = 0;
                const ONE: Self = 1;
                const LOWEST: Self = <$type>::MIN;
                const HIGHEST: Self = <$type>::MAX;
                const IS_INTEGER: bool = true;

                fn add(self, other: Self) -> Self {
                    self.wrapping_add(other)
                }

                fn sub(self, other: Self) -> Self {
                    self.wrapping_sub(other)
                }

                fn mul(self, other: Self) -> Self {
                    self.wrapping_mul(other)
                }

                fn div(self, other: Self) -> Self {
                    if other == 0 { 0 } else { self.wrapping_div(other) }
                }

                #[allow(unused_comparisons, reason = "unsigned types have no sign")]
                fn modulo(self, other: Self) -> Self {
                    let rest = self.rem(other);
                    if rest != 0 && (rest < 0) != (other < 0) {
                        rest.wrapping_add(other)
                    } else {
                        rest
                    }
                }

                fn rem(self, other: Self) -> Self {
                    if other == 0 { 0 } else { self.wrapping_rem(other) }
                }

                fn negated(self) -> Self {
                    self.wrapping_neg()
                }

                fn magnitude(self) -> Self {
                    $magnitude(self)
                }

                fn sign(self) -> Self {
                    $sign(self)
                }

                fn as_f64(self) -> f64 {
                    self as f64
                }

                fn from_f64(x: f64) -> Self {
                    x as Self
                }

                fn is_nan(self) -> bool {
                    false
                }
            }
        )*
    };
}

integer! {
    i8, i8::signum, i8::wrapping_abs;
    i16, i16::signum, i16::wrapping_abs;
    i32, i32::signum, i32::wrapping_abs;
    i64, i64::signum, i64::wrapping_abs;
    u8, |x: u8| x.min(1), |x| x;
    u16, |x: u16| x.min(1), |x| x;
    u32, |x: u32| x.min(1), |x| x;
    u64, |x: u64| x.min(1), |x| x;
}

macro_rules! float {
    ($($type:ty)*) => {
        $(
            impl Number for $type {
                const ZERO: Self = 0.0;
                const ONE: Self = 1.0;
                const LOWEST: Self = <$type>::NEG_INFINITY;
                const HIGHEST: Self = <$type>::INFINITY;
                const IS_INTEGER: bool = false;

                fn add(self, other: Self) -> Self {
                    self + other
                }

                fn sub(self, other: Self) -> Self {
                    self - other
                }

                fn mul(self, other: Self) -> Self {
                    self * other
                }

                fn div(self, other: Self) -> Self {
                    self / other
                }

                fn modulo(self, other: Self) -> Self {
                    let rest = self % other;
                    if rest != 0.0 && (rest < 0.0) != (other < 0.0) {
                        rest + other
                    } else {
                        rest
                    }
                }

                fn rem(self, other: Self) -> Self {
                    self % other
                }

                fn negated(self) -> Self {
                    -self
                }

                fn magnitude(self) -> Self {
                    self.abs()
                }

                fn sign(self) -> Self {
                    if self == 0.0 { 0.0 } else { self.signum() }
                }

                fn as_f64(self) -> f64 {
                    self.into()
                }

                fn from_f64(x: f64) -> Self {
                    x as Self
                }

                fn is_nan(self) -> bool {
                    <$type>::is_nan(self)
                }
            }
        )*
    };
}

float! { f32 f64 }
