//! `metadata.json` as it stands in the file: flat, so that its JSON Schema can name each structural fault by itself.
//! What the schema cannot say is checked where this becomes a [`Manifest`](super::Manifest).
//!
//! The doc comments here are the descriptions in the published schema (`taper schema manifest`).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::Sensitivity;
use crate::model::payload::Datatype;

/// All about one version of a model: what it takes and gives, how its inputs are encoded, which files it is made of,
/// where it comes from and how good it was. Published as `models/<model_name>/<version>/metadata.json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "taper manifest")]
pub struct RawManifest {
    /// Name of the model; the same as the folder's.
    pub model_name: String,
    /// Number of the version, from 1; the same as the folder's.
    pub version: u64,
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// When it was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Who or what made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// What it was trained with, `candle 0.11`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framework: Option<String>,
    /// What is predicted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Names of the inputs that the network uses, in the order of `inputs`; inputs with encoding `ignore` are left out.
    pub features: Vec<String>,
    /// Where the training rows came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_data: Option<TrainingData>,
    /// What was measured on held-out rows, by name: `auc`, `log_loss`, `brier`, `accuracy`, `mae`, ...
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// How the weights are to be read.
    pub format: Format,
    /// The network.
    pub architecture: RawArchitecture,
    /// What a request must hold, in the order of the network's columns.
    #[schemars(length(min = 1))]
    pub inputs: Vec<RawInput>,
    /// What an answer holds. Exactly one: `probability` for heads sigmoid and softmax, `value` for identity.
    #[schemars(length(min = 1))]
    pub outputs: Vec<RawOutput>,
    /// Labels of the classes, in the order of the output's columns. Two for a sigmoid head (the probability is that of
    /// the second), one per column for softmax, none for identity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Every file of the version but this one.
    #[schemars(length(min = 1))]
    pub files: Vec<RawFile>,
    /// The distribution of features and predictions in training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// Requests with the answers they must give; checked at every load.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub golden: Vec<Golden>,
    /// Hints for serving.
    #[serde(default)]
    pub batching: RawBatching,
}

/// How weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A stack of layers in `weights.safetensors`, f32, tensors named as torch's `state_dict` names them.
    Dense,
}

/// Where the training rows came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainingData {
    /// File or table.
    pub source: String,
    /// Number of rows that were trained on.
    pub rows: u64,
    /// First and last date, `["2013-01-01", "2013-06-30"]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_range: Option<[String; 2]>,
    /// SHA-256 of the source file, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Layers in order, then the head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawArchitecture {
    /// From the encoded row to the logits.
    #[schemars(length(min = 1))]
    pub layers: Vec<RawLayer>,
    /// From the logits to the answer.
    pub head: Head,
}

/// One layer. `name` belongs to `linear` and `batch_norm`; the other fields as said there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawLayer {
    /// What it does.
    pub kind: LayerKind,
    /// Prefix of its tensors: `NAME.weight [out, in]` and `NAME.bias [out]` for `linear` (the bias may be absent);
    /// `NAME.weight`, `NAME.bias`, `NAME.running_mean`, `NAME.running_var`, all `[width]`, for `batch_norm`;
    /// its `NAME.num_batches_tracked` may be there and is not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `batch_norm`: added to the variance; 1e-5 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eps: Option<f64>,
    /// `leaky_relu`: slope left of zero; 0.01 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative_slope: Option<f64>,
}

/// What a layer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LayerKind {
    /// `x W^T + b`
    Linear,
    /// `(x - running_mean) / sqrt(running_var + eps) * weight + bias`, folded into a linear layer at load.
    BatchNorm,
    /// `max(x, 0)`
    Relu,
    /// `x Phi(x)`, the exact form with erf.
    Gelu,
    /// `x sigmoid(x)`
    Silu,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-x)`
    Sigmoid,
    /// `x` right of zero, `negative_slope x` left of it.
    LeakyRelu,
}

/// From logits to the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// One logit; the answer is the probability of the second class.
    Sigmoid,
    /// One logit per class; the answers are their probabilities.
    Softmax,
    /// The logits are the answer.
    Identity,
}

/// One input of the signature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawInput {
    /// Its name; unique.
    pub name: String,
    /// Type of its elements.
    pub datatype: Datatype,
    /// `[-1]` for one value a row, `[-1, n]` for n values a row (numeric and ignore only).
    pub shape: Vec<i64>,
    /// How it enters the network.
    pub encoding: RawEncoding,
    /// Whether its values are never logged, shown or profiled. `"hash"`: keyed hashes of them may stand in the prediction log.
    #[serde(default, skip_serializing_if = "Sensitivity::is_open")]
    pub sensitive: Sensitivity,
}

/// How an input becomes columns of the network. Which fields belong to which `kind` is said at each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawEncoding {
    /// The kind of encoding.
    pub kind: EncodingKind,
    /// `numeric`: how it is scaled; `none` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<ScaleKind>,
    /// `numeric` with scale `standardise`: one mean per column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Vec<f64>>,
    /// `numeric` with scale `standardise`: one standard deviation per column, more than 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<Vec<f64>>,
    /// `numeric` with scale `min_max`: what becomes 0, one per column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Vec<f64>>,
    /// `numeric` with scale `min_max`: what becomes 1, one per column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Vec<f64>>,
    /// `numeric`, `cyclic`: values that are allowed; all finite ones where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<RawRange>,
    /// `cyclic`: the length of one turn, more than 0. Columns: `sin(2 pi x / period)`, `cos(2 pi x / period)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<f64>,
    /// `categorical`: the known categories, one column each, in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Vec<String>>,
    /// `categorical`: what happens to a category that is not listed; `reject` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<UnknownPolicy>,
    /// What happens to a missing value; `reject` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<MissingPolicy>,
    /// With missing `impute`: the value that stands in, of the input's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impute: Option<Value>,
}

