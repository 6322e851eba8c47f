//! Why a call got no answer: one variant per thing the caller can do about it.
//!
//! `reason()` is one stable word per variant: `google.rpc.ErrorInfo.reason` on the wire and the metric label.
//! `code()` is the gRPC code. Causes go to the log and to operators (`GetModel`, and the refusal of a policy), never to
//! who asks for predictions. How much of a text fits into an answer is `api`'s business.

use std::{fmt, time::Duration};

use crate::ident::{Label, Revision, VersionNumber};

/// One value of a request that cannot be used, named so that its sender can mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFault {
    /// Path of the field in the request: `rows[3].temp`, `tensors[carrier][3]`, `routing_key`.
    pub field: String,
    /// What came.
    pub got: String,
    /// What was wanted.
    pub wanted: String,
}

impl fmt::Display for InputFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: got {}, wants {}", self.field, self.got, self.wanted)
    }
}

/// The faults of one request, at least one; past [`InputFaults::MOST`] only their number is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputFaults {
    listed: Vec<InputFault>,
    unlisted: usize,
}

impl InputFaults {
    /// How many faults are kept: a batch of a million bad rows must not make a million texts.
    pub const MOST: usize = 16;
    /// How many of them its one-line text names.
    const IN_TEXT: usize = 3;

    /// A single fault.
    #[must_use]
    pub fn one(
        field: impl Into<String>,
        got: impl Into<String>,
        wanted: impl Into<String>,
    ) -> Self {
        let mut faults = Self::default();
        faults.add(field, got, wanted);
        faults
    }

    /// Adds a fault.
    pub fn add(
        &mut self,
        field: impl Into<String>,
        got: impl Into<String>,
        wanted: impl Into<String>,
    ) {
        if self.listed.len() < Self::MOST {
            let (field, got, wanted) = (field.into(), got.into(), wanted.into());
            self.listed.push(InputFault { field, got, wanted });
        } else {
            self.unlisted += 1;
        }
    }

    /// Adds a fault whose texts are built only if it will be named: for loops over many bad rows.
    pub fn add_with(&mut self, fault: impl FnOnce() -> InputFault) {
        if self.is_full() {
            self.unlisted += 1;
        } else {
            self.listed.push(fault());
        }
    }

    /// Whether further faults are only counted.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.listed.len() >= Self::MOST
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// How many were found, named or not.
    #[must_use]
    pub fn found(&self) -> usize {
        self.listed.len() + self.unlisted
    }

    /// The faults that are named, in the order found.
    pub fn iter(&self) -> impl Iterator<Item = &InputFault> {
        self.listed.iter()
    }

    /// `Ok` where nothing was wrong.
    ///
    /// # Errors
    /// All faults, where there is any.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// The first few, so that the details, which name more, still fit beside it.
impl fmt::Display for InputFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.listed.iter().take(Self::IN_TEXT).enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            fault.fmt(f)?;
        }
        let more = self.found().saturating_sub(Self::IN_TEXT);
        if more > 0 {
            write!(f, "; and {more} more")?;
        }
        Ok(())
    }
}

/// The gRPC codes that taper answers with. Kept apart from tonic so that nothing below the doors knows the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// Answered.
    Ok,
    /// The caller went away before the answer.
    Cancelled,
    /// Wrong input, named.
    InvalidArgument,
    /// The deadline passed.
    DeadlineExceeded,
    /// No such model, version or label.
    NotFound,
    /// A limit is reached; later is better.
    ResourceExhausted,
    /// The state of the gateway does not allow it.
    FailedPrecondition,
    /// Somebody else was faster.
    Aborted,
    /// The model or the gateway failed.
    Internal,
    /// Going down.
    Unavailable,
}

impl Code {
    /// All of them, in the order of `code as usize`.
    pub const ALL: [Self; 10] = [
        Self::Ok,
        Self::Cancelled,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::Internal,
        Self::Unavailable,
    ];
    /// How many there are, for tables indexed by `code as usize`.
    pub const COUNT: usize = Self::ALL.len();

    /// The metric label: the code's name in gRPC.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Cancelled => "CANCELLED",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
        }
    }
}

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
    #[error("{what} is at its limit of {limit}")]
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

fn join(parts: impl IntoIterator<Item = impl ToString>) -> String {
    parts
        .into_iter()
        .map(|part| part.to_string())
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever sends a million bad values must not choose how much work their refusal is.
    #[test]
    fn past_the_limit_faults_are_counted_without_being_told() {
        let mut told = 0;
        let mut faults = InputFaults::default();
        for at in 0..1_000_000 {
            faults.add_with(|| {
                told += 1;
                InputFault {
                    field: format!("rows[{at}]"),
                    got: "nothing".into(),
                    wanted: "something".into(),
                }
            });
        }
        assert_eq!(told, InputFaults::MOST);
        assert!(
            faults.to_string().ends_with("; and 999997 more"),
            "{faults}"
        );
    }
}
