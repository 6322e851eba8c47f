//! Errors of calls: one variant for each thing that a caller can do about it.
//!
//! `reason()` returns a stable word per variant, used as `google.rpc.ErrorInfo.reason` and as a metric label. `code()` returns the
//! gRPC code. The cause of a failed version is logged and shown to operators (`GetModel`, rejected policies), never to clients of the
//! data port. `api` limits the length of the texts.

mod admin;
mod code;
mod input;

use std::{any::Any, time::Duration};

use crate::ident::{Label, ModelName, VersionNumber};
use crate::text::truncate;

pub use admin::AdminError;
pub use code::Code;
pub use input::{InputFault, InputFaults};

/// Reasons why a version cannot score a batch.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The model returned an error.
    #[error("{0}")]
    Failed(String),
    /// The model has no answer to a value in the batch, such as an unknown category.
    #[error("{0}")]
    Unsuited(String),
    /// The model panicked. The worker thread survives.
    #[error("the model panicked: {0}")]
    Panicked(String),
    /// The scores contain NaN or an infinity.
    #[error("the score of row {row} is not finite")]
    NotFinite {
        /// Index of the first such row.
        row: usize,
    },
}

/// Reasons why a `Predict` call fails.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// No model has this name.
    #[error("no model named `{0}`")]
    UnknownModel(String),
    /// The pinned version does not exist.
    #[error("model `{model}` has no version {version}")]
    UnknownVersion {
        /// The model.
        model: String,
        /// The number in the request.
        version: u64,
    },
    /// The pinned label does not exist.
    #[error("model `{model}` has no label `{label}`")]
    UnknownLabel {
        /// The model.
        model: String,
        /// The label in the request.
        label: String,
    },
    /// The pinned version exists but cannot serve, or no version of the model can.
    #[error("model `{model}` cannot serve: {why}")]
    NotReady {
        /// The model.
        model: String,
        /// What is missing. For data clients: it may say that a version failed to load, but not why.
        why: String,
    },
    /// The input is invalid.
    #[error("{0}")]
    InvalidInput(InputFaults),
    /// A limit of the gateway is reached.
    #[error("too many {what} (limit {limit}); retry later")]
    Overloaded {
        /// What the limit counts: `requests in flight`.
        what: &'static str,
        /// The limit.
        limit: usize,
        /// When to retry.
        retry_after: Duration,
    },
    /// The request cannot finish before its deadline: the queue is too long, or it has waited too long.
    #[error(
        "the deadline is in {left:.1?}, but a response would take {needs:.1?}; allow more time or send fewer requests"
    )]
    TooLate {
        /// Time until the deadline.
        left: Duration,
        /// Time until the response.
        needs: Duration,
        /// When to retry.
        retry_after: Duration,
    },
    /// The gateway shut down before the request finished.
    #[error("the gateway is shutting down and its time for requests in flight has passed")]
    Draining,
    /// The deadline passed before the forward pass started.
    #[error("the deadline passed before the forward pass started")]
    DeadlineExceeded,
    /// The version could not score the rows. The cause is logged; clients learn it only if it is in their rows.
    #[error("version {version} failed to score the request{}", about_rows(source))]
    Forward {
        /// The version.
        version: VersionNumber,
        /// The cause, for the log.
        source: ForwardError,
    },
}

impl PredictError {
    /// Returns [`UnknownModel`](Self::UnknownModel) for a client's `name`, which is truncated to the longest valid name.
    #[must_use]
    pub fn unknown_model(name: &str) -> Self {
        Self::UnknownModel(truncate(name, ModelName::MAX_LEN).to_owned())
    }

    /// Returns [`UnknownLabel`](Self::UnknownLabel) for a client's `label`, which is truncated to the longest valid label.
    #[must_use]
    pub fn unknown_label(model: &str, label: &str) -> Self {
        Self::UnknownLabel {
            model: model.to_owned(),
            label: truncate(label, Label::MAX_LEN).to_owned(),
        }
    }

    /// Every word that [`reason`](Self::reason) can return.
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

    /// Returns the stable word for this kind of error.
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

    /// Returns the gRPC code.
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

/// Returns what a client can do about a failed forward pass, if anything.
fn about_rows(source: &ForwardError) -> String {
    match source {
        ForwardError::NotFinite { row } => format!(
            ": the score of row {row} is not finite, because a value in it is too large for the model"
        ),
        _ => String::new(),
    }
}

/// Returns the message of a panic, for the log and for operators.
#[must_use]
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message")
}