/// The kind of encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncodingKind {
    /// A number, scaled: one column per value.
    Numeric,
    /// A text, one-hot: one column per category, and one more for unknown ones where they get a bucket.
    Categorical,
    /// A number on a circle: two columns.
    Cyclic,
    /// Accepted and type-checked, not used: so that versions which use more can share one signature with this one.
    Ignore,
}

/// How numbers are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScaleKind {
    /// As they come.
    None,
    /// `(x - mean) / std`
    Standardise,
    /// `(x - min) / (max - min)`
    MinMax,
}

/// Values that are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRange {
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// What happens outside.
    pub outside: OutsidePolicy,
}

/// What happens to a value outside the allowed range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutsidePolicy {
    /// The request is refused.
    Reject,
    /// The nearest allowed value is used.
    Clip,
}

/// What happens to an unknown category.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPolicy {
    /// The request is refused.
    Reject,
    /// All unknown ones share one more column.
    Bucket,
}

/// What happens to a missing value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissingPolicy {
    /// The request is refused.
    Reject,
    /// The value in `impute` stands in.
    Impute,
    /// Nothing is put in its place; for `ignore` only.
    Accept,
}

/// One output of the signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawOutput {
    /// `probability` or `value`.
    pub name: String,
    /// `FP32`.
    pub datatype: Datatype,
    /// `[-1, columns]`.
    pub shape: Vec<i64>,
}

/// One file of the version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawFile {
    /// Path below the version's folder.
    pub path: String,
    /// SHA-256 of its bytes, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// The distribution of features and predictions in training, on the training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Number of rows it describes.
    pub rows: u64,
    /// By input name. Sensitive inputs are left out.
    pub features: BTreeMap<String, Profile>,
    /// By output: `probability` of a sigmoid head, each class label of a softmax head, `value` (`value[i]` where there
    /// are several) of an identity head.
    pub predictions: BTreeMap<String, Profile>,
}

/// The distribution of one column: `quantiles` for numbers, `categories` for texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Rows without a value.
    pub missing: u64,
    /// Mean of the values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// Standard deviation of the values (population).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<f64>,
    /// The values at 0, 1, 2, ... 100 per cent, ascending: 101 numbers (linear interpolation, Hyndman and Fan type 7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantiles: Option<Vec<f64>>,
    /// How often each text came, the 200 most frequent; the rest together as `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<BTreeMap<String, u64>>,
    /// Rows whose text is not among `categories`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<u64>,
}

/// A request and the answer it must give.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// Values by input name.
    pub row: BTreeMap<String, Value>,
    /// One number per column of the output; met within 1e-5 absolute, or 1e-4 relative for head identity.
    pub answer: Vec<f32>,
}

/// Hints for serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawBatching {
    /// Rows that one request may hold, 1 to 65536.
    #[schemars(range(min = 1, max = 65_536))]
    pub max_rows: usize,
    /// Rows of one forward pass, of several requests together, 1 to 65536; `max_rows` where absent. Told to the gateway, which
    /// may be configured otherwise, as are the next two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_536))]
    pub max_batch_rows: Option<usize>,
    /// Rows that wait at most, 1 to 1,000,000; 65,536 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_queue_rows: Option<usize>,
    /// Milliseconds that the first request waits for others while a thread is free, 0 to 10,000; 0 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub max_queue_delay_ms: Option<u32>,
}

impl Default for RawBatching {
    fn default() -> Self {
        Self {
            max_rows: 1024,
            max_batch_rows: None,
            max_queue_rows: None,
            max_queue_delay_ms: None,
        }
    }
}
