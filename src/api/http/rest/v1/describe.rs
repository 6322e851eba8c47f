//! The models, their states and signatures, in the JSON of TensorFlow Serving and KServe.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::error_response::{ErrorResponse, json};
use super::SIGNATURE;
use super::target::Target;
use crate::api::catalog::Catalog;
use crate::api::http::HttpState;
use crate::control::{State as VersionState, VersionView};
use crate::error::PredictError;
use crate::ident::VersionNumber;
use crate::model::payload::Datatype;
use crate::model::{Shape, Signature};
use crate::serving::Pin;

/// The method of every signature.
const METHOD: &str = "tensorflow/serving/predict";

/// Whether the process answers.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "V1Alive")]
pub(in crate::api::http) struct Alive {
    /// `alive`.
    status: &'static str,
}

pub(in crate::api::http) async fn alive() -> Response {
    json(&Alive { status: "alive" }, None)
}

/// All models.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "V1Models")]
pub(in crate::api::http) struct ModelList {
    /// Their names, sorted.
    models: Vec<String>,
}

/// Whether a model can answer, and the states of its versions.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "V1ModelStatus")]
pub(in crate::api::http) struct ModelStatus {
    /// The model.
    name: String,
    /// Whether the model, or the version or label in the path, can answer.
    ready: bool,
    /// The newest version first; only one if the path names a version or a label.
    model_version_status: Vec<VersionStatus>,
}

/// The state of a version.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "V1VersionStatus")]
struct VersionStatus {
    /// Its number.
    version: String,
    /// `START`, `LOADING`, `AVAILABLE`, `UNLOADING` or `END`.
    state: &'static str,
    /// Whether it failed.
    status: Outcome,
}

/// Whether a version failed.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "V1Status")]
struct Outcome {
    /// `OK` or `FAILED_PRECONDITION`.
    error_code: &'static str,
    /// Empty if it did not fail.
    error_message: String,
}

/// Inputs and outputs of a version.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "V1ModelMetadata")]
pub(in crate::api::http) struct ModelMetadata {
    model_spec: ModelSpec,
    metadata: Metadata,
}

/// A version.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "V1ModelSpec")]
struct ModelSpec {
    /// The model.
    name: String,
    /// Always empty.
    signature_name: &'static str,
    /// The number of the version.
    version: String,
}

/// Everything that is described of a version.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "V1Metadata")]
struct Metadata {
    signature_def: SignatureDefs,
}

/// Signatures by name.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "V1SignatureDefs")]
struct SignatureDefs {
    /// The only one is called `serving_default`.
    signature_def: BTreeMap<&'static str, SignatureDef>,
}

/// Inputs and outputs by name.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "V1SignatureDef")]
struct SignatureDef {
    inputs: BTreeMap<String, TensorInfo>,
    outputs: BTreeMap<String, TensorInfo>,
    /// `tensorflow/serving/predict`.
    method_name: &'static str,
}

/// An input or output.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "V1TensorInfo")]
struct TensorInfo {
    /// `DT_FLOAT`, `DT_INT64`, `DT_STRING` and so on.
    dtype: &'static str,
    tensor_shape: TensorShape,
    name: String,
}

/// The shape of a tensor.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "V1TensorShape")]
struct TensorShape {
    dim: Vec<Dim>,
    /// Always false.
    unknown_rank: bool,
}

/// An axis of a shape.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "V1Dim")]
struct Dim {
    /// Its length; `-1` for rows, and for axes of any length.
    size: String,
    /// Always empty.
    name: &'static str,
}

/// Lists the models.
pub(in crate::api::http) async fn models(State(state): State<HttpState>) -> Response {
    let view = state.catalog.view();
    let models = view.models.keys().map(ToString::to_string).collect();
    json(&ModelList { models }, None)
}

/// Answers with the states of the versions of a model, or of one version.
pub(in crate::api::http) async fn status(
    State(state): State<HttpState>,
    target: Target,
) -> Result<Response, ErrorResponse> {
    let (model, pin) = target.described()?;
    let status = ModelStatus::of(&state.catalog, model, pin.as_ref())?;
    Ok(json(&status, None))
}

