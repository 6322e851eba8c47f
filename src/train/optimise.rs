//! The training loop: shuffled mini-batches, AdamW, early stopping. The best weights are kept.

use candle_core::{Device, Tensor};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use super::error::TrainError;
use super::network::Network;
use super::spec::raw::RawTraining;
use crate::model::manifest::raw::Head;
use crate::model::numbers::float;

/// Rows of one forward pass outside of training steps.
const CHUNK: usize = 4096;

/// Progress after one epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// The most epochs of the run.
    pub of: usize,
    /// Mean loss over the batches of the epoch.
    pub train_loss: f64,
    /// Mean loss of the validation rows after the epoch.
    pub validation_loss: f64,
    /// Whether this is the best epoch so far.
    pub best: bool,
}

/// Encoded rows with their targets, at least one.
#[derive(Debug)]
pub(super) struct Examples {
    /// `f32 [rows, columns]`, row-major.
    pub(super) rows: Vec<f32>,
    /// Width of a row.
    pub(super) columns: usize,
    /// Per row, the index of the class or the (standardised) value.
    pub(super) targets: Vec<f32>,
}

impl Examples {
    pub(super) fn len(&self) -> usize {
        self.targets.len()
    }

    /// Returns which columns differ from zero in at least one row.
    pub(super) fn used(&self) -> Vec<bool> {
        let mut used = vec![false; self.columns];
        for row in self.rows.chunks_exact(self.columns) {
            for (used, x) in used.iter_mut().zip(row) {
                *used |= *x != 0.0;
            }
        }
        used
    }

    fn row(&self, at: usize) -> &[f32] {
        &self.rows[at * self.columns..(at + 1) * self.columns]
    }
}

/// The result of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outcome {
    /// Number of epochs.
    pub(super) epochs: usize,
    /// The epoch with the best weights.
    pub(super) best: Progress,
}

/// Trains `network` until the loss of `validation` no longer falls, and restores its best weights.
pub(super) fn run(
    network: &Network,
    head: Head,
    fit: &Examples,
    validation: &Examples,
    settings: &RawTraining,
    rng: &mut impl Rng,
    progress: &mut dyn FnMut(Progress),
) -> Result<Outcome, TrainError> {
    let (weights, biases) = network.variables();
    let params = |weight_decay| ParamsAdamW {
        lr: settings.learning_rate,
        weight_decay,
        ..ParamsAdamW::default()
    };
    let mut optimisers = [
        AdamW::new(weights, params(settings.weight_decay))?,
        AdamW::new(biases, params(0.0))?,
    ];
    let mut order: Vec<usize> = (0..fit.len()).collect();
    let mut best: Option<Progress> = None;
    let mut kept = network.weights()?;
    let mut epochs = 0;
    for epoch in 1..=settings.epochs {
        epochs = epoch;
        order.shuffle(rng);
        let mut train_loss = 0.0;
        for batch in order.chunks(settings.batch_size) {
            let (rows, targets) = gather(fit, batch, head)?;
            let logits = network.forward(&rows, |x| drop_out(x, settings.dropout, rng))?;
            let loss = batch_loss(head, &logits, &targets)?;
            let grads = loss.backward()?;
            for optimiser in &mut optimisers {
                optimiser.step(&grads)?;
            }
            train_loss += f64::from(loss.to_scalar::<f32>()?) * float(batch.len());
        }
        let validation_loss = mean_loss(network, head, validation)?;
        let now = Progress {
            epoch,
            of: settings.epochs,
            train_loss: train_loss / float(fit.len()),
            validation_loss,
            best: best.is_none_or(|best| validation_loss < best.validation_loss),
        };
        if !(now.train_loss.is_finite() && validation_loss.is_finite()) {
            return Err(TrainError::Diverged { epoch });
        }
        if now.best {
            kept = network.weights()?;
            best = Some(now);
        }
        progress(now);
        if best.is_some_and(|best| epoch - best.epoch >= settings.patience) {
            break;
        }
    }
    network.restore(&kept)?;
    let best = best.ok_or(TrainError::Diverged { epoch: epochs })?;
    Ok(Outcome { epochs, best })
}

