//! Activations based on the exponential function, in plain arithmetic. The compiler vectorizes loops over them, while each `f32::exp`
//! would be a function call. They use no fused multiply-add, so they give the same bits on every CPU.
//!
//! The results differ from the standard library by a few units in the last place. NaN stays NaN. Method and coefficients: S. L. Moshier,
//! Cephes, `expf` and `tanhf`.

use std::f32::consts::LOG2_E;

/// 1.5 * 2^23. Adding it rounds a small number to an integer, which is then in the lowest bits.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts. The first has so few bits that its product with an exponent is exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
/// The largest argument of `exp`, about the largest whose result fits f32.
const MAX_ARGUMENT: f32 = 87.0;

/// Returns e to the x. `x` is clamped to at most [`MAX_ARGUMENT`] from zero.
#[inline(always)]
pub(in crate::model::format) fn exp(x: f32) -> f32 {
    let x = x.clamp(-MAX_ARGUMENT, MAX_ARGUMENT);
    let rounded = x * LOG2_E + ROUND;
    let power = rounded - ROUND;
    let x = x - power * LN_2[0] - power * LN_2[1];
    let mut sum = 1.987_569_1e-4;
    for coefficient in [
        1.398_2e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        sum = sum * x + coefficient;
    }
    let scale = f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
    (sum * x * x + x + 1.0) * scale
}

/// Returns `1 / (1 + e^-x)`.
#[inline(always)]
pub(in crate::model::format) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Returns `x / (1 + e^-x)`.
#[inline(always)]
pub(in crate::model::format) fn silu(x: f32) -> f32 {
    // Here `exp` is clamped and no longer correct. Minus infinity becomes NaN, as in the formula.
    if x < -MAX_ARGUMENT {
        x * 0.0
    } else {
        x / (1.0 + exp(-x))
    }
}

/// Returns `(e^2x - 1) / (e^2x + 1)`.
#[inline(always)]
pub(in crate::model::format) fn tanh(x: f32) -> f32 {
    // A series near zero, where the difference in the formula would lose its digits.
    let square = x * x;
    let mut sum = -5.704_988_7e-3;
    for coefficient in [2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -0.333_332_8] {
        sum = sum * square + coefficient;
    }
    let series = sum * square * x + x;
    let far = (1.0 - 2.0 / (1.0 + exp(2.0 * x.abs()))).copysign(x);
    if x.abs() < 0.625 { series } else { far }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns numbers of every magnitude and both signs, zero, and both infinities.
    fn numbers() -> impl Iterator<Item = f32> {
        let sizes = (0..=0x7f80_0000_u32).step_by(4_093).chain([0x7f80_0000]);
        sizes.map(f32::from_bits).flat_map(|x| [x, -x])
    }

    #[test]
    fn each_function_is_exact_to_a_few_units_in_the_last_place() {
        for x in numbers() {
            let exact = f64::from(x);
            let sigmoid_of = 1.0 / (1.0 + (-exact).exp());
            let mut table = vec![
                ("tanh", tanh(x), exact.tanh(), 0.0),
                // Smaller than the smallest result of `exp`, which counts as zero.
                ("sigmoid", sigmoid(x), sigmoid_of, 2e-38),
            ];
            if x.is_finite() {
                table.push(("silu", silu(x), exact * sigmoid_of, 2e-36));
            }
            for (name, got, wanted, absolute) in table {
                let tolerance = absolute + 4e-7 * wanted.abs() + f64::from(f32::MIN_POSITIVE);
                let error = (f64::from(got) - wanted).abs();
                assert!(
                    error <= tolerance,
                    "{name} of {x:e}: got {got:e}, wants {wanted:e}"
                );
            }
        }
    }

    #[test]
    fn nan_stays_nan() {
        for f in [tanh, sigmoid, silu] {
            assert!(f(f32::NAN).is_nan());
        }
        assert!(silu(f32::NEG_INFINITY).is_nan(), "zero times infinity");
        assert_eq!(silu(f32::INFINITY), f32::INFINITY);
    }
}
