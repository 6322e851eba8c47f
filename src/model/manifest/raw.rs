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
    /// Version of this form. 1, the default: a dense network over encoded features. 2: any format, inputs and outputs.
    #[serde(default = "first_form", skip_serializing_if = "is_first_form")]
    #[schemars(range(min = 1, max = 2))]
    pub manifest_version: u32,
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
    /// Names of the inputs that the model uses, in the order of `inputs`. Inputs with encoding `ignore` are left out. Form 2 may omit it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Origin of the training rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_data: Option<TrainingData>,
    /// Quality on held-out rows, by name of the measure: `auc`, `log_loss`, `brier`, `accuracy`, `mae`, ...
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// Format of the model's files: its name, or an object with its name and its settings.
    pub format: RawFormat,
    /// Format `dense` only: the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RawArchitecture")]
    pub architecture: Option<RawArchitecture>,
    /// The inputs of a request, in the order of the model's columns.
    #[schemars(length(min = 1))]
    pub inputs: Vec<RawInput>,
    /// Name of a tensor `[-1, n]` that a request may have instead of the inputs, with one column per input, in their order. Only if
    /// each input is one number per row. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<String>,
    /// The outputs. Formats other than `onnx` have exactly one.
    #[schemars(length(min = 1))]
    pub outputs: Vec<RawOutput>,
    /// Which output is judged, and what it is. Default: the only output; probabilities if there are classes, otherwise numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RawPrediction")]
    pub prediction: Option<RawPrediction>,
    /// Labels of the classes, in the order of the columns of the output that is judged. Two if its only column is the probability of
    /// the second; otherwise one per column, or one per label. None if numbers are predicted.
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

/// Format of the model's files: an object with its settings, or only its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RawFormat {
    /// The name and the settings.
    Tagged(FormatSettings),
    /// Only the name.
    Name(FormatKind),
}

impl RawFormat {
    /// Returns the kind of format.
    #[must_use]
    pub fn kind(&self) -> FormatKind {
        match self {
            Self::Tagged(settings) => settings.kind,
            Self::Name(kind) => *kind,
        }
    }

    /// Returns the settings; the defaults if only the name is given.
    #[must_use]
    pub fn settings(&self) -> FormatSettings {
        match self {
            Self::Tagged(settings) => settings.clone(),
            Self::Name(kind) => FormatSettings {
                kind: *kind,
                file: None,
                iterations: None,
                external: Vec::new(),
            },
        }
    }
}

/// A format with its settings. Each description names the formats that have the setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FormatSettings {
    /// The format.
    pub kind: FormatKind,
    /// The model's file. Default: `weights.safetensors` for `dense`, `model.json` for `xgboost`, `model.txt` for `lightgbm`,
    /// `model.onnx` for `onnx`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// `xgboost`: which trees are used. Default: `all`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iterations: Option<Iterations>,
    /// `onnx`: files with external data, which the model's file refers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<String>,
}

/// The name of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FormatKind {
    /// A stack of layers with weights in `weights.safetensors`: F32, or F64, F16 and BF16, which are converted when the version is
    /// loaded. Tensors have the names of torch's `state_dict`.
    Dense,
    /// Decision trees of XGBoost, as JSON or UBJ.
    Xgboost,
    /// Decision trees of LightGBM, as text.
    Lightgbm,
    /// A graph of ONNX operators.
    Onnx,
}

/// Which trees of a model of XGBoost are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Iterations {
    /// All trees, as `Booster.predict` does.
    All,
    /// The trees up to `best_iteration`, as the classes for scikit-learn do after early stopping.
    Best,
}

/// Which output is judged, and what it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawPrediction {
    /// Name of the output. Default: the only output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// What the output is.
    pub kind: RawPredictionKind,
    /// `embedding`: two vectors disagree if their cosine is below this. From -1 to 1, default: 0.95.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosine: Option<f32>,
}

/// What a prediction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawPredictionKind {
    /// Probabilities of classes: one column per class, or one column with the probability of the second of two classes.
    Probabilities,
    /// The class: its label as BYTES, or as an integer.
    Labels,
    /// One number per row.
    Value,
    /// Several numbers per row.
    Values,
    /// A vector per row whose direction matters.
    Embedding,
}

fn first_form() -> u32 {
    1
}