/// Answers with the signature of a version: the one in the path, otherwise the highest one that has a share in the split.
pub(in crate::api::http) async fn metadata(
    State(state): State<HttpState>,
    target: Target,
) -> Result<Response, ErrorResponse> {
    let (model, pin) = target.described()?;
    let version = state.catalog.version(&model, pin.as_ref())?;
    let signature = SignatureDef::of(version.version.signature());
    let metadata = ModelMetadata {
        model_spec: ModelSpec {
            name: model,
            signature_name: "",
            version: version.number().to_string(),
        },
        metadata: Metadata {
            signature_def: SignatureDefs {
                signature_def: BTreeMap::from([(SIGNATURE, signature)]),
            },
        },
    };
    Ok(json(&metadata, None))
}

impl ModelStatus {
    /// # Errors
    /// Returns an error if the model, version or label does not exist.
    fn of(catalog: &Catalog, name: String, pin: Option<&Pin>) -> Result<Self, PredictError> {
        let view = catalog.view();
        let model = view.models.get(name.as_str());
        let model = model.ok_or_else(|| PredictError::unknown_model(&name))?;
        let pinned = match pin {
            None => None,
            Some(Pin::Version(number)) => Some(*number),
            Some(Pin::Label(label)) => {
                let version = model.labels.get(label.as_str());
                let version = version.ok_or_else(|| PredictError::unknown_label(&name, label))?;
                Some(version.get())
            }
        };
        let newest_first = model.versions.iter().rev();
        let model_version_status: Vec<_> = newest_first
            .filter(|(number, _)| pinned.is_none_or(|pinned| pinned == number.get()))
            .map(|(number, version)| VersionStatus::of(*number, version))
            .collect();
        if let (Some(version), []) = (pinned, &model_version_status[..]) {
            let model = name;
            return Err(PredictError::UnknownVersion { model, version });
        }
        Ok(Self {
            ready: catalog.version(&name, pin).is_ok(),
            name,
            model_version_status,
        })
    }
}

impl VersionStatus {
    fn of(number: VersionNumber, version: &VersionView) -> Self {
        let state = match version.state {
            VersionState::Discovered => "START",
            VersionState::Loading | VersionState::Verifying | VersionState::Warming => "LOADING",
            VersionState::Ready => "AVAILABLE",
            VersionState::Draining => "UNLOADING",
            VersionState::Retired | VersionState::Failed => "END",
        };
        let status = match version.state {
            VersionState::Failed => Outcome {
                error_code: "FAILED_PRECONDITION",
                // Only operators may see the cause.
                error_message: format!("version {number} failed to load; `GetModel` says why"),
            },
            _ => Outcome {
                error_code: "OK",
                error_message: String::new(),
            },
        };
        Self {
            version: number.to_string(),
            state,
            status,
        }
    }
}

impl SignatureDef {
    fn of(signature: &Signature) -> Self {
        let info = |name: &String, datatype, shape: &Shape| {
            let info = TensorInfo {
                dtype: dtype(datatype),
                tensor_shape: TensorShape::of(shape),
                name: name.clone(),
            };
            (name.clone(), info)
        };
        let inputs = signature.inputs().iter();
        let outputs = signature.outputs().iter();
        Self {
            inputs: inputs
                .map(|input| info(&input.name, input.datatype, &input.shape))
                .collect(),
            outputs: outputs
                .map(|output| info(&output.name, output.datatype, &output.shape))
                .collect(),
            method_name: METHOD,
        }
    }
}

impl TensorShape {
    fn of(shape: &Shape) -> Self {
        let axes = shape.to_wire().into_iter();
        let dim = axes.map(|length| Dim {
            size: length.to_string(),
            name: "",
        });
        Self {
            dim: dim.collect(),
            unknown_rank: false,
        }
    }
}

/// Returns TensorFlow's name of a datatype.
fn dtype(datatype: Datatype) -> &'static str {
    match datatype {
        Datatype::Bool => "DT_BOOL",
        Datatype::Int8 => "DT_INT8",
        Datatype::Int16 => "DT_INT16",
        Datatype::Int32 => "DT_INT32",
        Datatype::Int64 => "DT_INT64",
        Datatype::Uint8 => "DT_UINT8",
        Datatype::Uint16 => "DT_UINT16",
        Datatype::Uint32 => "DT_UINT32",
        Datatype::Uint64 => "DT_UINT64",
        Datatype::Fp16 => "DT_HALF",
        Datatype::Bf16 => "DT_BFLOAT16",
        Datatype::Fp32 => "DT_FLOAT",
        Datatype::Fp64 => "DT_DOUBLE",
        Datatype::Bytes => "DT_STRING",
    }
}
