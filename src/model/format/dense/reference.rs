//! Scores a network with candle, layer by layer. The fused pass is tested against it, and it scores large networks if candle may use
//! several threads per pass.

use candle_core::{Device, Tensor};

use super::layer::{self, Activation, Part};
use crate::model::batch::Batch;

/// A network of candle tensors on the CPU, in f32.
#[derive(Debug)]
pub(super) struct Reference(Vec<Step>);

/// One step of a forward pass over `[rows, width]`.
#[derive(Debug)]
enum Step {
    /// `x weight + bias`. `weight [in, out]` is contiguous in that order, which halves the time of a batch of 8 compared with a
    /// transposed view.
    Linear { weight: Tensor, bias: Tensor },
    /// `x factor + shift`, both `[width]`.
    Affine { factor: Tensor, shift: Tensor },
    /// Applied to each value.
    Activation(Activation),
}

impl Reference {
    /// Lays out `parts`. Calls `rest` between pieces of work.
    ///
    /// # Errors
    /// Returns errors of candle. None is known for parts that fit each other.
    pub(super) fn new(parts: Vec<Part>, rest: &mut dyn FnMut()) -> candle_core::Result<Self> {
        let steps = parts.into_iter().map(|part| Step::of(part, rest));
        steps.collect::<candle_core::Result<_>>().map(Self)
    }

    /// Returns the outputs of the last layer, row-major.
    ///
    /// # Errors
    /// Returns errors of candle.
    pub(super) fn forward(&self, rows: &Batch) -> candle_core::Result<Vec<f32>> {
        let shape = (rows.len(), rows.columns());
        let mut x = Tensor::from_slice(rows.as_slice(), shape, &Device::Cpu)?;
        for step in &self.0 {
            x = step.apply(&x)?;
        }
        x.flatten_all()?.to_vec1()
    }
}

impl Step {
    fn of(part: Part, rest: &mut dyn FnMut()) -> candle_core::Result<Self> {
        let vector = |values: &[f64]| Tensor::new(layer::rounded(values), &Device::Cpu);
        Ok(match part {
            Part::Linear(linear) => {
                let (shape, bias) = ((linear.ins, linear.outs), vector(&linear.bias)?);
                let weight = linear.transposed(rest);
                Self::Linear {
                    weight: Tensor::from_vec(weight, shape, &Device::Cpu)?,
                    bias,
                }
            }
            Part::Affine(affine) => Self::Affine {
                factor: vector(&affine.factor)?,
                shift: vector(&affine.shift)?,
            },
            Part::Activation(activation) => Self::Activation(activation),
        })
    }

    fn apply(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Linear { weight, bias } => x.matmul(weight)?.broadcast_add(bias),
            Self::Affine { factor, shift } => x.broadcast_mul(factor)?.broadcast_add(shift),
            Self::Activation(activation) => match activation {
                Activation::Relu => x.relu(),
                Activation::Gelu => x.gelu_erf(),
                Activation::Silu => x.silu(),
                Activation::Tanh => x.tanh(),
                Activation::Sigmoid => candle_nn::ops::sigmoid(x),
                Activation::LeakyRelu(slope) => candle_nn::ops::leaky_relu(x, *slope),
            },
        }
    }
}
