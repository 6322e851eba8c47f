//! Curves in plain arithmetic, beside those of the format `dense`, from which the exponential function comes. The compiler
//! vectorizes loops over them.

pub(super) use crate::model::format::dense::fused::curves::{exp, sigmoid, silu, tanh};

/// Returns e to the x, also where the result is not a normal number: zero or infinity.
#[inline(always)]
pub(super) fn whole_exp(x: f32) -> f32 {
    // Beyond this, `exp` clamps its argument.
    let half = exp(x * 0.5);
    if x.abs() > 86.0 { half * half } else { exp(x) }
}

/// Returns e to the x, minus 1, for `x` up to zero.
#[inline(always)]
pub(super) fn exp_m1(x: f32) -> f32 {
    // A series near zero, where the difference would lose its digits.
    let mut sum = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0] {
        sum = sum * x + coefficient;
    }
    if x > -0.35 { sum * x } else { exp(x) - 1.0 }
}

/// Returns the Gauss error function, with an absolute error of a few units in the last place of 1.
///
/// A rational approximation of degree 13 over 8, which is 1 from 4 on. Coefficients: Eigen, `generic_fast_erf_float`.
#[inline(always)]
pub(super) fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    let mut above = -2.726_142_3e-10;
    for coefficient in [
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ] {
        above = above * square + coefficient;
    }
    let mut below = -1.456_607_2e-5;
    for coefficient in [-2.133_740_5e-4, -1.682_827e-3, -7.373_329e-3, -1.426_474e-2] {
        below = below * square + coefficient;
    }
    x * above / below
}
