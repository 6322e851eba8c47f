//! The codes that errors have.

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
    /// What is to be made is there already.
    AlreadyExists,
    /// What is asked for is no longer kept.
    OutOfRange,
}

impl Code {
    /// Those that a prediction may end with, in the order of `code as usize`.
    pub const PREDICTION: [Self; 10] = [
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
    pub const COUNT: usize = Self::PREDICTION.len() + 2;

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
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::OutOfRange => "OUT_OF_RANGE",
        }
    }
}
