//! Format `dense`: a stack of layers in one safetensors file.
//!
//! [`Dense::read`] refuses everything that would make an answer wrong: a tensor too few or too many, another type or
//! shape, a weight that is not finite. Batch norm is gone after loading: folded into a neighbouring linear layer, or,
//! between two activations, one factor and shift per column. Weights are f32 in memory of our own; nothing maps the file,
//! so a file that changes later changes nothing here.
//!
//! Rows are scored by [`Fused`], one pass over all layers, which costs a tenth of candle's for a row of a small network, and
//! less or as much for the largest. Only a large network is scored by candle ([`Reference`]) where that is faster: it was given several
//! threads, or this is a debug build.

mod fold;
mod fused;
mod reference;
mod weights;

#[cfg(test)]
mod tests;

use std::path::Path;

use super::manifest::Manifest;
use super::manifest::raw::Head;
use super::{Model, Rows, Scores};
use crate::error::ForwardError;
use crate::faults::Faults;
use fold::Part;
use fused::Fused;
use reference::Reference;

/// Multiply-adds from which a layer is large: several threads share its work, and what a call of candle's costs is nothing.
const LARGE: usize = 1 << 20;

/// A network whose weights are loaded.
#[derive(Debug)]
pub(super) struct Dense {
    network: Network,
    head: Head,
    columns: usize,
    cost: usize,
}

#[derive(Debug)]
enum Network {
    Fused(Fused),
    Candle(Reference),
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
        let largest = parts.iter().map(Part::cost).max().unwrap_or(0);
        let threads = candle_core::utils::get_num_threads();
        let network = if candle_is_faster(threads, !cfg!(debug_assertions), largest) {
            let network = Reference::new(parts, rest);
            Network::Candle(network.map_err(|error| Faults::one(file, error.to_string()))?)
        } else {
            let columns = manifest.signature.columns();
            Network::Fused(Fused::new(parts, columns, rest))
        };
        Ok(Self {
            network,
            head: manifest.head,
            columns: manifest.signature.output.columns,
            cost,
        })
    }

    fn logits(&self, rows: &Rows) -> Result<Vec<f32>, ForwardError> {
        match &self.network {
            Network::Fused(network) => Ok(network.forward(rows.as_slice())),
            Network::Candle(network) => network
                .forward(rows)
                .map_err(|error| ForwardError::Failed(error.to_string())),
        }
    }
}

impl Model for Dense {
    fn cost_per_row(&self) -> usize {
        self.cost
    }

    fn forward(&self, rows: &Rows) -> Result<Scores, ForwardError> {
        let mut values = self.logits(rows)?;
        match self.head {
            Head::Sigmoid => values.iter_mut().for_each(|z| *z = sigmoid(*z)),
            Head::Softmax => values.chunks_exact_mut(self.columns).for_each(softmax),
            Head::Identity => {}
        }
        Scores::new(values, self.columns)
    }
}

/// Whether candle is faster for a network whose largest layer takes as many multiply-adds: with several threads, or where
/// this crate is not `optimised`, because candle's kernels always are.
fn candle_is_faster(threads: usize, optimised: bool, largest: usize) -> bool {
    (threads > 1 || !optimised) && largest >= LARGE
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
