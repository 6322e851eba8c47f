//! Result codes of calls.

/// The gRPC codes that taper returns. This type exists so that only `api` depends on tonic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The call succeeded.
    Ok,
    /// The client cancelled the call or disconnected.
    Cancelled,
    /// The request is invalid.
    InvalidArgument,
    /// The deadline passed.
    DeadlineExceeded,
    /// The model, version, label or revision does not exist.
    NotFound,
    /// A limit is reached.
    ResourceExhausted,
    /// The state of the gateway does not allow the call.
    FailedPrecondition,
    /// A concurrent change came first.
    Aborted,
    /// The model or the gateway failed.
    Internal,
    /// The gateway is shutting down, or its storage failed.
    Unavailable,
    /// The item to be created exists already.
    AlreadyExists,
    /// The requested item is no longer kept.
    OutOfRange,
}

impl Code {
    /// The codes of predictions, in the order of `code as usize`.
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
    /// Number of codes, for tables indexed by `code as usize`.
    pub const COUNT: usize = Self::PREDICTION.len() + 2;

    /// Returns the name of the code in gRPC, which is the value of the metric label.
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
