//! Why a call got no answer: one variant per thing the caller can do about it.
//!
//! `reason()` is one stable word per variant: `google.rpc.ErrorInfo.reason` on the wire and the metric label.
//! `code()` is the gRPC code. Causes go to the log and to operators (`GetModel`, and the refusal of a policy), never to
//! who asks for predictions. How much of a text fits into an answer is `api`'s business.

mod code;
mod input;

use std::{any::Any, time::Duration};

use crate::ident::{Label, Revision, VersionNumber};

pub use code::Code;
pub use input::{InputFault, InputFaults};

/// Why a version could not score a batch.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The library beneath the model refused.
    #[error("{0}")]
    Failed(String),
    /// The model panicked; the worker survives.
    #[error("the model panicked: {0}")]
    Panicked(String),
    /// The answer holds NaN or an infinity, which no caller can use.
    #[error("the answer for row {row} is not finite")]
    NotFinite {
        /// The first such row.
        row: usize,
    },
}

/// Why a `Predict` call got no answer.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// Nobody serves this name.
    #[error("no model named `{0}`")]
    UnknownModel(String),
    /// The pinned version is not in the registry.
    #[error("model `{model}` has no version {version}")]
    UnknownVersion {
        /// The model.
        model: String,
        /// The number in the request.
        version: u64,
    },
    /// The pinned label names nothing.
    #[error("model `{model}` has no label `{label}`")]
    UnknownLabel {
        /// The model.
        model: String,
        /// The label in the request.
        label: String,
    },
    /// The pinned version exists and cannot answer, or no version of the model can.
    #[error("model `{model}` cannot answer: {why}")]
    NotReady {
        /// The model.
        model: String,
        /// What is missing, in the words of a data client: that a version failed to load, and not why it did.
        why: String,
    },
    /// Wrong input.
    #[error("{0}")]
    InvalidInput(InputFaults),
    /// A limit is reached.
    #[error("the limit on {what} is reached: {limit}")]
    Overloaded {
        /// Which limit.
        what: &'static str,
        /// Its value.
        limit: usize,
        /// When to try again.
        retry_after: Duration,
    },
    /// The deadline passed before the forward pass began.
    #[error("the deadline passed before the forward pass began")]
    DeadlineExceeded,
    /// The version could not score the rows. The cause is logged.
    #[error("version {version} failed to score the request")]
    Forward {
        /// The version.
        version: VersionNumber,
        /// For the log.
        source: ForwardError,
    },
}

impl PredictError {
    /// Every word that [`reason`](Self::reason) can give.
    pub const REASONS: [&str; 8] = [
        "UNKNOWN_MODEL",
        "UNKNOWN_VERSION",
        "UNKNOWN_LABEL",
        "VERSION_NOT_READY",
        "INVALID_INPUT",
        "OVERLOADED",
        "DEADLINE_EXCEEDED",
        "FORWARD_FAILED",
    ];

    /// The stable word for this kind of error.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownModel(_) => "UNKNOWN_MODEL",
            Self::UnknownVersion { .. } => "UNKNOWN_VERSION",
            Self::UnknownLabel { .. } => "UNKNOWN_LABEL",
            Self::NotReady { .. } => "VERSION_NOT_READY",
            Self::InvalidInput(_) => "INVALID_INPUT",
            Self::Overloaded { .. } => "OVERLOADED",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Forward { .. } => "FORWARD_FAILED",
        }
    }

    /// The gRPC code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::UnknownModel(_) | Self::UnknownVersion { .. } | Self::UnknownLabel { .. } => {
                Code::NotFound
            }
            Self::NotReady { .. } => Code::FailedPrecondition,
            Self::InvalidInput(_) => Code::InvalidArgument,
            Self::Overloaded { .. } => Code::ResourceExhausted,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::Forward { .. } => Code::Internal,
        }
    }
}

impl From<InputFaults> for PredictError {
    fn from(faults: InputFaults) -> Self {
        Self::InvalidInput(faults)
    }
}

/// Why an admin call was refused.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Nobody serves this name.
    #[error("no model named `{0}`")]
    UnknownModel(String),
    /// The policy itself is wrong, whatever the versions' state.
    #[error("{0}")]
    InvalidPolicy(InputFaults),
    /// Versions that the policy gives traffic to cannot answer; here operators are told why.
    #[error("{}", join(.0.iter().map(|(version, why)| format!("version {version} cannot take traffic: {why}"))))]
    NotReady(Vec<(VersionNumber, String)>),
    /// Versions of one policy take or give different tensors.
    #[error("versions under one policy must have one signature: {}", join(.0))]
    SignatureMismatch(Vec<String>),
    /// Another revision is in force than the caller expected.
    #[error(
        "expected revision {expected}, but revision {current} is in force: read the policy again"
    )]
    RevisionConflict {
        /// What the caller had seen.
        expected: Revision,
        /// What is in force.
        current: Revision,
    },
    /// A label of the configuration names a version that cannot answer.
    #[error("label `{label}` names version {version}, which is not READY")]
    LabelNotReady {
        /// The label.
        label: Label,
        /// The version.
        version: VersionNumber,
    },
    /// Too many changes wait for the writer.
    #[error("{limit} changes are waiting: try again")]
    Busy {
        /// How many may wait.
        limit: usize,
    },
    /// The gateway is going down.
    #[error("the gateway is going down; nothing was changed")]
    Draining,
}

impl AdminError {
    /// The stable word for this kind of error.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownModel(_) => "UNKNOWN_MODEL",
            Self::InvalidPolicy(_) => "INVALID_POLICY",
            Self::NotReady(_) | Self::LabelNotReady { .. } => "VERSION_NOT_READY",
            Self::SignatureMismatch(_) => "SIGNATURE_MISMATCH",
            Self::RevisionConflict { .. } => "REVISION_CONFLICT",
            Self::Busy { .. } => "OVERLOADED",
            Self::Draining => "DRAINING",
        }
    }

    /// The gRPC code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::UnknownModel(_) => Code::NotFound,
            Self::InvalidPolicy(_) => Code::InvalidArgument,
            Self::NotReady(_) | Self::LabelNotReady { .. } | Self::SignatureMismatch(_) => {
                Code::FailedPrecondition
            }
            Self::RevisionConflict { .. } => Code::Aborted,
            Self::Busy { .. } => Code::ResourceExhausted,
            Self::Draining => Code::Unavailable,
        }
    }
}

/// What a panic said of itself, for the log and for operators.
#[must_use]
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message")
}

fn join(parts: impl IntoIterator<Item = impl ToString>) -> String {
    parts
        .into_iter()
        .map(|part| part.to_string())
        .collect::<Vec<_>>()
        .join("; ")
}
