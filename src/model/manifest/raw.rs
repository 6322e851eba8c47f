//! `metadata.json` as serde reads it. The types are flat, so that the JSON Schema reports each structural fault separately.
//! Rules that the schema cannot express are checked where this becomes a [`Manifest`](super::Manifest).
//!
//! The doc comments are the descriptions in the published schema (`taper schema manifest`).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::Sensitivity;
use crate::model::payload::Datatype;

/// Describes one version of a model: its inputs and outputs, how inputs are encoded, its files, its origin and its quality.
/// Published as `models/<model_name>/<version>/metadata.json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "taper manifest")]
pub struct RawManifest {
    /// Name of the model; must equal the name of its folder.
    pub model_name: String,
    /// Number of the version, from 1; must equal the name of its folder.
    pub version: u64,
    /// A short description, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// When the version was created, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Person or program that created the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Library that trained the model, such as `candle 0.11`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framework: Option<String>,
    /// What the model predicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Names of the inputs that the network uses, in the order of `inputs`. Inputs with encoding `ignore` are left out.
    pub features: Vec<String>,
    /// Origin of the training rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_data: Option<TrainingData>,
    /// Quality on held-out rows, by name of the measure: `auc`, `log_loss`, `brier`, `accuracy`, `mae`, ...
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// Format of the weights.
    pub format: Format,
    /// The network.
    pub architecture: RawArchitecture,
    /// The inputs of a request, in the order of the network's columns.
    #[schemars(length(min = 1))]
    pub inputs: Vec<RawInput>,
    /// The outputs. Exactly one: `probability` for heads `sigmoid` and `softmax`, `value` for `identity`.
    #[schemars(length(min = 1))]
    pub outputs: Vec<RawOutput>,
    /// Labels of the classes, in the order of the output's columns. Two for a `sigmoid` head, whose output is the probability of
    /// the second; one per column for `softmax`; none for `identity`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// All files of the version except `metadata.json`.
    #[schemars(length(min = 1))]
    pub files: Vec<RawFile>,
    /// The reference profile: the distribution of features and predictions in training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// Golden requests with the expected answers. They are checked each time the version is loaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub golden: Vec<Golden>,
    /// Limits and hints for batching.
    #[serde(default)]
    pub batching: RawBatching,
}

/// Format of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A stack of layers with f32 weights in `weights.safetensors`. Tensors have the names of torch's `state_dict`.
    Dense,
}

/// Origin of the training rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainingData {
    /// File or table.
    pub source: String,
    /// Number of training rows.
    pub rows: u64,
    /// First and last day, `["2013-01-01", "2013-06-30"]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_range: Option<[String; 2]>,
    /// SHA-256 of the source file, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// The layers, in order, and the head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawArchitecture {
    /// The layers from the encoded row to the logits.
    #[schemars(length(min = 1))]
    pub layers: Vec<RawLayer>,
    /// The function from the logits to the output.
    pub head: Head,
}

/// One layer. Each description names the kinds of layer that have the field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawLayer {
    /// The kind of layer.
    pub kind: LayerKind,
    /// `linear`, `batch_norm`: prefix of its tensors. `linear` has `NAME.weight [out, in]` and optionally `NAME.bias [out]`.
    /// `batch_norm` has `NAME.weight`, `NAME.bias`, `NAME.running_mean` and `NAME.running_var`, all `[width]`; a tensor
    /// `NAME.num_batches_tracked` is ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `batch_norm`: added to the variance. Default: 1e-5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eps: Option<f64>,
    /// `leaky_relu`: slope for negative values. Default: 0.01.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative_slope: Option<f64>,
}

