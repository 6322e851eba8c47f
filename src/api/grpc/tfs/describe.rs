//! Signatures and states of versions, in the form that TensorFlow Serving's clients expect.

use std::collections::BTreeMap;

use prost::Message;
use prost_types::Any;

use super::SIGNATURE;
use super::predict::{make_spec, read_target};
use super::tensor::{make_shape, quote, to_wire};
use crate::api::catalog::Catalog;
use crate::control::{State, VersionView};
use crate::error::{InputFaults, PredictError};
use crate::ident::VersionNumber;
use crate::model::Signature;
use crate::proto::tensorflow::serving::model_version_status::State as WireState;
use crate::proto::tensorflow::serving::{
    GetModelMetadataRequest, GetModelMetadataResponse, GetModelStatusRequest,
    GetModelStatusResponse, ModelVersionStatus, SignatureDefMap, StatusProto,
};
use crate::proto::tensorflow::{SignatureDef, TensorInfo};
use crate::serving::Pin;

/// The only field of metadata that TensorFlow Serving has.
const METADATA_FIELD: &str = "signature_def";
/// Type of the message in the field's `Any`.
const SIGNATURE_DEF_MAP_URL: &str = "type.googleapis.com/tensorflow.serving.SignatureDefMap";
/// The method of every signature.
const METHOD: &str = "tensorflow/serving/predict";

/// Returns the signature of a version: the pinned one, otherwise the highest one that has a share in the split.
///
/// # Errors
/// Returns an error if the version does not exist or cannot answer, or if another field is requested.
pub(super) fn model_metadata(
    message: GetModelMetadataRequest,
    catalog: &Catalog,
) -> Result<GetModelMetadataResponse, PredictError> {
    let mut faults = InputFaults::default();
    let (model, pin) = read_target(message.model_spec.unwrap_or_default(), &mut faults);
    let wanted = format!("`{METADATA_FIELD}`");
    if message.metadata_field.is_empty() {
        faults.add("metadata_field", "nothing", wanted.clone());
    }
    let mut fields = message.metadata_field.iter();
    if let Some(other) = fields.find(|field| *field != METADATA_FIELD) {
        faults.add("metadata_field", quote(other), wanted);
    }
    faults.into_result()?;
    let version = catalog.version(&model, pin.as_ref())?;
    let map = SignatureDefMap {
        signature_def: BTreeMap::from([(
            SIGNATURE.to_owned(),
            write_signature(version.version.signature()),
        )]),
    };
    let signatures = Any {
        type_url: SIGNATURE_DEF_MAP_URL.to_owned(),
        value: map.encode_to_vec(),
    };
    Ok(GetModelMetadataResponse {
        model_spec: Some(make_spec(model, version.number())),
        metadata: BTreeMap::from([(METADATA_FIELD.to_owned(), signatures)]),
    })
}

fn write_signature(signature: &Signature) -> SignatureDef {
    let info = |name: &str, datatype, axes: &[i64]| {
        let info = TensorInfo {
            name: name.to_owned(),
            dtype: to_wire(datatype).into(),
            tensor_shape: Some(make_shape(axes)),
        };
        (name.to_owned(), info)
    };
    let inputs = signature.inputs().iter();
    let outputs = signature.outputs().iter();
    SignatureDef {
        inputs: inputs
            .map(|input| info(&input.name, input.datatype, &input.shape.to_wire()))
            .collect(),
        outputs: outputs
            .map(|output| info(&output.name, output.datatype, &output.shape.to_wire()))
            .collect(),
        method_name: METHOD.to_owned(),
    }
}

/// Returns the states of the versions of a model, the newest first, or of the pinned version only.
///
/// # Errors
/// Returns an error if the model, version or label does not exist.
pub(super) fn model_status(
    message: GetModelStatusRequest,
    catalog: &Catalog,
) -> Result<GetModelStatusResponse, PredictError> {
    let mut faults = InputFaults::default();
    let (name, pin) = read_target(message.model_spec.unwrap_or_default(), &mut faults);
    faults.into_result()?;
    let view = catalog.view();
    let model = view.models.get(name.as_str());
    let model = model.ok_or_else(|| PredictError::unknown_model(&name))?;
    let pinned = match pin {
        None => None,
        Some(Pin::Version(number)) => Some(number),
        Some(Pin::Label(label)) => {
            let version = model.labels.get(label.as_str());
            let version = version.ok_or_else(|| PredictError::unknown_label(&name, &label))?;
            Some(version.get())
        }
    };
    let is_requested = |number: &VersionNumber| pinned.is_none_or(|pinned| pinned == number.get());
    let newest_first = model.versions.iter().rev();
    let statuses: Vec<_> = newest_first
        .filter(|(number, _)| is_requested(number))
        .map(|(number, version)| write_version_status(*number, version))
        .collect();
    match pinned {
        Some(version) if statuses.is_empty() => Err(PredictError::UnknownVersion {
            model: name,
            version,
        }),
        _ => Ok(GetModelStatusResponse {
            model_version_status: statuses,
        }),
    }
}

fn write_version_status(number: VersionNumber, version: &VersionView) -> ModelVersionStatus {
    let state = match version.state {
        State::Discovered => WireState::Start,
        State::Loading | State::Verifying | State::Warming => WireState::Loading,
        State::Ready => WireState::Available,
        State::Draining => WireState::Unloading,
        State::Retired | State::Failed => WireState::End,
    };
    let status = if version.state == State::Failed {
        StatusProto {
            error_code: tonic::Code::FailedPrecondition.into(),
            // Only operators may see the cause.
            error_message: format!("version {number} failed to load; `GetModel` says why"),
        }
    } else {
        StatusProto::default()
    };
    ModelVersionStatus {
        version: i64::try_from(number.get()).unwrap_or(i64::MAX),
        state: state.into(),
        status: Some(status),
    }
}
