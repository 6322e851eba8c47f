//! Why an admin call was refused.

use super::{Code, InputFaults};
use crate::faults::Faults;
use crate::ident::{Label, Revision, VersionNumber};

/// Why an admin call was refused. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Nobody serves this name.
    #[error("no model named `{0}`")]
    UnknownModel(String),
    /// The model has no such version, in the registry or in memory.
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
    /// The history of the model holds no such revision.
    #[error("the history of model `{model}` holds no revision {revision}")]
    UnknownRevision {
        /// The model.
        model: String,
        /// The number in the request.
        revision: Revision,
    },
    /// The policy itself is wrong, whatever the versions' state.
    #[error("{0}")]
    InvalidPolicy(InputFaults),
    /// Another part of the request is wrong.
    #[error("{0}")]
    InvalidChange(InputFaults),
    /// What was uploaded is no version, or not the one that was announced.
    #[error("{0}")]
    InvalidVersion(Faults),
    /// Versions that are to take traffic cannot answer; here operators are told why.
    #[error("{}", join(.0.iter().map(|(version, why)| format!("version {version} cannot take traffic: {why}"))))]
    NotReady(Vec<(VersionNumber, String)>),
    /// A label of the configuration names a version that cannot answer.
    #[error("label `{label}` names version {version}, which is not READY")]
    LabelNotReady {
        /// The label.
        label: Label,
        /// The version.
        version: VersionNumber,
    },
    /// Versions of one policy take or give different tensors.
    #[error("versions under one policy must have one signature: {}", join(.0))]
    SignatureMismatch(Vec<String>),
    /// Somebody needs the version or label that is to go.
    #[error("{what} is held by {}: move them first", .by.join(", "))]
    Held {
        /// `version 2`, `label canary`.
        what: String,
        /// Who, in words.
        by: Vec<String>,
    },
    /// An earlier change is not confirmed yet.
    #[error("revision {0} waits to be confirmed: confirm it or undo it first")]
    Unconfirmed(Revision),
    /// There is nothing to do.
    #[error("{0}")]
    NothingToChange(String),
    /// Another revision is in force than the caller expected.
    #[error(
        "expected revision {expected}, but revision {current} is in force: read again, then decide"
    )]
    RevisionConflict {
        /// What the caller had seen.
        expected: Revision,
        /// What is in force.
        current: Revision,
    },
    /// A published version never changes.
    #[error("model `{model}` has a version {version} already; a published version never changes")]
    VersionExists {
        /// The model.
        model: String,
        /// The version.
        version: VersionNumber,
    },
    /// An upload is past the limit.
    #[error("the version is larger than {limit} bytes, the limit on uploads")]
    UploadTooLarge {
        /// The limit.
        limit: u64,
    },
    /// The disk is full.
    #[error("the disk of the {0} is full; nothing was changed")]
    DiskFull(&'static str),
    /// What a watcher wants to resume from is no longer kept.
    #[error(
        "changes up to revision {0} are no longer kept: read the models, then watch from now on"
    )]
    Compacted(Revision),
    /// What is kept on a disk could not be written or read.
    #[error("the storage failed, nothing was changed: {0}")]
    Storage(String),
    /// A limit is reached.
    #[error("the limit on {what} is reached, {limit}: try again")]
    Busy {
        /// Of what there are too many.
        what: &'static str,
        /// How many there may be.
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

    /// The gRPC code.
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
