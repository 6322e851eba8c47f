//! Why a call got no answer: one variant per thing the caller can do about it.
//!
//! `reason()` is one stable word per variant: `google.rpc.ErrorInfo.reason` on the wire and the metric label.
//! `code()` is the gRPC code. Causes go to the log and to operators (`GetModel`, and the refusal of a policy), never to
//! who asks for predictions. How much of a text fits into an answer is `api`'s business.

mod admin;
mod code;
mod input;

use std::{any::Any, time::Duration};

use crate::ident::{Label, ModelName, VersionNumber};
use crate::text::truncate;

pub use admin::AdminError;
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
    /// It would not be answered in time: too much waits before it, or it has waited too long.
    #[error(
        "the deadline is {left:.1?} away and an answer would take {needs:.1?}: give it more time, or send less"
    )]
    TooLate {
        /// Until the deadline.
        left: Duration,
        /// Until it would be answered.
        needs: Duration,
        /// When to try again.
        retry_after: Duration,
    },
    /// The gateway went down before the request was answered.
    #[error("the gateway is going down and its deadline for requests in flight has passed")]
    Draining,
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
    /// There is no model that a caller calls `name`.
    #[must_use]
    pub fn unknown_model(name: &str) -> Self {
        Self::UnknownModel(truncate(name, ModelName::MAX_LEN).to_owned())
    }

    /// `model` has no label that a caller calls `label`.
    #[must_use]
    pub fn unknown_label(model: &str, label: &str) -> Self {
        Self::UnknownLabel {
            model: model.to_owned(),
            label: truncate(label, Label::MAX_LEN).to_owned(),
        }
    }

    /// Every word that [`reason`](Self::reason) can give.
    pub const REASONS: [&str; 10] = [
        "UNKNOWN_MODEL",
        "UNKNOWN_VERSION",
        "UNKNOWN_LABEL",
        "VERSION_NOT_READY",
        "INVALID_INPUT",
        "OVERLOADED",
        "TOO_LATE",
        "DEADLINE_EXCEEDED",
        "FORWARD_FAILED",
        "DRAINING",
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
            Self::TooLate { .. } => "TOO_LATE",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Forward { .. } => "FORWARD_FAILED",
            Self::Draining => "DRAINING",
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
            Self::Overloaded { .. } | Self::TooLate { .. } => Code::ResourceExhausted,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::Forward { .. } => Code::Internal,
            Self::Draining => Code::Unavailable,
        }
    }
}

impl From<InputFaults> for PredictError {
    fn from(faults: InputFaults) -> Self {
        Self::InvalidInput(faults)
    }
}

/// What a panic said of itself, for the log and for operators.
#[must_use]
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message")
}
