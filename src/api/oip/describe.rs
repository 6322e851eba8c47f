//! Descriptions of the server and of one version: its inputs and outputs, and how it is served.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::catalog::Catalog;
use crate::api::read;
use crate::error::{InputFaults, PredictError};
use crate::model::manifest::raw::FormatKind;
use crate::model::payload::Datatype;
use crate::model::{Input, Manifest, Output, Shape};
use crate::proto::inference;
use crate::proto::inference::model_metadata_response::TensorMetadata;
use crate::proto::inference::model_version_policy::{PolicyChoice, Specific};
use crate::serving::live::ServingModel;
use crate::serving::version::VersionRuntime;

/// The protocol's extensions that are supported.
const EXTENSIONS: [&str; 6] = [
    "classification",
    "model_repository",
    "model_configuration",
    "binary_tensor_data",
    "parameters",
    "statistics",
];

/// Describes this server.
pub(in crate::api) fn server_metadata() -> inference::ServerMetadataResponse {
    inference::ServerMetadataResponse {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        extensions: EXTENSIONS.map(str::to_owned).into(),
    }
}

/// Returns whether `model` can answer: by the version or label `version`, or if that is empty, by its policy. Unknown names cannot answer,
/// as with Triton.
///
/// # Errors
/// Returns an error if no model is named.
pub(in crate::api) fn model_ready(
    catalog: &Catalog,
    model: &str,
    version: String,
) -> Result<bool, PredictError> {
    check_named(model)?;
    Ok(catalog.version(model, read::pin(version).as_ref()).is_ok())
}

/// Returns the inputs and outputs of the version or label `version`; if that is empty, of the highest version with a share in the split.
///
/// # Errors
/// Returns an error if the model, version or label does not exist or cannot answer.
pub(in crate::api) fn metadata(
    catalog: &Catalog,
    model: &str,
    version: String,
) -> Result<inference::ModelMetadataResponse, PredictError> {
    let (serving, version) = find(catalog, model, version)?;
    let manifest = version.version.manifest();
    let signature = &manifest.signature;
    Ok(inference::ModelMetadataResponse {
        name: serving.name.to_string(),
        versions: serving.ready.keys().map(ToString::to_string).collect(),
        platform: platform(manifest),
        inputs: signature.inputs().iter().map(write_input).collect(),
        outputs: signature.outputs().iter().map(write_output).collect(),
        properties: properties(&serving, manifest),
    })
}

/// Returns how the version or label `version` is served; if that is empty, the highest version with a share in the split.
///
/// # Errors
/// Returns an error if the model, version or label does not exist or cannot answer.
pub(in crate::api) fn config(
    catalog: &Catalog,
    model: &str,
    version: String,
) -> Result<inference::ModelConfig, PredictError> {
    let (serving, version) = find(catalog, model, version)?;
    let manifest = version.version.manifest();
    let signature = &manifest.signature;
    let rules = version.queue.rules();
    let delay = rules.max_queue_delay.as_micros();
    Ok(inference::ModelConfig {
        name: serving.name.to_string(),
        platform: platform(manifest),
        version_policy: Some(version_policy(&serving)),
        // With 0, the dims of inputs and outputs contain every axis.
        max_batch_size: if signature.has_rows() {
            to_i32(signature.max_rows)
        } else {
            0
        },
        input: signature
            .inputs()
            .iter()
            .map(write_configured_input)
            .collect(),
        output: signature
            .outputs()
            .iter()
            .map(write_configured_output)
            .collect(),
        dynamic_batching: Some(inference::ModelDynamicBatching {
            preferred_batch_size: vec![to_i32(rules.max_batch_rows)],
            max_queue_delay_microseconds: u64::try_from(delay).unwrap_or(u64::MAX),
            ..inference::ModelDynamicBatching::default()
        }),
        parameters: BTreeMap::new(),
        backend: env!("CARGO_PKG_NAME").to_owned(),
        model_transaction_policy: Some(inference::ModelTransactionPolicy { decoupled: false }),
        response_cache: Some(inference::ModelResponseCache { enable: false }),
    })
}