/// Serde calls it with a reference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "required by serde")]
fn is_first_form(version: &u32) -> bool {
    *version == first_form()
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
    /// `[-1]` for one value per row, `[-1, n]` for n values per row (encodings `numeric`, `ignore`, `mask` and `tensor` only). With encoding
    /// `tensor` any number of axes; -1 after the first axis is any length.
    pub shape: Vec<i64>,
    /// Whether the first axis is the number of rows. Default: whether it is -1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<bool>,
    /// How it is encoded for the model. Default: `{"kind": "tensor"}`.
    #[serde(default, skip_serializing_if = "RawEncoding::is_plain_tensor")]
    pub encoding: RawEncoding,
    /// Whether its values are never logged, shown or profiled. `"hash"`: the prediction log may contain keyed hashes of them.
    #[serde(default, skip_serializing_if = "Sensitivity::is_open")]
    pub sensitive: Sensitivity,
}

/// How an input is encoded for the model. Each description names the kinds of encoding that have the field.
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
    /// `categorical`: the known categories, one column each, in this order. `ordinal`: the known categories; the column is the position
    /// of the category, from 0. Strings for BYTES, integers for an integer type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Vec<RawCategory>>,
    /// `categorical`, `ordinal`: how an unknown category is handled. Default: `reject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<UnknownPolicy>,
    /// How a missing value is handled. Default: `reject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<MissingPolicy>,
    /// With missing `impute`: the value to use instead, of the input's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impute: Option<Value>,
    /// `mask`: name of the input whose missing values it marks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

impl RawEncoding {
    /// Returns an encoding of this kind without any other field.
    #[must_use]
    pub fn of(kind: EncodingKind) -> Self {
        Self {
            kind,
            scale: None,
            mean: None,
            std: None,
            min: None,
            max: None,
            range: None,
            period: None,
            categories: None,
            unknown: None,
            missing: None,
            impute: None,
            of: None,
        }
    }

    /// Returns whether this is the default. Serde calls it with a reference.
    fn is_plain_tensor(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for RawEncoding {
    fn default() -> Self {
        Self::of(EncodingKind::Tensor)
    }
}

/// A category.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RawCategory {
    /// A string, for BYTES.
    Text(String),
    /// An integer, for an integer type.
    Number(i64),
}

/// The kind of encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncodingKind {
    /// A number, scaled: one column per value.
    Numeric,
    /// A string or an integer, one-hot: one column per category, and one more for unknown categories if `unknown` is `bucket`.
    Categorical,
    /// A string or an integer: one column with the position of the category.
    Ordinal,
    /// A number with a period, such as an hour of the day: two columns.
    Cyclic,
    /// Accepted and type-checked, but not used. This lets versions that use different inputs have the same signature.
    Ignore,
    /// Passed to the model as it is. Formats `onnx` only.
    Tensor,
    /// BOOL, in the shape of another input: true where a value of that input is missing, whatever is there. A request may omit it.
    Mask,
}

impl EncodingKind {
    /// Returns whether the model gets the values of such an input.
    #[must_use]
    pub fn reaches_model(self) -> bool {
        !matches!(self, Self::Ignore | Self::Mask)
    }
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
    /// The value is used as it is: the range only says what occurred in training.
    Accept,
}

/// How an unknown category is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPolicy {
    /// The request is rejected.
    Reject,
    /// `categorical`: all unknown categories share one additional column.
    Bucket,
    /// `ordinal`: the value counts as missing.
    Missing,
}

/// How a missing value is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissingPolicy {
    /// The request is rejected.
    Reject,
    /// The value in `impute` is used.
    Impute,
    /// The value may be missing: the model gets NaN, or, with encoding `ignore`, nothing. Formats `xgboost`, `lightgbm` and `onnx` only.
    Accept,
}

/// One output of the signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawOutput {
    /// Its name; unique.
    pub name: String,
    /// Type of its elements. FP32 or FP64 for formats other than `onnx`.
    pub datatype: Datatype,
    /// `[-1, columns]`, or `[-1]` for one column. With format `onnx` any number of axes; -1 after the first axis is any length.
    pub shape: Vec<i64>,
    /// Whether the first axis is the number of rows. Default: whether it is -1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<bool>,
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
    /// Distributions of predictions. Probabilities have one entry per class label, or one called after the output if it has one column.
    /// Labels have one entry per class label, whose mean is the share of rows with it. One number, or the norm of an embedding, has one
    /// entry called after the output, several numbers one entry `OUTPUT[i]` each.
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
    /// Values by input name. An input of several values per row has a list, or lists of lists.
    pub row: BTreeMap<String, Value>,
    /// One number per column of the output that is judged; for labels, 1 for the class and 0 for the others; for an embedding, its norm.
    /// The version must return it within 1e-5 absolute if there are classes, otherwise within 1e-4 relative.
    pub answer: Vec<f32>,
    /// Whether the answer is what the library that trained the model gives, or taper's own at the time of the import. Default: not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<GoldenSource>,
}

/// Where a golden answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GoldenSource {
    /// The library that trained the model.
    Library,
    /// taper, when the version was imported.
    Taper,
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
