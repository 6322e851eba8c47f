//! Errors of admin calls.

use super::code::Code;
use super::input::InputFaults;
use crate::faults::Faults;
use crate::ident::{Label, ModelName, Revision, VersionNumber};
use crate::text::truncate;

/// Reasons why an admin call fails. A call that fails has changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No model has this name.
    #[error("no model named `{0}`")]
    UnknownModel(String),
    /// The model has no such version, neither in the registry nor in memory.
    #[error("model `{model}` has no version {version}")]
    UnknownVersion {
        /// The model.
        model: String,
        /// The number in the request.
        version: u64,
    },
    /// The model has no such label.
    #[error("model `{model}` has no label `{label}`")]
    UnknownLabel {
        /// The model.
        model: String,
        /// The label in the request.
        label: String,
    },
    /// The history of the model has no such revision.
    #[error("the history of model `{model}` has no revision {revision}")]
    UnknownRevision {
        /// The model.
        model: String,
        /// The number in the request.
        revision: Revision,
    },
    /// The policy itself is invalid, regardless of the state of its versions.
    #[error("{0}")]
    InvalidPolicy(InputFaults),
    /// Another part of the request is invalid.
    #[error("{0}")]
    InvalidChange(InputFaults),
    /// The uploaded files are not a valid version, or not the announced one.
    #[error("{0}")]
    InvalidVersion(Faults),
    /// Versions that should receive traffic cannot serve, each with the reason.
    #[error("{}", join(.0.iter().map(|(version, why)| format!("version {version} cannot take traffic: {why}"))))]
    NotReady(Vec<(VersionNumber, String)>),
    /// A label of the configuration names a version that cannot serve.
    #[error("label `{label}` names version {version}, which is not READY")]
    LabelNotReady {
        /// The label.
        label: Label,
        /// The version.
        version: VersionNumber,
    },
    /// Versions under one policy have different inputs or outputs.
    #[error("versions under one policy must have the same signature: {}", join(.0))]
    SignatureMismatch(Vec<String>),
    /// Something refers to the version or label that should be removed.
    #[error("{what} is held by {}; remove these references first", .by.join(", "))]
    Held {
        /// What should be removed: `version 2`, `label canary`.
        what: String,
        /// What refers to it: `split (2: 5%)`.
        by: Vec<String>,
    },
    /// An earlier change is not confirmed yet.
    #[error("revision {0} waits for confirmation; confirm it or undo it first")]
    Unconfirmed(Revision),
    /// The call would have no effect.
    #[error("{0}")]
    NothingToChange(String),
    /// Another revision is in force than the caller expected.
    #[error(
        "expected revision {expected}, but revision {current} is in force; read the model again before you change it"
    )]
    RevisionConflict {
        /// The revision that the caller expected.
        expected: Revision,
        /// The revision in force.
        current: Revision,
    },
    /// The version exists already, and a published version never changes.
    #[error(
        "model `{model}` already has a version {version}, and a published version never changes; use another number"
    )]
    VersionExists {
        /// The model.
        model: String,
        /// The version.
        version: VersionNumber,
    },
    /// An upload exceeds the size limit.
    #[error("the version exceeds the upload limit of {limit} bytes (`limits.max_upload_bytes`)")]
    UploadTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The disk is full.
    #[error("the disk of the {0} is full; nothing was changed")]
    DiskFull(&'static str),
    /// Changes after the revision to resume from are no longer kept.
    #[error(
        "changes up to revision {0} are no longer kept; read the models, then watch from the current revision"
    )]
    Compacted(Revision),
    /// Stored data could not be written or read.
    #[error("the storage failed and nothing was changed: {0}")]
    Storage(String),
    /// A limit is reached.
    #[error("too many {what} (limit {limit}); retry later")]
    Busy {
        /// What the limit counts: `uploads`.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The gateway is shutting down.
    #[error("the gateway is shutting down; nothing was changed")]
    Draining,
}

impl AdminError {
    /// Returns [`UnknownModel`](Self::UnknownModel) for a client's `name`, which is truncated to the longest valid name.
    #[must_use]
    pub fn unknown_model(name: &str) -> Self {
        Self::UnknownModel(truncate(name, ModelName::MAX_LEN).to_owned())
    }

    /// Returns [`UnknownVersion`](Self::UnknownVersion) for a client's `model`, which is truncated to the longest valid name.
    #[must_use]
    pub fn unknown_version(model: &str, version: u64) -> Self {
        Self::UnknownVersion {
            model: truncate(model, ModelName::MAX_LEN).to_owned(),
            version,
        }
    }

    /// Returns [`UnknownLabel`](Self::UnknownLabel) for a client's `label`, which is truncated to the longest valid label.
    #[must_use]
    pub fn unknown_label(model: &ModelName, label: &str) -> Self {
        Self::UnknownLabel {
            model: model.to_string(),
            label: truncate(label, Label::MAX_LEN).to_owned(),
        }
    }

    /// Returns the stable word for this kind of error.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownModel(_) => "UNKNOWN_MODEL",
            Self::UnknownVersion { .. } => "UNKNOWN_VERSION",
            Self::UnknownLabel { .. } => "UNKNOWN_LABEL",
            Self::UnknownRevision { .. } => "UNKNOWN_REVISION",
            Self::InvalidPolicy(_) => "INVALID_POLICY",
            Self::InvalidChange(_) | Self::InvalidVersion(_) => "INVALID_CHANGE",
            Self::NotReady(_) | Self::LabelNotReady { .. } => "VERSION_NOT_READY",
            Self::SignatureMismatch(_) => "SIGNATURE_MISMATCH",
            Self::Held { .. } => "VERSION_HELD",
            Self::Unconfirmed(_) => "UNCONFIRMED_CHANGE",
            Self::NothingToChange(_) => "NOTHING_TO_CHANGE",
            Self::RevisionConflict { .. } => "REVISION_CONFLICT",
            Self::VersionExists { .. } => "VERSION_EXISTS",
            Self::UploadTooLarge { .. } => "UPLOAD_TOO_LARGE",
            Self::DiskFull(_) => "DISK_FULL",
            Self::Compacted(_) => "REVISION_COMPACTED",
            Self::Storage(_) => "STORAGE_FAILED",
            Self::Busy { .. } => "OVERLOADED",
            Self::Draining => "DRAINING",
        }
    }

    /// Returns the gRPC code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::UnknownModel(_)
            | Self::UnknownVersion { .. }
            | Self::UnknownLabel { .. }
            | Self::UnknownRevision { .. } => Code::NotFound,
            Self::InvalidPolicy(_) | Self::InvalidChange(_) | Self::InvalidVersion(_) => {
                Code::InvalidArgument
            }
            Self::NotReady(_)
            | Self::LabelNotReady { .. }
            | Self::SignatureMismatch(_)
            | Self::Held { .. }
            | Self::Unconfirmed(_)
            | Self::NothingToChange(_) => Code::FailedPrecondition,
            Self::RevisionConflict { .. } => Code::Aborted,
            Self::VersionExists { .. } => Code::AlreadyExists,
            Self::UploadTooLarge { .. } | Self::DiskFull(_) | Self::Busy { .. } => {
                Code::ResourceExhausted
            }
            Self::Compacted(_) => Code::OutOfRange,
            Self::Storage(_) | Self::Draining => Code::Unavailable,
        }
    }
}

fn join(parts: impl IntoIterator<Item = impl ToString>) -> String {
    parts
        .into_iter()
        .map(|part| part.to_string())
        .collect::<Vec<_>>()
        .join("; ")
}
