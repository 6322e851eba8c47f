//! The labels of the metrics, and the values that they can have.
//!
//! Lists that repeat the words of a type elsewhere in the crate are compared with it by the tests of this folder.

use super::reasons::{
    AbandonReason, CallScope, CloseReason, DropReason, FallbackReason, STATES, UnsentReason,
};

/// A label and the values that it can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub values: Values,
    /// What the values mean.
    pub meaning: &'static str,
}

/// Where the values of a label come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// A closed set.
    OneOf(&'static [&'static str]),
    /// What is published in the registry.
    Registry,
    /// The build of the gateway.
    Build,
}

impl Values {
    /// Whether a label may have this value. Of the open sets only their source is known, so they accept any.
    #[must_use]
    pub fn accept(&self, value: &str) -> bool {
        match self {
            Self::OneOf(values) => values.contains(&value),
            Self::Registry | Self::Build => true,
        }
    }
}

pub(super) const MODEL: Label = Label {
    name: "model",
    values: Values::Registry,
    meaning: "Name of the model.",
};

pub(super) const VERSION: Label = Label {
    name: "version",
    values: Values::Registry,
    meaning: "Number of the version.",
};

pub(super) const GATEWAY_VERSION: Label = Label {
    name: "version",
    values: Values::Build,
    meaning: "Version of the gateway.",
};

/// The reasons of `PredictError`, then those of `MessageFault`.
pub(super) const REJECTION_REASON: Label = Label {
    name: "reason",
    values: Values::OneOf(&[
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
        "MESSAGE_TOO_LARGE",
        "MALFORMED_MESSAGE",
        "MESSAGE_TOO_SLOW",
        "STREAM_IDLE",
    ]),
    meaning: "`ErrorInfo.reason` of the error.",
};

pub(super) const CLOSE_REASON: Label = Label {
    name: "reason",
    values: Values::OneOf(&CloseReason::REASONS),
    meaning: "`idle`: no request was open for too long. `make_room`: the port was at its limit on connections, and this one had been \
              idle, or had waited for an answer to begin, longest. `age`: it reached its maximum age. `age_grace`: requests were \
              still open a while after that, or after it made room. \
              `unfinished`: its client did not finish a frame or a header block. `unresponsive`: its client did not answer a PING.",
};

pub(super) const LIMITED_SERVICE: Label = Label {
    name: "service",
    values: Values::OneOf(&["health", "reflection", "admin"]),
    meaning: "Services whose calls are limited together. `admin`: all of the admin port without reflection.",
};

pub(super) const CALL_SCOPE: Label = Label {
    name: "scope",
    values: Values::OneOf(&CallScope::SCOPES),
    meaning: "Whether the limit of one connection or of the whole gateway was reached.",
};

pub(super) const UNSENT_REASON: Label = Label {
    name: "reason",
    values: Values::OneOf(&UnsentReason::REASONS),
    meaning: "`unread`: the client took nothing for `limits.send_seconds`. `deadline`: the deadline of the call passed first. \
              `evicted`: another connection needed the permit, and this one held more than its share.",
};

pub(super) const LOAD_OUTCOME: Label = Label {
    name: "outcome",
    values: Values::OneOf(&LOAD_OUTCOMES),
    meaning: "Whether the version can serve.",
};

pub(super) const STATE: Label = Label {
    name: "state",
    values: Values::OneOf(&STATES),
    meaning: "State of a version.",
};

pub(super) const ROLE: Label = Label {
    name: "role",
    values: Values::OneOf(&["primary", "shadow", "fallback"]),
    meaning: "Part that the version played in the request. The series of a role begin when the version first plays it.",
};

pub(super) const CODE: Label = Label {
    name: "code",
    values: Values::OneOf(&[
        "OK",
        "CANCELLED",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "INTERNAL",
        "UNAVAILABLE",
    ]),
    meaning: "gRPC code of the answer.",
};

pub(super) const OUTPUT: Label = Label {
    name: "output",
    values: Values::Registry,
    meaning: "Output or class; of an embedding, `norm`. At most ten for each version; more than ten classes share `top`, the most \
              probable.",
};

