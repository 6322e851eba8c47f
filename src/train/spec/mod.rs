//! The training spec: reads a TOML file into a checked [`Spec`] and reports all faults at once.
//!
//! [`raw`] mirrors the file and is the source of its JSON Schema. A [`Spec`] needs no further checks, except those that depend on the
//! rows.

pub mod raw;

mod check;
mod feature;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::civil::Date;

pub use feature::{Feature, Kind, Missing};
use raw::{Activation, RawData, RawNetwork, RawSpec, RawTarget, RawTraining};

use crate::faults::{self, Faults};
use crate::ident::ModelName;
use check::Check;

/// A checked training spec.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The spec file, for messages.
    pub file: PathBuf,
    /// The model.
    pub model: ModelName,
    /// A short description.
    pub description: Option<String>,
    /// The rows.
    pub data: Data,
    /// What the model predicts.
    pub target: Target,
    /// The features. Names are unique, and at least one feature is not ignored.
    pub features: Vec<Feature>,
    /// Widths of the hidden layers, 1 to 4096 each, at most 16.
    pub hidden: Vec<usize>,
    /// The activation after each hidden layer.
    pub activation: Activation,
    /// Settings of the training; every number is within its documented range.
    pub training: RawTraining,
}

/// The data files. Paths are relative to the working directory of the process.
#[derive(Clone, Debug)]
pub struct Data {
    /// File with the training rows.
    pub train: PathBuf,
    /// The held-out rows.
    pub holdout: Holdout,
    /// Column by which the rows are ordered.
    pub date: Option<String>,
    /// First day of `train` that is used.
    pub from: Option<Date>,
    /// Last day of `train` that is used.
    pub to: Option<Date>,
    /// Origin of the data, for people.
    pub source: String,
}

/// The rows that are not used for training.
#[derive(Clone, Debug, PartialEq)]
pub enum Holdout {
    /// The rows of another file.
    File(PathBuf),
    /// A share of the training file, its last rows; more than 0, at most 0.5.
    Tail(f64),
}

/// What the model predicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The column with the ground truth.
    pub column: String,
    /// The value in the column for each class; empty for a regression.
    pub values: Vec<String>,
    /// Labels of the classes, as many as `values`, unique; empty for a regression.
    pub classes: Vec<String>,
}

impl Spec {
    /// Reads and checks a spec file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or all its faults.
    pub fn load(file: &Path) -> Result<Self, Faults> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Faults::one(file, format!("cannot be read: {error}")))?;
        Self::parse(file, &text)
    }

    /// Parses and checks the text of a spec. Paths in it are relative to the folder of `file`.
    ///
    /// # Errors
    /// Returns all faults.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Faults> {
        let raw: RawSpec = faults::parse(file, faults::from_toml(file, text)?)?;
        let folder = file.parent().unwrap_or(Path::new(""));
        let mut check = Check::of(file);

        let model = check.ok("$.model", raw.model.parse::<ModelName>());
        let data = data(raw.data, folder, &mut check);
        let target = target(raw.target, &mut check);
        let features = features(&raw.features, &target.column, &mut check);
        network(&raw.network, &mut check);
        training(&raw.training, &mut check);
        check.faults.into_result()?;
        let Some(model) = model else {
            return Err(Faults::one(file, "is invalid"));
        };
        Ok(Self {
            file: file.into(),
            model,
            description: raw.description,
            data,
            target,
            features,
            hidden: raw.network.hidden,
            activation: raw.network.activation,
            training: raw.training,
        })
    }
}

fn data(raw: RawData, folder: &Path, check: &mut Check<'_>) -> Data {
    let mut day = |path: &str, text: Option<String>| {
        let text = text?;
        let wanted = |_| format!("got \"{text}\", wants a date such as 2013-01-31");
        let day = check.ok(path, text.parse::<Date>().map_err(wanted));
        if raw.date.is_none() {
            check.fault(path, "needs `data.date`, the column to compare it with");
        }
        day
    };
    let (from, to) = (day("$.data.from", raw.from), day("$.data.to", raw.to));
    if let (Some(from), Some(to)) = (from, to)
        && from > to
    {
        check.fault(
            "$.data.to",
            format!("got {to}, wants at least `from`, {from}"),
        );
    }
    let holdout = match (raw.holdout, raw.holdout_fraction) {
        (Some(file), None) => Holdout::File(folder.join(file)),
        (None, fraction) => Holdout::Tail(fraction.unwrap_or(0.2)),
        (Some(file), Some(_)) => {
            let message = "not allowed together with `holdout`";
            check.fault("$.data.holdout_fraction", message);
            Holdout::File(folder.join(file))
        }
    };
    if let Holdout::Tail(fraction) = holdout {
        let path = "$.data.holdout_fraction";
        check.require(
            path,
            fraction,
            is_tail(fraction),
            "more than 0, at most 0.5",
        );
    }
    Data {
        train: folder.join(&raw.train),
        holdout,
        date: raw.date,
        from,
        to,
        source: raw.source.unwrap_or(raw.train),
    }
}

