//! Operations on single values between two linear layers.

use std::f32::consts::FRAC_1_SQRT_2;

use super::super::layer::{self, Activation, Affine, narrowed};
use super::curves;

/// An operation on each value of a row.
#[derive(Debug)]
pub(super) enum Pointwise {
    Activation(Activation),
    /// `x factor + shift`, by column.
    Affine {
        factor: Vec<f32>,
        shift: Vec<f32>,
    },
}

impl Pointwise {
    pub(super) fn affine(affine: &Affine) -> Self {
        Self::Affine {
            factor: layer::rounded(&affine.factor),
            shift: layer::rounded(&affine.shift),
        }
    }

    /// Applies the operation to whole rows, in place.
    #[inline(always)]
    pub(super) fn apply(&self, rows: &mut [f32]) {
        let activation = match self {
            Self::Affine { factor, shift } => {
                for row in rows.chunks_exact_mut(factor.len()) {
                    for (x, (factor, shift)) in row.iter_mut().zip(factor.iter().zip(shift)) {
                        *x = *x * factor + shift;
                    }
                }
                return;
            }
            Self::Activation(activation) => *activation,
        };
        match activation {
            // Written so that NaN stays NaN; scores that are not finite are rejected.
            Activation::Relu => each(rows, |x| if x < 0.0 { 0.0 } else { x }),
            Activation::LeakyRelu(slope) => {
                let slope = narrowed(slope);
                each(rows, |x| if x < 0.0 { x * slope } else { x });
            }
            Activation::Gelu => each(rows, |x| (libm::erff(x * FRAC_1_SQRT_2) + 1.0) * 0.5 * x),
            Activation::Silu => each(rows, curves::silu),
            Activation::Tanh => each(rows, curves::tanh),
            Activation::Sigmoid => each(rows, curves::sigmoid),
        }
    }
}

#[inline(always)]
fn each(values: &mut [f32], f: impl Fn(f32) -> f32) {
    for x in values {
        *x = f(*x);
    }
}
