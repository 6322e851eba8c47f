//! `taper train`: a CSV file and a small spec in, a new published version out.
//!
//! Always holds: what is fitted (scales, categories, stand-ins) is fitted on the rows that are learnt from and on no
//! others; rows are encoded by the [`Signature`] of the version itself, so that training and
//! serving cannot differ; the same spec, file and seed give the same bytes; a version becomes visible by one rename, and
//! only after it was loaded as the gateway would load it.
//! Not here: how a version is laid out and checked ([`model`](crate::model)), where it is put
//! ([`registry`](crate::registry)).

pub mod metrics;
pub mod spec;

mod answers;
mod encode;
mod error;
mod fit;
mod manifest;
mod network;
mod numbers;
mod optimise;
mod profile;
mod publish;
mod quality;
mod report;
mod split;
mod table;

use std::path::{Path, PathBuf};

use jiff::{Timestamp, Unit};
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use tokio::time::Instant;

pub use error::TrainError;
pub use quality::Quality;
pub use report::{Part, Report};

use crate::ident::VersionNumber;
use crate::model::Signature;
use crate::model::manifest::raw::{Golden, Head, RawManifest};
use crate::model::payload::Payload;
use network::Network;
use optimise::{Examples, Outcome};
use spec::{Holdout, Spec};
use split::Split;
use table::Sample;

/// What to train and where to publish it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The spec's file.
    pub spec: PathBuf,
    /// The registry that gets the version.
    pub registry: PathBuf,
    /// Number of the version; the one after the highest that is there where `None`.
    pub version: Option<VersionNumber>,
    /// When it was made, RFC 3339: given, the same seed makes the same bytes. Now where `None`.
    pub created_at: Option<String>,
    /// In place of the spec's seed.
    pub seed: Option<u64>,
}

/// How training goes, once an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The epoch that has ended, counted from 1.
    pub epoch: usize,
    /// The most epochs there can be.
    pub of: usize,
    /// Mean loss over the epoch's batches.
    pub train_loss: f64,
    /// Mean loss of the validation rows after the epoch.
    pub validation_loss: f64,
    /// Whether no epoch before was better.
    pub best: bool,
}

/// Trains what the spec says and publishes it; `progress` is told every epoch. Blocks for as long as it takes.
///
/// # Errors
/// Why nothing was published.
pub fn train(options: &Options, progress: &mut dyn FnMut(Progress)) -> Result<Report, TrainError> {
    let started = Instant::now();
    let mut spec = Spec::load(&options.spec).map_err(TrainError::Spec)?;
    spec.training.seed = options.seed.unwrap_or(spec.training.seed);
    let created_at = moment(options.created_at.as_deref())?;
    let version = publish::number(&options.registry, &spec.model, options.version)?;
    let split = split::read(&spec).map_err(TrainError::Data)?;
    let learnt = learn(&spec, version, created_at, &split, progress)?;
    let (manifest, weights) = (learnt.manifest, &learnt.weights);
    let path = publish::version(&options.registry, &spec.model, version, manifest, weights)?;
    Ok(Report {
        model: spec.model,
        version,
        path,
        classes: spec.target.classes,
        columns: learnt.columns,
        fit: part(&split.fit),
        validation: part(&split.validation),
        holdout: part(&split.holdout),
        epochs: learnt.outcome.epochs,
        best_epoch: learnt.outcome.best.epoch,
        train_loss: learnt.outcome.best.train_loss,
        validation_loss: learnt.outcome.best.validation_loss,
        quality: learnt.quality,
        took: started.elapsed(),
    })
}

/// A version that is not published yet.
struct Learnt {
    manifest: RawManifest,
    weights: Vec<u8>,
    columns: usize,
    outcome: Outcome,
    quality: Quality,
}

