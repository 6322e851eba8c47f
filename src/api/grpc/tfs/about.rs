//! What there is, as TensorFlow Serving's clients ask for it: signatures, and how versions stand.

use std::collections::BTreeMap;

use prost::Message;
use prost_types::Any;

use super::SIGNATURE;
use super::predict::{named, spec};
use super::tensor::{quoted, shape_of, to_wire};
use crate::api::catalog::Catalog;
use crate::control::{State, VersionView};
use crate::error::{InputFaults, PredictError};
use crate::ident::VersionNumber;
use crate::model::Signature;
use crate::model::payload::Datatype;
use crate::proto::tensorflow::serving::model_version_status::State as WireState;
use crate::proto::tensorflow::serving::{
    GetModelMetadataRequest, GetModelMetadataResponse, GetModelStatusRequest,
    GetModelStatusResponse, ModelVersionStatus, SignatureDefMap, StatusProto,
};
use crate::proto::tensorflow::{SignatureDef, TensorInfo};
use crate::serving::Pin;

/// The only thing that clients can ask to know of a version.
const FIELD: &str = "signature_def";
/// What is told in an `Any`.
const SIGNATURE_DEF_MAP: &str = "type.googleapis.com/tensorflow.serving.SignatureDefMap";
/// What every signature here is for.
const METHOD: &str = "tensorflow/serving/predict";

/// The signature of a version: the one that is pinned, else the highest that traffic goes to.
///
/// # Errors
/// It is not there, cannot answer, or something else is asked for.
pub(super) fn metadata(
    message: GetModelMetadataRequest,
    catalog: &Catalog,
) -> Result<GetModelMetadataResponse, PredictError> {
    let mut faults = InputFaults::default();
    let (model, pin) = named(message.model_spec.unwrap_or_default(), &mut faults);
    let wanted = format!("`{FIELD}`");
    if message.metadata_field.is_empty() {
        faults.add("metadata_field", "nothing", wanted.clone());
    }
    let other = message.metadata_field.iter().find(|field| *field != FIELD);
    if let Some(other) = other {
        faults.add("metadata_field", quoted(other), wanted);
    }
    faults.into_result()?;
    let version = catalog.version(&model, pin.as_ref())?;
    let signatures = SignatureDefMap {
        signature_def: BTreeMap::from([(
            SIGNATURE.to_owned(),
            signature(version.version.signature()),
        )]),
    };
    let signatures = Any {
        type_url: SIGNATURE_DEF_MAP.to_owned(),
        value: signatures.encode_to_vec(),
    };
    Ok(GetModelMetadataResponse {
        model_spec: Some(spec(model, version.number())),
        metadata: BTreeMap::from([(FIELD.to_owned(), signatures)]),
    })
}

fn signature(signature: &Signature) -> SignatureDef {
    let info = |name: &str, datatype, axes: &[i64]| {
        let info = TensorInfo {
            name: name.to_owned(),
            dtype: to_wire(datatype).into(),
            tensor_shape: Some(shape_of(axes)),
        };
        (name.to_owned(), info)
    };
    let inputs = signature.inputs().iter();
    let output = &signature.output;
    let columns = i64::try_from(output.columns).unwrap_or(i64::MAX);
    SignatureDef {
        inputs: inputs
            .map(|input| info(&input.name, input.datatype, &input.shape()))
            .collect(),
        outputs: BTreeMap::from([info(&output.name, Datatype::Fp32, &[-1, columns])]),
        method_name: METHOD.to_owned(),
    }
}

/// How the versions of a model stand, the newest first; only the one that is pinned where there is a pin.
///
/// # Errors
/// The model, the version or the label is not known.
pub(super) fn status(
    message: GetModelStatusRequest,
    catalog: &Catalog,
) -> Result<GetModelStatusResponse, PredictError> {
    let mut faults = InputFaults::default();
    let (name, pin) = named(message.model_spec.unwrap_or_default(), &mut faults);
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
    let is_asked_for = |number: &VersionNumber| pinned.is_none_or(|pinned| pinned == number.get());
    let versions = model.versions.iter().rev();
    let versions = versions.filter(|(number, _)| is_asked_for(number));
    let told: Vec<_> = versions
        .map(|(number, version)| standing(*number, version))
        .collect();
    match pinned {
        Some(version) if told.is_empty() => Err(PredictError::UnknownVersion {
            model: name,
            version,
        }),
        _ => Ok(GetModelStatusResponse {
            model_version_status: told,
        }),
    }
}

fn standing(number: VersionNumber, version: &VersionView) -> ModelVersionStatus {
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
            // Why is the operators' business.
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
