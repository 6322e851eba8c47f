//! `taper train`: trains a version from a CSV file and a spec, and publishes it.
//!
//! Invariants: scales, categories and imputed values are fitted on the training rows only. Rows are encoded with the
//! [`Signature`](crate::model::Signature) of the version itself, so training and serving cannot differ. The same spec, file and seed give
//! the same bytes. A version becomes visible by one rename, after it was loaded like in the gateway.
//! Not here: format and checks of a version ([`model`](crate::model)), and the registry ([`registry`](crate::registry)).

pub mod metrics;
pub mod spec;

mod encode;
mod error;
mod fit;
mod golden;
mod manifest;
mod network;
mod optimise;
mod predictions;
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
pub use optimise::Progress;
pub use quality::Quality;
pub use report::{Part, Report};

use crate::ident::VersionNumber;
use crate::model::manifest::raw::{Head, RawManifest};
use network::Network;
use optimise::{Examples, Outcome};
use spec::{Holdout, Spec};
use split::Split;
use table::Sample;

/// What to train and where to publish it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The spec file.
    pub spec: PathBuf,
    /// The registry for the version.
    pub registry: PathBuf,
    /// Number of the version. `None`: the next number after the highest version.
    pub version: Option<VersionNumber>,
    /// Creation time, RFC 3339. `None`: the current time. If it is given, the same seed gives the same bytes.
    pub created_at: Option<String>,
    /// Seed to use instead of the one in the spec.
    pub seed: Option<u64>,
}

/// Trains the model of a spec and publishes it. Calls `progress` after each epoch. Blocks until training has finished.
///
/// # Errors
/// See [`TrainError`]. Nothing is published then.
pub fn train(options: &Options, progress: &mut dyn FnMut(Progress)) -> Result<Report, TrainError> {
    let started = Instant::now();
    let mut spec = Spec::load(&options.spec).map_err(TrainError::Spec)?;
    spec.training.seed = options.seed.unwrap_or(spec.training.seed);
    let created_at = creation_time(options.created_at.as_deref())?;
    let version = publish::number(&options.registry, &spec.model, options.version)?;
    let split = split::read(&spec).map_err(TrainError::Data)?;
    let trained = train_version(&spec, version, created_at, &split, progress)?;
    let (manifest, weights) = (trained.manifest, &trained.weights);
    let path = publish::version(&options.registry, &spec.model, version, manifest, weights)?;
    Ok(Report {
        model: spec.model,
        version,
        path,
        classes: spec.target.classes,
        columns: trained.columns,
        fit: part(&split.fit),
        validation: part(&split.validation),
        holdout: part(&split.holdout),
        epochs: trained.outcome.epochs,
        best_epoch: trained.outcome.best.epoch,
        train_loss: trained.outcome.best.train_loss,
        validation_loss: trained.outcome.best.validation_loss,
        quality: trained.quality,
        took: started.elapsed(),
    })
}

/// A trained version that is not published yet.
struct TrainedVersion {
    manifest: RawManifest,
    weights: Vec<u8>,
    columns: usize,
    outcome: Outcome,
    quality: Quality,
}

fn train_version(
    spec: &Spec,
    version: VersionNumber,
    created_at: String,
    split: &Split,
    progress: &mut dyn FnMut(Progress),
) -> Result<TrainedVersion, TrainError> {
    let train = spec.data.train.as_path();
    let holdout_file = match &spec.data.holdout {
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
    let holdout = encoded(&split.holdout, holdout_file)?;

    let (network, outcome) = fit_network(spec, &mut fit, &mut validation, progress)?;
    let (head, width) = (manifest::head(spec), manifest::outputs(spec));
    let predict = |examples: &Examples| -> Result<Vec<f32>, TrainError> {
        let logits = optimise::logits(&network, examples)?;
        Ok(predictions::from_logits(head, &logits, width))
    };
    let targets: Vec<f64> = split.holdout.iter().map(|sample| sample.target).collect();
    let quality = Quality::measure(head, &predict(&holdout)?, width, &targets);
    let by_name = predictions::by_name(head, &predict(&fit)?, width, &spec.target.classes);
    manifest.reference = Some(profile::reference(&spec.features, &split.fit, by_name));
    manifest.metrics = quality.by_name();
    manifest.golden = golden::golden(spec, &signature, &split.fit, predict)?;
    Ok(TrainedVersion {
        manifest,
        weights: network.safetensors()?,
        columns: signature.columns(),
        outcome,
        quality,
    })
}

/// Initialises a network and trains it. The targets of a regression are standardised for training; the last layer reverses this.
fn fit_network(
    spec: &Spec,
    fit: &mut Examples,
    validation: &mut Examples,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Network, Outcome), TrainError> {
    let head = manifest::head(spec);
    let targets: Vec<f64> = fit.targets.iter().map(|y| f64::from(*y)).collect();
    let (mean, std) = crate::model::numbers::moments(&targets);
    let standardise = |examples: &mut Examples| {
        for y in &mut examples.targets {
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
    // A specific generator, so that a seed gives the same numbers with every version of rand. Its standard generator may change.
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(spec.training.seed);
    let network = Network::random(&widths, &fit.used(), spec.activation, &mut rng)?;
    let settings = &spec.training;
    let outcome = optimise::run(
        &network, head, fit, validation, settings, &mut rng, progress,
    )?;
    if head == Head::Identity {
        network.rescale(std, mean)?;
    }
    Ok((network, outcome))
}

/// Checks the given creation time, or returns the current time.
fn creation_time(given: Option<&str>) -> Result<String, TrainError> {
    let Some(given) = given else {
        let now = Timestamp::now();
        return Ok(now.round(Unit::Second).unwrap_or(now).to_string());
    };
    match given.parse::<Timestamp>() {
        Ok(_) => Ok(given.into()),
        Err(_) => Err(TrainError::Option {
            what: "created_at",
            got: format!("\"{given}\""),
            wanted: "an RFC 3339 time such as 2013-07-01T08:00:00Z",
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
