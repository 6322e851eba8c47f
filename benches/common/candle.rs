//! candle's own forward pass over a perceptron, the baseline for taper's.

use std::path::Path;

use candle_core::{Device, Tensor};

/// Linear layers with ReLU between them, and with a sigmoid after the last one if it has one output.
pub(crate) struct Perceptron {
    layers: Vec<(Tensor, Tensor)>,
}

impl Perceptron {
    /// Reads the version in `dir`; its linear layers are `0`, `2`, `4` and so on.
    pub(crate) fn read(dir: &Path) -> Self {
        let file = dir.join("weights.safetensors");
        let tensors = candle_core::safetensors::load(file, &Device::Cpu).expect("weights");
        let layers = (0..).step_by(2).map_while(|at| {
            let weight = tensors.get(&format!("{at}.weight"))?;
            // The layout that taper uses for candle: a transposed view takes twice the time.
            let weight = weight.t().and_then(|weight| weight.contiguous());
            let bias = tensors.get(&format!("{at}.bias")).expect("a bias");
            Some((weight.expect("a matrix"), bias.clone()))
        });
        let layers = layers.collect();
        Self { layers }
    }

    /// Returns the answers for `rows` of `columns` values.
    pub(crate) fn forward(&self, rows: &[f32], columns: usize) -> Vec<f32> {
        self.apply(rows, columns).expect("layers that fit")
    }

    fn apply(&self, rows: &[f32], columns: usize) -> candle_core::Result<Vec<f32>> {
        let shape = (rows.len() / columns, columns);
        let mut x = Tensor::from_slice(rows, shape, &Device::Cpu)?;
        for (at, (weight, bias)) in self.layers.iter().enumerate() {
            if at > 0 {
                x = x.relu()?;
            }
            x = x.matmul(weight)?.broadcast_add(bias)?;
        }
        if x.dim(1)? == 1 {
            x = candle_nn::ops::sigmoid(&x)?;
        }
        x.flatten_all()?.to_vec1()
    }
}
