//! The training loop: shuffled mini-batches, AdamW, early stopping, the best weights kept.

use candle_core::{Device, Tensor};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use super::Progress;
use super::error::TrainError;
use super::network::Network;
use super::numbers::float;
use super::spec::raw::RawTraining;
use crate::model::manifest::raw::Head;

/// Rows of one forward pass where nothing is learnt.
const CHUNK: usize = 4096;

/// Encoded rows with their truths, at least one.
#[derive(Debug)]
pub(super) struct Examples {
    /// `f32 [rows, columns]`, row-major.
    pub(super) rows: Vec<f32>,
    /// Width of a row.
    pub(super) columns: usize,
    /// The class's index, or the (standardised) value, per row.
    pub(super) truths: Vec<f32>,
}

impl Examples {
    pub(super) fn len(&self) -> usize {
        self.truths.len()
    }

    /// Which columns differ from zero in some row.
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

/// How a run went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outcome {
    /// Epochs that were run.
    pub(super) epochs: usize,
    /// Where the kept weights come from; counted from 1.
    pub(super) best: Progress,
}

/// Trains `network` until `validation` no longer gets better, and leaves it with its best weights.
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
            let (rows, truths) = gather(fit, batch, head)?;
            let logits = network.forward(&rows, |x| dropped(x, settings.dropout, rng))?;
            let loss = batch_loss(head, &logits, &truths)?;
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

/// The logits of all rows, `outputs` to a row.
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
    let rows = logits.chunks_exact(width).zip(&examples.truths);
    let sum: f64 = rows
        .map(|(logits, truth)| row_loss(head, logits, *truth))
        .sum();
    Ok(sum / float(examples.len()))
}

/// The loss of one row, as [`batch_loss`] averages it.
fn row_loss(head: Head, logits: &[f32], truth: f32) -> f64 {
    let x = f64::from(logits[0]);
    match head {
        Head::Sigmoid => x.max(0.0) - x * f64::from(truth) + (-x.abs()).exp().ln_1p(),
        Head::Softmax => {
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let powers = logits.iter().map(|x| f64::from(x - largest).exp());
            f64::from(largest) + powers.sum::<f64>().ln() - f64::from(logits[class(truth)])
        }
        Head::Identity => (x - f64::from(truth)).powi(2),
    }
}

/// Mean loss of a batch: binary cross-entropy, cross-entropy, squared error.
fn batch_loss(head: Head, logits: &Tensor, truths: &Tensor) -> candle_core::Result<Tensor> {
    match head {
        // From the logits, so that a sure answer has no infinite loss: candle_nn takes the logarithm of a sigmoid.
        Head::Sigmoid => {
            let tail = (logits.abs()?.neg()?.exp()? + 1.0)?.log()?;
            ((logits.relu()? - (logits * truths)?)? + tail)?.mean_all()
        }
        Head::Softmax => candle_nn::loss::cross_entropy(logits, truths),
        Head::Identity => candle_nn::loss::mse(logits, truths),
    }
}

/// The rows of a batch, and their truths as [`batch_loss`] takes them.
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
    let truths: Vec<f32> = batch.iter().map(|at| examples.truths[*at]).collect();
    let truths = if head == Head::Softmax {
        Tensor::from_vec(
            truths.into_iter().map(index).collect(),
            batch.len(),
            &Device::Cpu,
        )?
    } else {
        Tensor::from_vec(truths, (batch.len(), 1), &Device::Cpu)?
    };
    Ok((rows, truths))
}

/// `x` with a share of its values dropped and the others raised to make up for it.
fn dropped(x: Tensor, share: f64, rng: &mut impl Rng) -> candle_core::Result<Tensor> {
    if share == 0.0 {
        return Ok(x);
    }
    let kept = 1.0 / (1.0 - share);
    let mask = (0..x.elem_count()).map(|_| if rng.random_bool(share) { 0.0 } else { kept });
    let mask = Tensor::from_iter(mask, &Device::Cpu)?.to_dtype(x.dtype())?;
    &x * &mask.reshape(x.shape())?
}

/// A class's index, which is a small whole number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "see its doc"
)]
fn class(truth: f32) -> usize {
    truth as usize
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a class's index is small"
)]
fn index(truth: f32) -> u32 {
    truth as u32
}

#[cfg(test)]
mod tests;
