//! How each protocol names the fields of a request in errors, and which error codes its clients know.

use crate::error::{Code, InputFaults, PredictError};

/// Field names and codes of errors in one protocol.
#[derive(Debug)]
pub struct ErrorMapping {
    /// Field with the name of the model.
    pub(super) model: &'static str,
    /// Field with the number of a version.
    pub(super) version: &'static str,
    /// Field with the label of a version.
    pub(super) label: &'static str,
    /// Field with the tensors.
    pub(super) tensors: &'static str,
    /// Returns the code of an error.
    pub(super) code: fn(&PredictError) -> Code,
}

/// `taper.v1`.
pub static NATIVE: ErrorMapping = ErrorMapping {
    model: "model",
    version: "version",
    label: "label",
    tensors: InputFaults::TENSORS,
    code: PredictError::code,
};

/// The Open Inference Protocol, with Triton's error codes.
pub static OPEN_INFERENCE: ErrorMapping = ErrorMapping {
    model: "model_name",
    version: "model_version",
    label: "model_version",
    tensors: "inputs",
    code: |error| match error.code() {
        Code::FailedPrecondition | Code::ResourceExhausted => Code::Unavailable,
        code => code,
    },
};

/// The Open Inference Protocol in requests that only read, whose fields have other names.
pub(super) static OPEN_INFERENCE_READS: ErrorMapping = ErrorMapping {
    model: "name",
    version: "version",
    label: "version",
    ..OPEN_INFERENCE
};

/// TensorFlow Serving's protocol.
pub static TENSORFLOW_SERVING: ErrorMapping = ErrorMapping {
    model: "model_spec.name",
    version: "model_spec.version",
    label: "model_spec.version_label",
    tensors: "inputs",
    code: |error| match (error, error.code()) {
        (PredictError::UnknownLabel { .. }, _) => Code::InvalidArgument,
        (_, Code::FailedPrecondition | Code::ResourceExhausted) => Code::Unavailable,
        (_, code) => code,
    },
};
