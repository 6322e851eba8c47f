//! Short names of the enums and times of `taper.v1`, as `--json` prints them and tables show them.

use prost_types::{Duration, Timestamp};

use super::v1;

impl v1::Role {
    /// Returns `primary`, `shadow` or `fallback`; `unknown` for a role that this build does not know.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unknown",
            Self::Primary => "primary",
            Self::Shadow => "shadow",
            Self::Fallback => "fallback",
        }
    }
}

impl v1::StatsWindow {
    /// Returns the name by which the command line selects this window, such as `5m`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unknown",
            Self::Minute => "1m",
            Self::FiveMinutes => "5m",
            Self::Hour => "1h",
            Self::SinceLoad => "all",
        }
    }
}

impl v1::VersionState {
    /// Returns the state without its prefix, such as `READY`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "UNKNOWN",
            known => known.as_str_name().trim_start_matches("VERSION_STATE_"),
        }
    }
}

impl v1::Datatype {
    /// Returns the type without its prefix, such as `FP32`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "UNKNOWN",
            known => known.as_str_name().trim_start_matches("DATATYPE_"),
        }
    }
}

impl v1::PredictionKind {
    /// Returns the kind as in manifests, such as `probabilities`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unknown",
            Self::Probabilities => "probabilities",
            Self::Labels => "labels",
            Self::Value => "value",
            Self::Values => "values",
            Self::Embedding => "embedding",
        }
    }
}

impl v1::ColumnKind {
    /// Returns `numbers` or `categories`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Numbers => "numbers",
            Self::Categories => "categories",
        }
    }
}

impl v1::DriftVerdict {
    /// Returns the verdict in lower-case words, such as `too few rows`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unknown",
            Self::TooFewRows => "too few rows",
            Self::Stable => "stable",
            Self::Moderate => "moderate",
            Self::Severe => "severe",
        }
    }
}

/// Returns the name of a window of outcomes of this length: `60m`, or `all` without a length.
#[must_use]
pub fn outcome_window(length: Option<&Duration>) -> String {
    match length {
        Some(length) if length.seconds >= 0 => format!("{}m", length.seconds / 60),
        _ => "all".into(),
    }
}

/// Returns a length of time in seconds; 0 without one.
#[must_use]
pub fn seconds(length: Option<&Duration>) -> f64 {
    length.map_or(0.0, |length| {
        length.seconds as f64 + f64::from(length.nanos) / 1e9
    })
}

/// Returns the time in RFC 3339, truncated to the second.
#[must_use]
pub fn to_second(time: &Timestamp) -> String {
    Timestamp {
        seconds: time.seconds,
        nanos: 0,
    }
    .to_string()
}