pub(super) const CLASS: Label = Label {
    name: "class",
    values: Values::Registry,
    meaning: "Class of the version's signature.",
};

pub(super) const FEATURE: Label = Label {
    name: "feature",
    values: Values::Registry,
    meaning: "Input of the version, never a sensitive one. At most `insight.max_features` for each version.",
};

pub(super) const PRIMARY: Label = Label {
    name: "primary",
    values: Values::Registry,
    meaning: "Number of the version that answered as primary.",
};

pub(super) const ABANDON_REASON: Label = Label {
    name: "reason",
    values: Values::OneOf(&AbandonReason::REASONS),
    meaning: "`expired`: the deadline passed. `cancelled`: the client went away. \
              `late`: the request could no longer finish before its deadline.",
};

pub(super) const DROP_REASON: Label = Label {
    name: "reason",
    values: Values::OneOf(&DropReason::REASONS),
    meaning: "`queue_full`: the queue, the memory for copies or the number of copies computed at one time was at its bound. \
              `deadline`: the copy was older than the shadow's deadline when its turn came. \
              `budget`: shadows had used their share of the compute time. \
              `stuck`: every copy in computation is past its deadline. \
              `draining`: the shadow was removed or the gateway is shutting down.",
};

pub(super) const FALLBACK_REASON: Label = Label {
    name: "reason",
    values: Values::OneOf(&FallbackReason::REASONS),
    meaning: "`error`, `panic`: how the forward pass failed. `not_finite`: the answer was NaN or infinite. \
              `timeout`: the version did not answer in time.",
};

pub(super) const OUTCOME_RESULT: Label = Label {
    name: "result",
    values: Values::OneOf(&[JOINED]),
    meaning: "`joined`: the outcome was matched with its row and counted.",
};

pub(super) const QUALITY_MEASURE: Label = Label {
    name: "metric",
    values: Values::OneOf(&[
        "accuracy",
        "log_loss",
        "brier",
        "auc",
        "ece",
        "mae",
        "rmse",
        "mean_error",
    ]),
    meaning: "Measure: the first five of classes, the last three of numbers. `auc` only for two classes. \
              `ece` is the expected calibration error.",
};

pub(super) const UNMATCHED_REASON: Label = Label {
    name: "reason",
    values: Values::OneOf(&["invalid", "duplicate", "expired", "gone", "unmatched"]),
    meaning: "`invalid`: impossible for the version that answered, or unreadable. \
              `duplicate`: the row has been counted before. `expired`: reported too late. \
              `gone`: the version is no longer in memory. \
              `unmatched`: no answer with this response id is kept.",
};

pub(super) const LOST_REASON: Label = Label {
    name: "reason",
    values: Values::OneOf(&LOST_REASONS),
    meaning: "`evicted`: overwritten by later rows. `replaced`: answered again under the same response id. \
              `too_large`: more rows than the buffer can keep of one answer. \
              `after_truth`: a shadow answered after the outcome was reported.",
};

pub(super) const DRIFT_STATISTIC: Label = Label {
    name: "statistic",
    values: Values::OneOf(&DRIFT_STATISTICS),
    meaning: "`verdict`: 0 stable, 1 moderate, 2 severe; it accounts for uncertainty, so alerts read it. \
              `corrected_p`: probability of such a difference by chance, corrected for the number of columns. \
              The others are best estimates. `ks` and `wasserstein` exist for numbers only. \
              `chi_squared` compares texts or, for numbers, rows with and without a value.",
};

/// How loading a version ends: it can serve, or it failed.
pub(super) const LOAD_OUTCOMES: [&str; 2] = ["ready", "failed"];

/// The result of an outcome that was counted.
pub(super) const JOINED: &str = "joined";

/// Why a row left the outcome buffer before it expired.
pub(super) const LOST_REASONS: [&str; 4] = ["evicted", "replaced", "too_large", "after_truth"];

/// The statistics of a column that was compared with its reference profile.
pub(super) const DRIFT_STATISTICS: [&str; 7] = [
    "verdict",
    "corrected_p",
    "psi",
    "jensen_shannon",
    "ks",
    "wasserstein",
    "chi_squared",
];