fn find(
    catalog: &Catalog,
    model: &str,
    version: String,
) -> Result<(Arc<ServingModel>, Arc<VersionRuntime>), PredictError> {
    check_named(model)?;
    catalog.find(model, read::pin(version).as_ref())
}

fn check_named(model: &str) -> Result<(), PredictError> {
    if model.is_empty() {
        let faults = InputFaults::one("name", "nothing", "the name of a model");
        return Err(faults.into());
    }
    Ok(())
}

fn platform(manifest: &Manifest) -> String {
    let format = match manifest.format.kind {
        FormatKind::Dense => "dense",
        FormatKind::Xgboost => "xgboost",
        FormatKind::Lightgbm => "lightgbm",
        FormatKind::Onnx => "onnx",
    };
    format!("{}_{format}", env!("CARGO_PKG_NAME"))
}

/// Lists the versions that are READY. The configuration may say `latest`; this lists the result.
fn version_policy(serving: &ServingModel) -> inference::ModelVersionPolicy {
    let versions = serving.ready.keys();
    let versions = versions.map(|version| i64::try_from(version.get()).unwrap_or(i64::MAX));
    let specific = Specific {
        versions: versions.collect(),
    };
    inference::ModelVersionPolicy {
        policy_choice: Some(PolicyChoice::Specific(specific)),
    }
}

fn properties(serving: &ServingModel, manifest: &Manifest) -> BTreeMap<String, String> {
    let labels = serving.labels.iter();
    let labels: Vec<_> = labels
        .map(|(label, version)| format!("{label}={version}"))
        .collect();
    let mut properties = BTreeMap::new();
    for (name, text) in [
        ("labels", Some(labels.join(","))),
        ("description", manifest.about.description.clone()),
    ] {
        properties.extend(text.map(|text| (name.to_owned(), text)));
    }
    properties
}

fn write_input(input: &Input) -> TensorMetadata {
    TensorMetadata {
        name: input.name.clone(),
        datatype: input.datatype.to_string(),
        shape: input.shape.to_wire(),
    }
}

fn write_output(output: &Output) -> TensorMetadata {
    TensorMetadata {
        name: output.name.clone(),
        datatype: output.datatype.to_string(),
        shape: output.shape.to_wire(),
    }
}

fn write_configured_input(input: &Input) -> inference::ModelInput {
    inference::ModelInput {
        name: input.name.clone(),
        data_type: data_type(input.datatype).into(),
        dims: dims(&input.shape),
        optional: input.optional(),
        ..inference::ModelInput::default()
    }
}

fn write_configured_output(output: &Output) -> inference::ModelOutput {
    inference::ModelOutput {
        name: output.name.clone(),
        data_type: data_type(output.datatype).into(),
        dims: dims(&output.shape),
        ..inference::ModelOutput::default()
    }
}

/// Returns the axes without the rows.
fn dims(shape: &Shape) -> Vec<i64> {
    let axes = shape.to_wire().into_iter();
    axes.skip(usize::from(shape.batched)).collect()
}

fn to_i32(rows: usize) -> i32 {
    i32::try_from(rows).unwrap_or(i32::MAX)
}

fn data_type(datatype: Datatype) -> inference::DataType {
    match datatype {
        Datatype::Bool => inference::DataType::TypeBool,
        Datatype::Int8 => inference::DataType::TypeInt8,
        Datatype::Int16 => inference::DataType::TypeInt16,
        Datatype::Int32 => inference::DataType::TypeInt32,
        Datatype::Int64 => inference::DataType::TypeInt64,
        Datatype::Uint8 => inference::DataType::TypeUint8,
        Datatype::Uint16 => inference::DataType::TypeUint16,
        Datatype::Uint32 => inference::DataType::TypeUint32,
        Datatype::Uint64 => inference::DataType::TypeUint64,
        Datatype::Fp16 => inference::DataType::TypeFp16,
        Datatype::Bf16 => inference::DataType::TypeBf16,
        Datatype::Fp32 => inference::DataType::TypeFp32,
        Datatype::Fp64 => inference::DataType::TypeFp64,
        Datatype::Bytes => inference::DataType::TypeString,
    }
}
