//! Tensors by name, of the type and shape that the layers need.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::Activation;
use super::fold::{Affine, Linear, Part};
use crate::faults::Faults;
use crate::model::manifest::{Layer, Manifest};

/// Every layer of the manifest with its weights.
///
/// # Errors
/// Everything that is wrong with the tensors, by their names.
pub(super) fn read(manifest: &Manifest, bytes: &[u8], file: &Path) -> Result<Vec<Part>, Faults> {
    let tensors = SafeTensors::deserialize(bytes)
        .map_err(|error| Faults::one(file, format!("no safetensors: {error}")))?;
    let mut shelf = Shelf {
        tensors: tensors.tensors().into_iter().collect(),
        file,
        faults: Faults::default(),
    };
    let last = |layer: &Layer| matches!(layer, Layer::Linear(_));
    let last = manifest.layers.iter().rposition(last);
    let mut width = Some(manifest.signature.columns());
    let mut parts = Vec::with_capacity(manifest.layers.len());
    for (at, layer) in manifest.layers.iter().enumerate() {
        let part = match layer {
            Layer::Linear(name) => {
                let outs = (Some(at) == last).then_some(manifest.signature.output.columns);
                let linear = shelf.linear(name, outs, width);
                width = linear.as_ref().map(|linear| linear.outs);
                linear.map(Part::Linear)
            }
            Layer::BatchNorm { name, eps } => shelf.batch_norm(name, *eps, width).map(Part::Affine),
            Layer::Relu => Some(Part::Activation(Activation::Relu)),
            Layer::Gelu => Some(Part::Activation(Activation::Gelu)),
            Layer::Silu => Some(Part::Activation(Activation::Silu)),
            Layer::Tanh => Some(Part::Activation(Activation::Tanh)),
            Layer::Sigmoid => Some(Part::Activation(Activation::Sigmoid)),
            Layer::LeakyRelu(slope) => Some(Part::Activation(Activation::LeakyRelu(*slope))),
        };
        parts.extend(part);
    }
    shelf.nothing_is_left();
    shelf.faults.into_result()?;
    Ok(parts)
}

/// The tensors that no layer has taken yet.
struct Shelf<'a> {
    tensors: BTreeMap<String, TensorView<'a>>,
    file: &'a Path,
    faults: Faults,
}

impl Shelf<'_> {
    fn linear(&mut self, name: &str, outs: Option<usize>, ins: Option<usize>) -> Option<Linear> {
        let weight = self.take(&format!("{name}.weight"), &[outs, ins]);
        let outs = weight.as_ref().map(|(shape, _)| shape[0]).or(outs);
        let bias = format!("{name}.bias");
        let bias = if self.tensors.contains_key(&bias) {
            self.take(&bias, &[outs]).map(|(_, bias)| bias)
        } else {
            outs.map(|outs| vec![0.0; outs])
        };
        let (shape, weight) = weight?;
        Some(Linear {
            name: name.into(),
            outs: shape[0],
            ins: shape[1],
            weight,
            bias: widened(&bias?),
        })
    }

    /// `(x - mean) / sqrt(var + eps) * weight + bias`
    fn batch_norm(&mut self, name: &str, eps: f64, width: Option<usize>) -> Option<Affine> {
        let parts = ["weight", "bias", "running_mean", "running_var"];
        let [weight, bias, mean, var] =
            parts.map(|part| self.take(&format!("{name}.{part}"), &[width]));
        // Torch's count of the batches it has seen; it has no part in an answer.
        self.tensors.remove(&format!("{name}.num_batches_tracked"));
        let [(_, weight), (_, bias), (_, mean), (_, var)] = [weight?, bias?, mean?, var?];
        if let Some(at) = var
            .iter()
            .position(|var| *var < 0.0 || f64::from(*var) + eps <= 0.0)
        {
            let got = format!(
                "got {} at {at}, wants more than 0 together with eps",
                var[at]
            );
            self.add(&format!("{name}.running_var"), got);
            return None;
        }
        let pairs = weight.iter().zip(&var);
        let factor: Vec<f64> = pairs
            .map(|(weight, var)| f64::from(*weight) / (f64::from(*var) + eps).sqrt())
            .collect();
        let shift = factor.iter().zip(bias.iter().zip(&mean));
        let shift =
            shift.map(|(factor, (bias, mean))| f64::from(*bias) - f64::from(*mean) * factor);
        Some(Affine {
            name: name.into(),
            shift: shift.collect(),
            factor,
        })
    }

    /// The tensor's shape and values; `None` in `wanted` is any length from 1.
    fn take(&mut self, name: &str, wanted: &[Option<usize>]) -> Option<(Vec<usize>, Vec<f32>)> {
        let Some(tensor) = self.tensors.remove(name) else {
            self.add(name, "missing".into());
            return None;
        };
        if tensor.dtype() != Dtype::F32 {
            self.add(name, format!("got {:?}, wants F32", tensor.dtype()));
            return None;
        }
        let shape = tensor.shape().to_vec();
        let fits = |(got, wanted): (&usize, &Option<usize>)| match wanted {
            Some(wanted) => got == wanted,
            None => *got > 0,
        };
        if shape.len() != wanted.len() || !shape.iter().zip(wanted).all(fits) {
            let any = |axis: &Option<usize>| axis.map_or("n".into(), |n| n.to_string());
            let wanted: Vec<String> = wanted.iter().map(any).collect();
            self.add(
                name,
                format!("got shape {shape:?}, wants [{}]", wanted.join(", ")),
            );
            return None;
        }
        // Byte by byte, since nothing promises that the file's tensors are aligned.
        let values = tensor.data().chunks_exact(4);
        let values: Vec<f32> = values
            .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            .collect();
        if let Some(at) = values.iter().position(|x| !x.is_finite()) {
            self.add(
                name,
                format!("got {} at element {at}, wants finite weights", values[at]),
            );
            return None;
        }
        Some((shape, values))
    }

    fn nothing_is_left(&mut self) {
        for name in std::mem::take(&mut self.tensors).keys() {
            self.add(name, "surplus: no layer takes it".into());
        }
    }

    fn add(&mut self, tensor: &str, message: String) {
        self.faults.add(self.file, tensor, message);
    }
}

fn widened(values: &[f32]) -> Vec<f64> {
    values.iter().map(|x| f64::from(*x)).collect()
}
