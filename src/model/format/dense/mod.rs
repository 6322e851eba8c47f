//! Format `dense`: a stack of layers with the weights in one safetensors file.
//!
//! [`Dense::read`] rejects everything that would make scores wrong: missing and unknown tensors, other types and shapes, weights that
//! are not finite. Batch norm is folded into a neighbouring linear layer, or, between two activations, becomes one factor and shift per
//! column. The weights are copied into memory as f32. The file is not mapped, so later changes of the file have no effect.
//!
//! [`Fused`] scores rows in one pass over all layers. For a row of a small network, this costs a tenth of candle's forward pass; for
//! the largest networks, it costs the same or less. Candle ([`Reference`]) scores large networks if it is faster: if it may use several
//! threads, or in a debug build.

mod architecture;
mod fold;
pub(in crate::model::format) mod fused;
pub(in crate::model::format) mod layer;
mod reference;
mod weights;

#[cfg(test)]
mod tests;

use std::path::Path;

use super::{Format, ModelFiles};
use crate::error::ForwardError;
use crate::faults::Faults;
use crate::model::batch::Batch;
use crate::model::manifest::raw::{Head, RawManifest};
use crate::model::manifest::report::Report;
use crate::model::scoring::{Model, Outputs, Scores};
use crate::model::signature::{Signature, Target};
use architecture::Architecture;
use fused::Fused;
use layer::{Part, narrowed};
use reference::Reference;

/// Multiply-adds from which a layer is large: candle shares its work between threads, and the overhead of a call is negligible.
const LARGE: usize = 1 << 20;

/// The format.
#[derive(Debug)]
pub(super) struct DenseFormat;

impl Format for DenseFormat {
    fn target(&self) -> Target {
        Target::Single
    }

    fn understands_missing(&self) -> bool {
        false
    }

    fn default_file(&self) -> &'static str {
        "weights.safetensors"
    }

    fn check(&self, raw: &RawManifest, signature: Option<&Signature>, report: &mut Report<'_>) {
        super::require_one_output(raw, report);
        super::require_no_external(raw, report);
        architecture::check(raw, signature, report);
    }

    fn memory_to_load(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(2)
    }

    fn load(
        &self,
        raw: &RawManifest,
        signature: &Signature,
        mut files: ModelFiles<'_>,
        rest: &mut dyn FnMut(),
    ) -> Result<Box<dyn Model>, Faults> {
        let (file, bytes) = files.take_own();
        let architecture = architecture::of(raw, &file)?;
        let dense = Dense::read(&architecture, signature, bytes, &file, rest)?;
        Ok(Box::new(dense))
    }
}

/// A network with its weights.
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

impl Dense {
    /// Builds the network of `architecture` from the bytes of its weights. `file` is used only in faults. Calls `rest` between pieces of
    /// work. There are at most two copies of the weights in memory at a time.
    ///
    /// # Errors
    /// Returns every tensor that is missing, unknown, not finite, or of another type or shape than the layers need.
    fn read(
        architecture: &Architecture,
        signature: &Signature,
        bytes: Vec<u8>,
        file: &Path,
        rest: &mut dyn FnMut(),
    ) -> Result<Self, Faults> {
        let parts = weights::read(&architecture.layers, signature, &bytes, file, rest)?;
        // Freed before the weights are laid out, which needs memory for another copy of one layer.
        drop(bytes);
        let parts = fold::batch_norms(parts);
        rest();
        let cost = parts.iter().map(Part::cost).sum();
        let overflows: Vec<_> = parts.iter().filter_map(Part::overflow).collect();
        if let Some(name) = overflows.first() {
            let why = format!("{name}: weights do not fit f32 after batch norm is folded in");
            return Err(Faults::one(file, why));
        }
        let largest = parts.iter().map(Part::cost).max().unwrap_or(0);
        let threads = candle_core::utils::get_num_threads();
        let network = if candle_is_faster(threads, !cfg!(debug_assertions), largest) {
            let network = Reference::new(parts, rest);
            Network::Candle(network.map_err(|error| Faults::one(file, error.to_string()))?)
        } else {
            let columns = signature.columns();
            Network::Fused(Fused::new(parts, columns, rest))
        };
        Ok(Self {
            network,
            head: architecture.head,
            columns: signature.judged_columns(),
            cost,
        })
    }

    fn logits(&self, rows: &Batch) -> Result<Vec<f32>, ForwardError> {
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

    fn forward(&self, batch: &Batch) -> Result<Outputs, ForwardError> {
        let mut values = self.logits(batch)?;
        match self.head {
            Head::Sigmoid => values.iter_mut().for_each(|z| *z = sigmoid(*z)),
            Head::Softmax => values.chunks_exact_mut(self.columns).for_each(softmax),
            Head::Identity => {}
        }
        Scores::new(values, self.columns).map(Outputs::Scores)
    }
}

/// Returns whether candle is faster for a network whose largest layer has `largest` multiply-adds: with several threads, or if this
/// crate is not `optimised`, because candle's kernels always are.
fn candle_is_faster(threads: usize, optimised: bool, largest: usize) -> bool {
    (threads > 1 || !optimised) && largest >= LARGE
}

/// Returns `1 / (1 + e^-z)`. Computed in f64, where `e^-z` is finite for every logit that matters.
fn sigmoid(z: f32) -> f32 {
    narrowed(1.0 / (1.0 + (-f64::from(z)).exp()))
}

/// Turns logits into probabilities in place. The largest logit is subtracted first, so that nothing overflows.
fn softmax(logits: &mut [f32]) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let power = |z: f32| f64::from(z - largest).exp();
    let sum: f64 = logits.iter().map(|z| power(*z)).sum();
    logits
        .iter_mut()
        .for_each(|z| *z = narrowed(power(*z) / sum));
}