fn target(raw: RawTarget, check: &mut Check<'_>) -> Target {
    let classes = raw.classes.unwrap_or_default();
    let values = match raw.values {
        Some(values) if values.len() == classes.len() => values,
        Some(values) => {
            let (got, wanted) = (values.len(), classes.len());
            let message = format!("got {got} values, wants {wanted}: one per class");
            check.fault("$.target.values", message);
            values
        }
        None => classes.clone(),
    };
    if classes.len() == 1 {
        check.fault(
            "$.target.classes",
            "got 1 class, wants at least 2, or none for a regression",
        );
    }
    for (path, list) in [("classes", &classes), ("values", &values)] {
        let mut seen = BTreeSet::new();
        for (at, text) in list.iter().enumerate() {
            if !seen.insert(text) {
                check.fault(
                    format!("$.target.{path}[{at}]"),
                    format!("`{text}` is listed twice"),
                );
            }
        }
    }
    Target {
        column: raw.column,
        values,
        classes,
    }
}

fn features(raw: &[raw::RawFeature], target: &str, check: &mut Check<'_>) -> Vec<Feature> {
    let mut seen = BTreeSet::new();
    let mut features = Vec::with_capacity(raw.len());
    for (at, feature) in raw.iter().enumerate() {
        let path = format!("$.features[{at}]");
        if !seen.insert(&feature.name) {
            check.fault(
                format!("{path}.name"),
                format!("`{}` is listed twice", feature.name),
            );
        }
        if feature.column.as_ref().unwrap_or(&feature.name) == target {
            check.fault(
                &path,
                format!("`{target}` is the target, which is unknown when a request is made"),
            );
        }
        features.extend(feature::check(feature, &path, check));
    }
    let ignored = |feature: &Feature| matches!(feature.kind, Kind::Ignore { .. });
    if features.len() == raw.len() && features.iter().all(ignored) {
        check.fault(
            "$.features",
            "all features are ignored, wants at least one of another kind",
        );
    }
    features
}

fn network(raw: &RawNetwork, check: &mut Check<'_>) {
    let layers = raw.hidden.len();
    check.require(
        "$.network.hidden",
        format!("{layers} layers"),
        layers <= 16,
        "at most 16",
    );
    for (at, width) in raw.hidden.iter().enumerate() {
        let path = format!("$.network.hidden[{at}]");
        check.require(&path, width, (1..=4096).contains(width), "1 to 4096");
    }
}

fn training(raw: &RawTraining, check: &mut Check<'_>) {
    let mut number = |name: &str, got: f64, holds: bool, wanted: &str| {
        check.require(&format!("$.training.{name}"), got, holds, wanted);
    };
    let rate = raw.learning_rate;
    number(
        "learning_rate",
        rate,
        rate > 0.0 && rate <= 1.0,
        "more than 0, at most 1",
    );
    let (tail, decay) = (raw.validation_fraction, raw.weight_decay);
    number(
        "validation_fraction",
        tail,
        is_tail(tail),
        "more than 0, at most 0.5",
    );
    number(
        "weight_decay",
        decay,
        (0.0..=100.0).contains(&decay),
        "0 to 100",
    );
    number(
        "dropout",
        raw.dropout,
        (0.0..=0.9).contains(&raw.dropout),
        "0 to 0.9",
    );
    for (name, got) in [
        ("batch_size", raw.batch_size),
        ("epochs", raw.epochs),
        ("patience", raw.patience),
    ] {
        let path = format!("$.training.{name}");
        check.require(&path, got, (1..=1_000_000).contains(&got), "1 to 1000000");
    }
}

fn is_tail(fraction: f64) -> bool {
    fraction > 0.0 && fraction <= 0.5
}

#[cfg(test)]
mod tests;
