//! Reads the tensors that the layers need, and checks their types and shapes.

use std::collections::BTreeMap;
use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::architecture::Layer;
use super::layer::{Activation, Affine, Linear, Part, narrowed};
use crate::faults::Faults;
use crate::model::signature::Signature;

/// Values that are read between two rests: a mebibyte of f32.
const PIECE: usize = 1 << 18;

/// Returns every layer with its weights. Calls `rest` between pieces of work.
///
/// # Errors
/// Returns every fault, by the name of the tensor.
pub(super) fn read(
    layers: &[Layer],
    signature: &Signature,
    bytes: &[u8],
    file: &Path,
    rest: &mut dyn FnMut(),
) -> Result<Vec<Part>, Faults> {
    let tensors = SafeTensors::deserialize(bytes)
        .map_err(|error| Faults::one(file, format!("invalid safetensors: {error}")))?;
    let mut reader = TensorReader {
        tensors: tensors.tensors().into_iter().collect(),
        file,
        rest,
        faults: Faults::default(),
    };
    let is_linear = |layer: &Layer| matches!(layer, Layer::Linear(_));
    let last_linear = layers.iter().rposition(is_linear);
    let mut width = Some(signature.columns());
    let mut parts = Vec::with_capacity(layers.len());
    for (at, layer) in layers.iter().enumerate() {
        let part = match layer {
            Layer::Linear(name) => {
                let outs = (Some(at) == last_linear).then_some(signature.judged_columns());
                let linear = reader.linear(name, outs, width);
                width = linear.as_ref().map(|linear| linear.outs);
                linear.map(Part::Linear)
            }
            Layer::BatchNorm { name, eps } => {
                reader.batch_norm(name, *eps, width).map(Part::Affine)
            }
            Layer::Relu => Some(Part::Activation(Activation::Relu)),
            Layer::Gelu => Some(Part::Activation(Activation::Gelu)),
            Layer::Silu => Some(Part::Activation(Activation::Silu)),
            Layer::Tanh => Some(Part::Activation(Activation::Tanh)),
            Layer::Sigmoid => Some(Part::Activation(Activation::Sigmoid)),
            Layer::LeakyRelu(slope) => Some(Part::Activation(Activation::LeakyRelu(*slope))),
        };
        parts.extend(part);
    }
    reader.report_unused();
    reader.faults.into_result()?;
    Ok(parts)
}

/// Takes tensors by name. `tensors` contains those that no layer has taken yet.
struct TensorReader<'a> {
    tensors: BTreeMap<String, TensorView<'a>>,
    file: &'a Path,
    rest: &'a mut dyn FnMut(),
    faults: Faults,
}

impl TensorReader<'_> {
    /// Reads a linear layer. `None` as a width means any width from 1.
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

    /// Reads a batch norm, `(x - mean) / sqrt(var + eps) * weight + bias`, as factor and shift.
    fn batch_norm(&mut self, name: &str, eps: f64, width: Option<usize>) -> Option<Affine> {
        let parts = ["weight", "bias", "running_mean", "running_var"];
        let [weight, bias, mean, var] =
            parts.map(|part| self.take(&format!("{name}.{part}"), &[width]));
        // Torch's count of training batches, which does not affect scores.
        self.tensors.remove(&format!("{name}.num_batches_tracked"));
        let [(_, weight), (_, bias), (_, mean), (_, var)] = [weight?, bias?, mean?, var?];
        if let Some(at) = var
            .iter()
            .position(|var| *var < 0.0 || f64::from(*var) + eps <= 0.0)
        {
            let why = format!(
                "got {} at element {at}, wants more than 0 after eps is added",
                var[at]
            );
            self.add(&format!("{name}.running_var"), why);
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

    /// Returns shape and values of a tensor. In `wanted`, `None` means any length from 1.
    fn take(&mut self, name: &str, wanted: &[Option<usize>]) -> Option<(Vec<usize>, Vec<f32>)> {
        let Some(tensor) = self.tensors.remove(name) else {
            self.add(name, "missing".into());
            return None;
        };
        let Some((width, to_single)) = conversion(tensor.dtype()) else {
            let got = tensor.dtype();
            self.add(name, format!("got {got:?}, wants F32, F64, F16 or BF16"));
            return None;
        };
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
        let mut values: Vec<f32> = Vec::with_capacity(tensor.data().len() / width);
        for piece in tensor.data().chunks(width * PIECE) {
            let before = values.len();
            to_single(piece, &mut values);
            let not_finite = values[before..].iter().position(|x| !x.is_finite());
            if let Some(at) = not_finite.map(|at| before + at) {
                let got = values[at];
                let why = format!("got {got} at element {at}, wants finite weights");
                self.add(name, why);
                return None;
            }
            (self.rest)();
        }
        Some((shape, values))
    }

    /// Adds a fault for every tensor that no layer has taken.
    fn report_unused(&mut self) {
        for name in std::mem::take(&mut self.tensors).keys() {
            self.add(name, "not used by any layer".into());
        }
    }

    fn add(&mut self, tensor: &str, message: String) {
        self.faults.add(self.file, tensor, message);
    }
}

/// Appends the numbers in little-endian bytes, as f32.
type ToSingle = fn(&[u8], &mut Vec<f32>);

/// Returns the bytes of one number of a type, and its conversion to f32; `None` for a type that is not a float of at most 64 bits.
/// A number of 64 bits is rounded to the nearest; one that does not fit becomes infinite, which is refused.
fn conversion(dtype: Dtype) -> Option<(usize, ToSingle)> {
    // Byte by byte, because tensors in the file may not be aligned.
    fn read<const N: usize>(bytes: &[u8], to: &mut Vec<f32>, number: fn([u8; N]) -> f32) {
        to.extend(bytes.as_chunks::<N>().0.iter().map(|bytes| number(*bytes)));
    }
    Some(match dtype {
        Dtype::F32 => (4, |bytes, to| read(bytes, to, f32::from_le_bytes)),
        Dtype::F16 => (2, |bytes, to| {
            read(bytes, to, |bytes| f16::from_le_bytes(bytes).to_f32());
        }),
        Dtype::BF16 => (2, |bytes, to| {
            read(bytes, to, |bytes| bf16::from_le_bytes(bytes).to_f32());
        }),
        Dtype::F64 => (8, |bytes, to| {
            read(bytes, to, |bytes| narrowed(f64::from_le_bytes(bytes)));
        }),
        _ => return None,
    })
}

fn widened(values: &[f32]) -> Vec<f64> {
    values.iter().map(|x| f64::from(*x)).collect()
}
