//! How protocols call what an error is about, and which codes their clients know.

use crate::error::{Code, InputFaults, PredictError};

/// The words of one protocol for errors.
#[derive(Debug)]
pub struct ErrorMapping {
    /// Field of the model's name.
    pub(super) model: &'static str,
    /// Field of a version by number.
    pub(super) version: &'static str,
    /// Field of a version by label.
    pub(super) label: &'static str,
    /// Field of the tensors.
    pub(super) tensors: &'static str,
    /// The code of an error.
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

/// The Open Inference Protocol, with the codes that Triton answers with.
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

/// The same in requests that only ask what there is.
pub(super) static OPEN_INFERENCE_QUESTIONS: ErrorMapping = ErrorMapping {
    model: "name",
    version: "version",
    label: "version",
    ..OPEN_INFERENCE
};

/// TensorFlow Serving's.
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
