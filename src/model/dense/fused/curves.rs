//! Activations made of e to the x, in arithmetic alone: a loop over them uses whole registers, where each `f32::exp` would be
//! a call. No fused multiply and add, so they give the same bits on every CPU.
//!
//! Accuracy is that of the standard library within a few units in the last place. What is not a number stays so. Method and
//! coefficients: S. L. Moshier, Cephes, `expf` and `tanhf`.

use std::f32::consts::LOG2_E;

/// Adding it, one and a half times 2^23, rounds a small number to an integer, in the lowest bits.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts: the first has so few bits that an exponent times it is exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
/// Beyond this on either side e to the x is taken as there; it just fits f32.
const MOST: f32 = 87.0;

/// e to the x, for x within [`MOST`] of zero; what lies beyond counts as the nearest that does not.
#[inline(always)]
fn exp(x: f32) -> f32 {
    let x = x.clamp(-MOST, MOST);
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

/// `1 / (1 + e^-x)`
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `x / (1 + e^-x)`
#[inline(always)]
pub(super) fn silu(x: f32) -> f32 {
    // Where e^-x is no longer right; minus infinity becomes no number, as it would there.
    if x < -MOST {
        x * 0.0
    } else {
        x / (1.0 + exp(-x))
    }
}

/// `(e^2x - 1) / (e^2x + 1)`
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    // Near zero the difference above would lose its digits, so there it is a series.
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

    /// Numbers of every size and both signs, zero, and the two infinities.
    fn numbers() -> impl Iterator<Item = f32> {
        let sizes = (0..=0x7f80_0000_u32).step_by(4_093).chain([0x7f80_0000]);
        sizes.map(f32::from_bits).flat_map(|x| [x, -x])
    }

    #[test]
    fn each_is_right_to_a_few_units_in_the_last_place() {
        for x in numbers() {
            let exact = f64::from(x);
            let sigmoid_of = 1.0 / (1.0 + (-exact).exp());
            let mut table = vec![
                ("tanh", tanh(x), exact.tanh(), 0.0),
                // Less than the least that e to the x gives here is zero to everyone.
                ("sigmoid", sigmoid(x), sigmoid_of, 2e-38),
            ];
            if x.is_finite() {
                table.push(("silu", silu(x), exact * sigmoid_of, 2e-36));
            }
            for (name, got, wanted, apart) in table {
                let apart = apart + 4e-7 * wanted.abs() + f64::from(f32::MIN_POSITIVE);
                let off = (f64::from(got) - wanted).abs();
                assert!(
                    off <= apart,
                    "{name} of {x:e}: got {got:e}, wants {wanted:e}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        for f in [tanh, sigmoid, silu] {
            assert!(f(f32::NAN).is_nan());
        }
        assert!(silu(f32::NEG_INFINITY).is_nan(), "zero times infinity");
        assert_eq!(silu(f32::INFINITY), f32::INFINITY);
    }
}
