//! The training spec as serde reads it, before it is checked.
//!
//! The doc comments are the descriptions in the published schema (`taper schema train`). Paths are relative to the folder of the spec.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::model::Sensitivity;
use crate::model::manifest::raw::{
    EncodingKind, MissingPolicy, RawRange, ScaleKind, UnknownPolicy,
};
use crate::model::payload::Datatype;

/// Describes what `taper train` trains: the data, the features, the target, and the network.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "taper training spec")]
pub struct RawSpec {
    /// Name of the model for which a version is trained.
    pub model: String,
    /// A short description, for people.
    #[serde(default)]
    pub description: Option<String>,
    /// The data.
    pub data: RawData,
    /// What the model predicts.
    pub target: RawTarget,
    /// The inputs of a request, in the order of the network's columns.
    #[schemars(length(min = 1))]
    pub features: Vec<RawFeature>,
    /// The hidden layers. Default: none, which gives a linear model.
    #[serde(default)]
    pub network: RawNetwork,
    /// Settings of the training.
    #[serde(default)]
    pub training: RawTraining,
}

/// The data files and which of their rows are used.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawData {
    /// File with the training rows: `.csv` or `.csv.gz`, with a header line.
    pub train: String,
    /// File with held-out rows, on which the quality of the trained network is measured. Not allowed together with `holdout_fraction`.
    #[serde(default)]
    pub holdout: Option<String>,
    /// Without `holdout`: the share of the rows of `train`, the last in time, that is held out. More than 0, at most 0.5. Default: 0.2.
    #[serde(default)]
    pub holdout_fraction: Option<f64>,
    /// Column with the date or time, `2013-01-31` or `2013-01-31T14:05`, by which rows are ordered. Default: none; the rows must be in
    /// order of time.
    #[serde(default)]
    pub date: Option<String>,
    /// The first day of `train` that is used. Needs `date`.
    #[serde(default)]
    pub from: Option<String>,
    /// The last day of `train` that is used. Needs `date`.
    #[serde(default)]
    pub to: Option<String>,
    /// Origin of the data, for the manifest. Default: the name of the training file.
    #[serde(default)]
    pub source: Option<String>,
}

/// What the model predicts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTarget {
    /// Column with the ground truth.
    pub column: String,
    /// Labels of the classes. With two classes, the output is the probability of the second. Default: none, which gives a regression.
    #[serde(default)]
    pub classes: Option<Vec<String>>,
    /// Values in the column for the classes, in the order of `classes`. Default: the labels.
    #[serde(default)]
    pub values: Option<Vec<String>>,
}

/// An input of the version, with the column of the training file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawFeature {
    /// Name of the input in a request.
    pub name: String,
    /// Column of the training file. Default: `name`.
    #[serde(default)]
    pub column: Option<String>,
    /// Type of its values in a request.
    pub datatype: Datatype,
    /// How it is encoded. `ignore`: requests may contain it; it is type-checked, but not used.
    pub kind: EncodingKind,
    /// `numeric`: how values are scaled; the parameters are fitted to the training rows. Default: `standardise`.
    #[serde(default)]
    pub scale: Option<ScaleKind>,
    /// `numeric`, `cyclic`: the allowed values, and whether others are rejected or clipped.
    #[serde(default)]
    pub range: Option<RawRange>,
    /// `cyclic`: the length of one period, more than 0.
    #[serde(default)]
    pub period: Option<f64>,
    /// `categorical`: how an unknown category is handled. Default: `bucket`.
    #[serde(default)]
    pub unknown: Option<UnknownPolicy>,
    /// `categorical`: the fewest training rows for a category to get its own column. Rarer categories count as unknown. Default: 1.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub min_count: Option<u64>,
    /// How a missing value is handled. Default: `accept` for `ignore`, `reject` for other kinds.
    #[serde(default)]
    pub missing: Option<MissingPolicy>,
    /// With missing `impute`: the value to use instead. Default: the median or the most frequent category of the training rows.
    #[serde(default)]
    pub impute: Option<Value>,
    /// Whether its values are sensitive: they are never logged, and the manifest's profile and golden requests contain no real values.
    /// `"hash"`: the prediction log may contain keyed hashes of them.
    #[serde(default)]
    pub sensitive: Sensitivity,
}

/// The layers between the inputs and the output.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawNetwork {
    /// Widths of the hidden layers. Without any, the model is a linear, logistic or softmax regression.
    pub hidden: Vec<usize>,
    /// The activation after each hidden layer.
    pub activation: Activation,
}

/// The activation after a hidden layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`
    #[default]
    Relu,
    /// `x Phi(x)`
    Gelu,
    /// `x sigmoid(x)`
    Silu,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-x)`
    Sigmoid,
    /// `x` for positive values, `0.01 x` for negative ones.
    LeakyRelu,
}

/// Settings of the training: AdamW on mini-batches until the validation loss no longer falls.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawTraining {
    /// Step size, more than 0, at most 1. Default: 0.001.
    pub learning_rate: f64,
    /// Rows per step, 1 to 1,000,000. Default: 256.
    pub batch_size: usize,
    /// The most passes over the training rows, 1 to 1,000,000. Default: 100.
    pub epochs: usize,
    /// Training stops after this number of passes without a better validation loss, 1 to 1,000,000. The best weights are kept, not the
    /// last ones. Default: 10.
    pub patience: usize,
    /// The share of the training rows, the last in time, on which the validation loss is measured. More than 0, at most 0.5. Default:
    /// 0.15.
    pub validation_fraction: f64,
    /// Weight decay of AdamW, for weights and not for biases, 0 to 100. Default: 0.01.
    pub weight_decay: f64,
    /// Share of the values of each hidden layer that is dropped at random during training, 0 to 0.9. Default: 0.
    pub dropout: f64,
    /// Seed of the random numbers. The same seed and the same file give the same weights. Default: 1.
    pub seed: u64,
}

impl Default for RawTraining {
    fn default() -> Self {
        Self {
            learning_rate: 0.001,
            batch_size: 256,
            epochs: 100,
            patience: 10,
            validation_fraction: 0.15,
            weight_decay: 0.01,
            dropout: 0.0,
            seed: 1,
        }
    }
}