fn learn(
    spec: &Spec,
    version: VersionNumber,
    created_at: String,
    split: &Split,
    progress: &mut dyn FnMut(Progress),
) -> Result<Learnt, TrainError> {
    let train = spec.data.train.as_path();
    let kept = match &spec.data.holdout {
        Holdout::File(file) => file.as_path(),
        Holdout::Tail(_) => train,
    };
    let inputs = fit::inputs(&spec.features, &split.fit, train).map_err(TrainError::Data)?;
    let mut manifest = manifest::draft(spec, version, created_at, inputs, split);
    let signature = manifest::signature(&manifest, &spec.file)?;
    let encoded = |samples: &[Sample], file: &Path| {
        encode::examples(&signature, samples, spec, file).map_err(TrainError::Data)
    };
    let mut fit = encoded(&split.fit, train)?;
    let mut validation = encoded(&split.validation, train)?;
    let holdout = encoded(&split.holdout, kept)?;

    let (network, outcome) = fit_network(spec, &mut fit, &mut validation, progress)?;
    let (head, width) = (manifest::head(spec), manifest::outputs(spec));
    let answer = |examples: &Examples| -> Result<Vec<f32>, TrainError> {
        let logits = optimise::logits(&network, examples)?;
        Ok(answers::of_logits(head, &logits, width))
    };
    let truths: Vec<f64> = split.holdout.iter().map(|sample| sample.truth).collect();
    let quality = Quality::measure(head, &answer(&holdout)?, width, &truths);
    let named = answers::by_name(head, &answer(&fit)?, width, &spec.target.classes);
    manifest.reference = Some(profile::reference(&spec.features, &split.fit, named));
    manifest.metrics = quality.by_name();
    manifest.golden = golden(spec, &signature, &split.fit, answer)?;
    Ok(Learnt {
        manifest,
        weights: network.safetensors()?,
        columns: signature.columns(),
        outcome,
        quality,
    })
}

/// Draws a network and trains it. Truths of a regression are standardised for that, which the last layer makes up for.
fn fit_network(
    spec: &Spec,
    fit: &mut Examples,
    validation: &mut Examples,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Network, Outcome), TrainError> {
    let head = manifest::head(spec);
    let truths: Vec<f64> = fit.truths.iter().map(|y| f64::from(*y)).collect();
    let (mean, std) = numbers::moments(&truths);
    let standardise = |examples: &mut Examples| {
        for y in &mut examples.truths {
            *y = encode::narrow((f64::from(*y) - mean) / std);
        }
    };
    if head == Head::Identity {
        standardise(fit);
        standardise(validation);
    }
    let mut widths = vec![fit.columns];
    widths.extend(&spec.hidden);
    widths.push(manifest::outputs(spec));
    // Named, so that a seed means the same in every build: rand's standard generator may change.
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(spec.training.seed);
    let network = Network::draw(&widths, &fit.used(), spec.activation, &mut rng)?;
    let settings = &spec.training;
    let outcome = optimise::run(
        &network, head, fit, validation, settings, &mut rng, progress,
    )?;
    if head == Head::Identity {
        network.rescale(std, mean)?;
    }
    Ok((network, outcome))
}

fn golden(
    spec: &Spec,
    signature: &Signature,
    samples: &[Sample],
    answer: impl Fn(&Examples) -> Result<Vec<f32>, TrainError>,
) -> Result<Vec<Golden>, TrainError> {
    let rows = answers::golden_rows(&spec.features, samples);
    let payload = Payload::Rows(rows.iter().map(answers::cells).collect());
    let encoded = signature.encode(&payload);
    // Not for the data to mend: a real row, or one with typical values in it, does not pass the version's own checks.
    let encoded = encoded.map_err(|faults| TrainError::Publish(format!("golden {faults}")))?;
    let answers = answer(&Examples {
        rows: encoded.as_slice().to_vec(),
        columns: encoded.columns(),
        truths: vec![0.0; rows.len()],
    })?;
    let answers = answers.chunks_exact(manifest::outputs(spec));
    let golden = rows.into_iter().zip(answers);
    Ok(golden
        .map(|(row, answer)| Golden {
            row,
            answer: answer.to_vec(),
        })
        .collect())
}

fn moment(given: Option<&str>) -> Result<String, TrainError> {
    let Some(given) = given else {
        let now = Timestamp::now();
        return Ok(now.round(Unit::Second).unwrap_or(now).to_string());
    };
    match given.parse::<Timestamp>() {
        Ok(_) => Ok(given.into()),
        Err(_) => Err(TrainError::Option {
            what: "created_at",
            got: format!("\"{given}\""),
            wanted: "a moment as in RFC 3339, 2013-07-01T08:00:00Z",
        }),
    }
}

fn part(samples: &[Sample]) -> Part {
    Part {
        rows: samples.len(),
        days: split::days(samples).map(|days| days.map(|day| day.to_string())),
    }
}

#[cfg(test)]
mod tests;