/// Returns the logits of all rows, row-major.
pub(super) fn logits(network: &Network, examples: &Examples) -> candle_core::Result<Vec<f32>> {
    let mut logits = Vec::new();
    for chunk in examples.rows.chunks(CHUNK * examples.columns) {
        let shape = (chunk.len() / examples.columns, examples.columns);
        let rows = Tensor::from_slice(chunk, shape, &Device::Cpu)?;
        let answers = network.forward(&rows, Ok)?.detach();
        logits.extend(answers.flatten_all()?.to_vec1::<f32>()?);
    }
    Ok(logits)
}

fn mean_loss(network: &Network, head: Head, examples: &Examples) -> candle_core::Result<f64> {
    let logits = logits(network, examples)?;
    let width = logits.len() / examples.len();
    let rows = logits.chunks_exact(width).zip(&examples.targets);
    let sum: f64 = rows
        .map(|(logits, target)| row_loss(head, logits, *target))
        .sum();
    Ok(sum / float(examples.len()))
}

/// Returns the loss of one row, of which [`batch_loss`] is the mean.
fn row_loss(head: Head, logits: &[f32], target: f32) -> f64 {
    let x = f64::from(logits[0]);
    match head {
        Head::Sigmoid => x.max(0.0) - x * f64::from(target) + (-x.abs()).exp().ln_1p(),
        Head::Softmax => {
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let powers = logits.iter().map(|x| f64::from(x - largest).exp());
            f64::from(largest) + powers.sum::<f64>().ln() - f64::from(logits[class(target)])
        }
        Head::Identity => (x - f64::from(target)).powi(2),
    }
}

/// Returns the mean loss of a batch: binary cross-entropy, cross-entropy, or squared error.
fn batch_loss(head: Head, logits: &Tensor, targets: &Tensor) -> candle_core::Result<Tensor> {
    match head {
        // Computed from the logits. candle_nn takes the logarithm of a sigmoid, which is infinite for certain predictions.
        Head::Sigmoid => {
            let tail = (logits.abs()?.neg()?.exp()? + 1.0)?.log()?;
            ((logits.relu()? - (logits * targets)?)? + tail)?.mean_all()
        }
        Head::Softmax => candle_nn::loss::cross_entropy(logits, targets),
        Head::Identity => candle_nn::loss::mse(logits, targets),
    }
}

/// Returns the rows of a batch, and their targets as [`batch_loss`] expects them.
fn gather(
    examples: &Examples,
    batch: &[usize],
    head: Head,
) -> candle_core::Result<(Tensor, Tensor)> {
    let rows: Vec<f32> = batch
        .iter()
        .flat_map(|at| examples.row(*at))
        .copied()
        .collect();
    let rows = Tensor::from_vec(rows, (batch.len(), examples.columns), &Device::Cpu)?;
    let targets: Vec<f32> = batch.iter().map(|at| examples.targets[*at]).collect();
    let targets = if head == Head::Softmax {
        Tensor::from_vec(
            targets.into_iter().map(index).collect(),
            batch.len(),
            &Device::Cpu,
        )?
    } else {
        Tensor::from_vec(targets, (batch.len(), 1), &Device::Cpu)?
    };
    Ok((rows, targets))
}

/// Sets a share of the values to zero and scales the others up, so that the mean stays the same.
fn drop_out(x: Tensor, share: f64, rng: &mut impl Rng) -> candle_core::Result<Tensor> {
    if share == 0.0 {
        return Ok(x);
    }
    let kept = 1.0 / (1.0 - share);
    let mask = (0..x.elem_count()).map(|_| if rng.random_bool(share) { 0.0 } else { kept });
    let mask = Tensor::from_iter(mask, &Device::Cpu)?.to_dtype(x.dtype())?;
    &x * &mask.reshape(x.shape())?
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the index of a class is a small integer"
)]
fn class(target: f32) -> usize {
    target as usize
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the index of a class is a small integer"
)]
fn index(target: f32) -> u32 {
    target as u32
}

#[cfg(test)]
mod tests;
