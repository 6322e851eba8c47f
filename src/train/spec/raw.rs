//! The training spec as it stands in the file, before it is checked.
//!
//! The doc comments here are the descriptions in the published schema. Paths are relative to the spec's own folder.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::model::Sensitivity;
use crate::model::manifest::raw::{
    EncodingKind, MissingPolicy, RawRange, ScaleKind, UnknownPolicy,
};
use crate::model::payload::Datatype;

/// What `taper train` is to make: from which rows, which inputs, and which network.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "taper training spec")]
pub struct RawSpec {
    /// Name of the model that gets a new version.
    pub model: String,
    /// One line for people.
    #[serde(default)]
    pub description: Option<String>,
    /// The rows.
    pub data: RawData,
    /// What is to be predicted.
    pub target: RawTarget,
    /// What a request will hold, in the order of the network's columns.
    #[schemars(length(min = 1))]
    pub features: Vec<RawFeature>,
    /// The layers; a linear model where absent.
    #[serde(default)]
    pub network: RawNetwork,
    /// How it is trained.
    #[serde(default)]
    pub training: RawTraining,
}

/// Where the rows are and which of them are used.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawData {
    /// The rows to learn from: `.csv`, or `.csv.gz`, with a header line.
    pub train: String,
    /// Rows that training never sees, on which the finished network is measured. Not with `holdout_fraction`.
    #[serde(default)]
    pub holdout: Option<String>,
    /// Where there is no `holdout` file: the share of the rows of `train`, the last in time, that is kept for measuring;
    /// 0.2 where absent. More than 0, at most 0.5.
    #[serde(default)]
    pub holdout_fraction: Option<f64>,
    /// Column that holds the day or the time, `2013-01-31` or `2013-01-31T14:05`: it puts the rows in order. Where
    /// absent, they are taken to be in order of time already.
    #[serde(default)]
    pub date: Option<String>,
    /// Rows of `train` before this day are left out. Needs `date`.
    #[serde(default)]
    pub from: Option<String>,
    /// Rows of `train` after this day are left out. Needs `date`.
    #[serde(default)]
    pub to: Option<String>,
    /// Where the data come from, for the manifest; the name of the file where absent.
    #[serde(default)]
    pub source: Option<String>,
}

/// What is to be predicted.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTarget {
    /// The column with the truth.
    pub column: String,
    /// Labels of the classes. With two, the answer is the probability of the second. A regression where absent.
    #[serde(default)]
    pub classes: Option<Vec<String>>,
    /// What stands in the column for each class, in the order of `classes`; the labels themselves where absent.
    #[serde(default)]
    pub values: Option<Vec<String>>,
}

/// One input of the version, and the column of the file that it is learnt from.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawFeature {
    /// Name of the input in a request.
    pub name: String,
    /// Column of the file; the same as `name` where absent.
    #[serde(default)]
    pub column: Option<String>,
    /// Type of its values in a request.
    pub datatype: Datatype,
    /// How it enters the network. `ignore`: it may be sent, is type-checked and not used.
    pub kind: EncodingKind,
    /// `numeric`: how it is scaled, with what the training rows show; `standardise` where absent.
    #[serde(default)]
    pub scale: Option<ScaleKind>,
    /// `numeric`, `cyclic`: values that are allowed, and whether others are refused or clipped.
    #[serde(default)]
    pub range: Option<RawRange>,
    /// `cyclic`: the length of one turn, more than 0.
    #[serde(default)]
    pub period: Option<f64>,
    /// `categorical`: what happens to a category that is not known; `bucket` where absent.
    #[serde(default)]
    pub unknown: Option<UnknownPolicy>,
    /// `categorical`: how many training rows a category needs to get a column of its own; 1 where absent. Rarer ones count
    /// as unknown.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub min_count: Option<u64>,
    /// What happens to a missing value; `accept` for `ignore`, else `reject`, where absent.
    #[serde(default)]
    pub missing: Option<MissingPolicy>,
    /// With missing `impute`: what stands in. Where absent, the median or the most frequent category of the training rows.
    #[serde(default)]
    pub impute: Option<Value>,
    /// Whether its values are never logged, and no real value of it goes into the manifest's profile and golden rows.
    /// `"hash"`: the same, but keyed hashes of them may stand in the prediction log.
    #[serde(default)]
    pub sensitive: Sensitivity,
}

/// The layers between the inputs and the answer.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawNetwork {
    /// Widths of the hidden layers; none makes a linear, logistic or softmax regression.
    pub hidden: Vec<usize>,
    /// What follows each hidden layer.
    pub activation: Activation,
}

/// What follows a hidden layer.
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
    /// `x` right of zero, `0.01 x` left of it.
    LeakyRelu,
}

/// How the network is trained: AdamW on mini-batches, until the validation loss no longer falls.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawTraining {
    /// Step size, more than 0.
    pub learning_rate: f64,
    /// Rows per step, at least 1.
    pub batch_size: usize,
    /// The most passes over the rows.
    pub epochs: usize,
    /// Passes without a better validation loss after which it ends. The best weights are kept, not the last.
    pub patience: usize,
    /// The share of the training rows, the last in time, on which the validation loss is measured. More than 0, at most
    /// 0.5.
    pub validation_fraction: f64,
    /// How far weights (not biases) are drawn to zero, as in AdamW.
    pub weight_decay: f64,
    /// Share of each hidden layer's values that is dropped at random in training; 0 to 0.9.
    pub dropout: f64,
    /// The same seed and the same file give the same weights.
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
