//! Format `dense`: a stack of layers in one safetensors file, scored on candle.
//!
//! [`Dense::read`] refuses everything that would make an answer wrong: a tensor too few or too many, another type or
//! shape, a weight that is not finite. Batch norm is gone after loading: folded into a neighbouring linear layer, or,
//! between two activations, one factor and shift per column. Weights are plain tensors on the CPU in f32; nothing maps
//! the file, so a file that changes later changes nothing here.

mod fold;
mod weights;

#[cfg(test)]
mod tests;

use std::path::Path;

use candle_core::{Device, Tensor};

use super::manifest::Manifest;
use super::manifest::raw::Head;
use super::{Model, Rows, Scores};
use crate::error::ForwardError;
use crate::faults::Faults;
use fold::Part;

/// A network whose weights are loaded.
#[derive(Debug)]
pub(super) struct Dense {
    steps: Vec<Step>,
    head: Head,
    columns: usize,
    cost: usize,
}

/// One step of a forward pass over `[rows, width]`.
#[derive(Debug)]
enum Step {
    /// `x weight + bias`; `weight [in, out]` lies contiguous in that order, which halves the time of a batch of 8
    /// against a transposed view.
    Linear { weight: Tensor, bias: Tensor },
    /// `x factor + shift`, both `[width]`.
    Affine { factor: Tensor, shift: Tensor },
    /// Value by value.
    Activation(Activation),
}

/// What happens to each value between layers.
#[derive(Clone, Copy, Debug)]
enum Activation {
    Relu,
    Gelu,
    Silu,
    Tanh,
    Sigmoid,
    LeakyRelu(f64),
}

impl Dense {
    /// Builds the network of `manifest` from the bytes of its weights; `file` is only named in faults. `rest` is called
    /// between pieces of work. At most two copies of the weights are in memory at a time.
    ///
    /// # Errors
    /// Every tensor that is missing, surplus, or of another type or shape than the layers need, or not finite.
    pub(super) fn read(
        manifest: &Manifest,
        bytes: Vec<u8>,
        file: &Path,
        rest: &mut dyn FnMut(),
    ) -> Result<Self, Faults> {
        let parts = weights::read(manifest, &bytes, file, rest)?;
        // Before the weights are laid out, which takes place for one layer more.
        drop(bytes);
        let parts = fold::batch_norms(parts);
        rest();
        let cost = parts.iter().map(Part::cost).sum();
        let overflows: Vec<_> = parts.iter().filter_map(Part::overflow).collect();
        if let Some(name) = overflows.first() {
            let why = format!("{name}: batch norm makes weights that do not fit f32");
            return Err(Faults::one(file, why));
        }
        let steps = parts.into_iter().map(|part| Step::of(part, rest));
        let steps: candle_core::Result<Vec<_>> = steps.collect();
        Ok(Self {
            steps: steps.map_err(|error| Faults::one(file, error.to_string()))?,
            head: manifest.head,
            columns: manifest.signature.output.columns,
            cost,
        })
    }

    fn logits(&self, rows: &Rows) -> candle_core::Result<Vec<f32>> {
        let shape = (rows.len(), rows.columns());
        let mut x = Tensor::from_slice(rows.as_slice(), shape, &Device::Cpu)?;
        for step in &self.steps {
            x = step.apply(&x)?;
        }
        x.flatten_all()?.to_vec1()
    }
}

impl Model for Dense {
    fn cost_per_row(&self) -> usize {
        self.cost
    }

    fn forward(&self, rows: &Rows) -> Result<Scores, ForwardError> {
        let logits = self.logits(rows);
        let mut values = logits.map_err(|error| ForwardError::Failed(error.to_string()))?;
        match self.head {
            Head::Sigmoid => values.iter_mut().for_each(|z| *z = sigmoid(*z)),
            Head::Softmax => values.chunks_exact_mut(self.columns).for_each(softmax),
            Head::Identity => {}
        }
        Scores::new(values, self.columns)
    }
}

impl Step {
    fn of(part: Part, rest: &mut dyn FnMut()) -> candle_core::Result<Self> {
        let vector = |values: &[f64]| Tensor::new(fold::rounded(values), &Device::Cpu);
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

/// `1 / (1 + e^-z)`. In f64: there e^-z of any f32 logit that matters is finite.
fn sigmoid(z: f32) -> f32 {
    narrowed(1.0 / (1.0 + (-f64::from(z)).exp()))
}

/// Logits to probabilities, in place. The largest logit is subtracted first, so that nothing overflows.
fn softmax(logits: &mut [f32]) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let power = |z: f32| f64::from(z - largest).exp();
    let sum: f64 = logits.iter().map(|z| power(*z)).sum();
    logits
        .iter_mut()
        .for_each(|z| *z = narrowed(power(*z) / sum));
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "answers and weights are f32; what does not fit becomes an infinity, which is refused"
)]
fn narrowed(x: f64) -> f32 {
    x as f32
}
