//! The network during training: candle variables, seeded initialisation, weights as safetensors.

use candle_core::{DType, Device, Tensor, Var};
use rand::{Rng, RngExt};
use safetensors::tensor::{Dtype, TensorView};

use super::spec::raw::Activation;
use crate::model::manifest::raw::{Head, LayerKind, RawArchitecture, RawLayer};

/// Linear layers, with an activation after each except the last.
#[derive(Debug)]
pub(super) struct Network {
    layers: Vec<Linear>,
    activation: Activation,
}

/// `x W^T + b`
#[derive(Debug)]
struct Linear {
    /// `[out, in]`
    weight: Var,
    /// `[out]`
    bias: Var,
}

/// A copy of all weights.
#[derive(Debug)]
pub(super) struct Weights(Vec<(Tensor, Tensor)>);

impl Network {
    /// Creates a network with random weights, uniform within `1 / sqrt(inputs)`, as torch does.
    ///
    /// `widths` are the widths from the inputs to the outputs, at least two. Columns that are not `used` get weight zero and keep it, so
    /// that a category that does not occur in training has no random effect.
    pub(super) fn random(
        widths: &[usize],
        used: &[bool],
        activation: Activation,
        rng: &mut impl Rng,
    ) -> candle_core::Result<Self> {
        let mut layers = Vec::with_capacity(widths.len());
        for (at, pair) in widths.windows(2).enumerate() {
            let &[inputs, outputs] = pair else { continue };
            let bound = 1.0 / width(inputs).sqrt();
            let mut uniform = |count: usize| -> Vec<f32> {
                (0..count)
                    .map(|_| rng.random_range(-bound..bound))
                    .collect()
            };
            let mut weight = uniform(inputs * outputs);
            let bias = uniform(outputs);
            if at == 0 {
                for (place, weight) in weight.iter_mut().enumerate() {
                    if !used[place % inputs] {
                        *weight = 0.0;
                    }
                }
            }
            layers.push(Linear {
                weight: Var::from_vec(weight, (outputs, inputs), &Device::Cpu)?,
                bias: Var::from_vec(bias, outputs, &Device::Cpu)?,
            });
        }
        Ok(Self { layers, activation })
    }

    /// Returns the logits `[rows, outputs]` of `x`, `[rows, inputs]`. `mask` receives the values of each hidden layer and may drop some.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        mut mask: impl FnMut(Tensor) -> candle_core::Result<Tensor>,
    ) -> candle_core::Result<Tensor> {
        let mut x = x.clone();
        for (at, layer) in self.layers.iter().enumerate() {
            x = x.matmul(&layer.weight.t()?)?.broadcast_add(&layer.bias)?;
            if at + 1 < self.layers.len() {
                x = mask(activate(self.activation, &x)?)?;
            }
        }
        Ok(x)
    }

    /// Returns weights and biases separately, because weight decay applies only to weights.
    pub(super) fn variables(&self) -> (Vec<Var>, Vec<Var>) {
        let pairs = self.layers.iter();
        pairs.map(|l| (l.weight.clone(), l.bias.clone())).unzip()
    }

    /// Returns a copy of the current weights.
    pub(super) fn weights(&self) -> candle_core::Result<Weights> {
        let copies = self
            .layers
            .iter()
            .map(|layer| Ok((layer.weight.copy()?, layer.bias.copy()?)));
        Ok(Weights(copies.collect::<candle_core::Result<_>>()?))
    }

    /// Restores copied weights.
    pub(super) fn restore(&self, weights: &Weights) -> candle_core::Result<()> {
        for (layer, (weight, bias)) in self.layers.iter().zip(&weights.0) {
            layer.weight.set(weight)?;
            layer.bias.set(bias)?;
        }
        Ok(())
    }

    /// Changes the last layer so that each output `x` becomes `x * factor + offset`.
    pub(super) fn rescale(&self, factor: f64, offset: f64) -> candle_core::Result<()> {
        if let Some(last) = self.layers.last() {
            last.weight.set(&last.weight.affine(factor, 0.0)?)?;
            last.bias.set(&last.bias.affine(factor, offset)?)?;
        }
        Ok(())
    }

    /// Returns the bytes of `weights.safetensors`. The same weights give the same bytes.
    pub(super) fn safetensors(&self) -> candle_core::Result<Vec<u8>> {
        let mut tensors = Vec::new();
        for (at, layer) in self.layers.iter().enumerate() {
            for (part, var) in [("weight", &layer.weight), ("bias", &layer.bias)] {
                let values = var.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
                let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
                tensors.push((format!("{}.{part}", name(at)), var.dims().to_vec(), bytes));
            }
        }
        let views = tensors.iter().map(|(name, shape, bytes)| {
            Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?))
        });
        let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
        views
            .and_then(|views| safetensors::serialize(views, None))
            .map_err(candle_core::Error::wrap)
    }
}

/// Returns the layers for the manifest. Tensors are named as in a `torch.nn.Sequential`: by position, where activations count.
pub(super) fn architecture(hidden: usize, activation: Activation, head: Head) -> RawArchitecture {
    let layer = |kind, name| RawLayer {
        kind,
        name,
        eps: None,
        negative_slope: None,
    };
    let mut layers = Vec::new();
    for at in 0..hidden {
        layers.push(layer(LayerKind::Linear, Some(name(at))));
        layers.push(layer(kind(activation), None));
    }
    layers.push(layer(LayerKind::Linear, Some(name(hidden))));
    RawArchitecture { layers, head }
}

/// Returns the name of linear layer number `at`. There is an activation between two linear layers.
fn name(at: usize) -> String {
    (2 * at).to_string()
}

fn activate(activation: Activation, x: &Tensor) -> candle_core::Result<Tensor> {
    match activation {
        Activation::Relu => x.relu(),
        Activation::Gelu => x.gelu_erf(),
        Activation::Silu => x.silu(),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => candle_nn::ops::sigmoid(x),
        Activation::LeakyRelu => candle_nn::ops::leaky_relu(x, 0.01),
    }
}

fn kind(activation: Activation) -> LayerKind {
    match activation {
        Activation::Relu => LayerKind::Relu,
        Activation::Gelu => LayerKind::Gelu,
        Activation::Silu => LayerKind::Silu,
        Activation::Tanh => LayerKind::Tanh,
        Activation::Sigmoid => LayerKind::Sigmoid,
        Activation::LeakyRelu => LayerKind::LeakyRelu,
    }
}

#[expect(clippy::cast_precision_loss, reason = "widths are small")]
fn width(inputs: usize) -> f32 {
    inputs as f32
}