/// The kind of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LayerKind {
    /// `x W^T + b`
    Linear,
    /// `(x - running_mean) / sqrt(running_var + eps) * weight + bias`, folded into a linear layer when the version is loaded.
    BatchNorm,
    /// `max(x, 0)`
    Relu,
    /// `x Phi(x)`, in the exact form with erf.
    Gelu,
    /// `x sigmoid(x)`
    Silu,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-x)`
    Sigmoid,
    /// `x` for positive values, `negative_slope x` for negative ones.
    LeakyRelu,
}

/// The function from the logits to the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// One logit; the output is the probability of the second class.
    Sigmoid,
    /// One logit per class; the outputs are their probabilities.
    Softmax,
    /// The outputs are the logits.
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
    /// `[-1]` for one value per row, `[-1, n]` for n values per row (encodings `numeric` and `ignore` only).
    pub shape: Vec<i64>,
    /// How it is encoded as columns of the network.
    pub encoding: RawEncoding,
    /// Whether its values are never logged, shown or profiled. `"hash"`: the prediction log may contain keyed hashes of them.
    #[serde(default, skip_serializing_if = "Sensitivity::is_open")]
    pub sensitive: Sensitivity,
}

/// How an input is encoded as columns of the network. Each description names the kinds of encoding that have the field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawEncoding {
    /// The kind of encoding.
    pub kind: EncodingKind,
    /// `numeric`: how values are scaled. Default: `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<ScaleKind>,
    /// `numeric` with scale `standardise`: one mean per column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Vec<f64>>,
    /// `numeric` with scale `standardise`: one standard deviation per column, more than 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<Vec<f64>>,
    /// `numeric` with scale `min_max`: the value that is scaled to 0, one per column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Vec<f64>>,
    /// `numeric` with scale `min_max`: the value that is scaled to 1, one per column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Vec<f64>>,
    /// `numeric`, `cyclic`: the allowed values. Default: all finite values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<RawRange>,
    /// `cyclic`: the length of one period, more than 0. Columns: `sin(2 pi x / period)`, `cos(2 pi x / period)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<f64>,
    /// `categorical`: the known categories, one column each, in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Vec<String>>,
    /// `categorical`: how an unknown category is handled. Default: `reject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<UnknownPolicy>,
    /// How a missing value is handled. Default: `reject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<MissingPolicy>,
    /// With missing `impute`: the value to use instead, of the input's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impute: Option<Value>,
}

/// The kind of encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncodingKind {
    /// A number, scaled: one column per value.
    Numeric,
    /// A string, one-hot: one column per category, and one more for unknown categories if `unknown` is `bucket`.
    Categorical,
    /// A number with a period, such as an hour of the day: two columns.
    Cyclic,
    /// Accepted and type-checked, but not used. This lets versions that use different inputs have the same signature.
    Ignore,
}

/// How numbers are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScaleKind {
    /// Not scaled.
    None,
    /// `(x - mean) / std`
    Standardise,
    /// `(x - min) / (max - min)`
    MinMax,
}

/// A range of allowed values, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRange {
    /// The smallest allowed value.
    pub min: f64,
    /// The largest allowed value.
    pub max: f64,
    /// How values outside the range are handled.
    pub outside: OutsidePolicy,
}

/// How a value outside the allowed range is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutsidePolicy {
    /// The request is rejected.
    Reject,
    /// The nearest allowed value is used.
    Clip,
}

/// How an unknown category is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPolicy {
    /// The request is rejected.
    Reject,
    /// All unknown categories share one additional column.
    Bucket,
}

/// How a missing value is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissingPolicy {
    /// The request is rejected.
    Reject,
    /// The value in `impute` is used.
    Impute,
    /// The value may be missing. For encoding `ignore` only.
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
    /// Path relative to the version's folder.
    pub path: String,
    /// SHA-256 digest of the file, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Size of the file in bytes.
    pub bytes: u64,
}

/// The reference profile: the distribution of features and predictions on the training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Number of rows in the profile.
    pub rows: u64,
    /// Distributions of features, by input name. Sensitive inputs are left out.
    pub features: BTreeMap<String, Profile>,
    /// Distributions of predictions. A `sigmoid` head has `probability`, a `softmax` head one entry per class label, an `identity` head
    /// `value`, or `value[i]` if it has several columns.
    pub predictions: BTreeMap<String, Profile>,
}

/// The distribution of one column: `quantiles` for numbers, `categories` for strings.
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
    /// Counts of the 200 most frequent strings; `other` counts the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<BTreeMap<String, u64>>,
    /// Rows whose string is not among `categories`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<u64>,
}

/// A golden request with the expected answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// Values by input name.
    pub row: BTreeMap<String, Value>,
    /// One number per column of the output. The version must return it within 1e-5 absolute, or 1e-4 relative for head `identity`.
    pub answer: Vec<f32>,
}

/// Limits and hints for batching.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawBatching {
    /// The most rows of one request, 1 to 65536.
    #[schemars(range(min = 1, max = 65_536))]
    pub max_rows: usize,
    /// Hint: the most rows of one forward pass, over several requests, 1 to 65536. Default: `max_rows`. The gateway's configuration takes
    /// precedence over the hints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_536))]
    pub max_batch_rows: Option<usize>,
    /// Hint: the most rows that wait in the queue, 1 to 1,000,000. Default: 65,536.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_queue_rows: Option<usize>,
    /// Hint: milliseconds that the first request waits for others although a thread is free, 0 to 10,000. Default: 0.
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
