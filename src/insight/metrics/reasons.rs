//! The reasons and states that become label values. The table of metrics and the code that counts both use them.

/// Why the transport refused a message before a handler saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageFault {
    /// The message exceeds the limit on its bytes.
    TooLarge,
    /// The message cannot be decoded, its compression is unsupported, or the method is unknown.
    Malformed,
    /// The message did not arrive completely in time.
    TooSlow,
    /// A stream got no message for too long.
    StreamIdle,
}

impl MessageFault {
    /// The values of the label `reason`, indexed by `fault as usize`.
    pub const REASONS: [&str; 4] = [
        "MESSAGE_TOO_LARGE",
        "MALFORMED_MESSAGE",
        "MESSAGE_TOO_SLOW",
        "STREAM_IDLE",
    ];
}

/// Why the gateway closed an open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// It was idle for too long.
    Idle,
    /// Its port was at the limit on connections, and of all connections it had been idle longest.
    MakeRoom,
    /// It reached its maximum age.
    Age,
    /// Requests were still open when the time to finish them had passed.
    AgeGrace,
    /// The client left a frame or a header block unfinished.
    Unfinished,
    /// The client did not answer a PING.
    Unresponsive,
}

impl CloseReason {
    /// The values of the label `reason`, indexed by `reason as usize`.
    pub const REASONS: [&str; 6] = [
        "idle",
        "make_room",
        "age",
        "age_grace",
        "unfinished",
        "unresponsive",
    ];
}

/// A group of services without admission control whose concurrent calls are limited together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitedService {
    /// `grpc.health.v1.Health`.
    Health,
    /// Reflection, in all versions.
    Reflection,
    /// The services of the admin port.
    Admin,
}

impl LimitedService {
    /// All groups, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Health, Self::Reflection, Self::Admin];

    /// Returns the value of the label `service`, and the name in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Reflection => "reflection",
            Self::Admin => "admin",
        }
    }
}

/// Which limit on concurrent calls was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallScope {
    /// The limit on the calls of one connection.
    Connection,
    /// The limit on the calls of all connections.
    Gateway,
}

impl CallScope {
    /// The values of the label `scope`, indexed by `scope as usize`.
    pub const SCOPES: [&str; 2] = ["connection", "gateway"];
}

/// Why an answer was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsentReason {
    /// The client did not read it in time.
    Unread,
    /// The client had not read it by the deadline of the call.
    Deadline,
    /// The client did not read it, and another connection needed the permit.
    Evicted,
}

impl UnsentReason {
    /// The values of the label `reason`, indexed by `reason as usize`.
    pub const REASONS: [&str; 3] = ["unread", "deadline", "evicted"];
}

/// Why a queued request was never computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbandonReason {
    /// Its deadline passed.
    Expired,
    /// Its client went away.
    Cancelled,
    /// It could no longer finish before its deadline.
    Late,
}

impl AbandonReason {
    /// The values of the label `reason`, indexed by `reason as usize`.
    pub const REASONS: [&str; 3] = ["expired", "cancelled", "late"];
}

/// Why a shadow did not score a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// A bound was reached: on the shadow's queue, on the memory for copies, or on the copies computed at one time.
    QueueFull,
    /// The copy was older than the shadow's deadline when its turn came.
    Deadline,
    /// Shadows had used their share of the compute time.
    Budget,
    /// Every copy that the shadow may compute at one time is past its deadline and has not finished.
    Stuck,
    /// The shadow was removed from the policy, or the gateway is shutting down.
    Draining,
}

impl DropReason {
    /// The values of the label `reason`, indexed by `reason as usize`.
    pub const REASONS: [&str; 5] = ["queue_full", "deadline", "budget", "stuck", "draining"];
}

/// Why the fallback version had to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FallbackReason {
    /// The forward pass returned an error.
    Error,
    /// The forward pass panicked.
    Panic,
    /// The answer contained NaN or an infinite number.
    NotFinite,
    /// The version did not answer in time.
    Timeout,
}

impl FallbackReason {
    /// The values of the label `reason`, indexed by `reason as usize`.
    pub const REASONS: [&str; 4] = ["error", "panic", "not_finite", "timeout"];
}

/// The values of the label `state`, in the order in which a version goes through the states.
pub const STATES: [&str; 8] = [
    "DISCOVERED",
    "LOADING",
    "VERIFYING",
    "WARMING",
    "READY",
    "DRAINING",
    "RETIRED",
    "FAILED",
];
