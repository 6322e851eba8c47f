//! A policy as an operator writes it, before it is checked. Policies are stored in this form.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::InputFaults;
use crate::ident::{RawTarget, Share, Target};

/// A policy as an operator writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawPolicy {
    /// The split: targets and basis points.
    pub split: Vec<(RawTarget, u32)>,
    /// The header rules; the first match wins.
    pub header_rules: Vec<RawHeaderRule>,
    /// The header whose value is the sticky key of requests without a routing key. Empty: none.
    pub sticky_header: String,
    /// Mixed into the hash of every sticky key. Empty: the model's name.
    pub salt: String,
    /// The shadows. Not written if there are none, so that an older gateway can read the policy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shadows: Vec<RawShadow>,
    /// The version that answers if another one cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<RawFallback>,
}

impl RawPolicy {
    /// Returns a policy that sends all traffic to one target, without rules, shadows or a fallback.
    #[must_use]
    pub fn everything_to(target: RawTarget) -> Self {
        Self {
            split: vec![(target, Share::FULL.basis_points())],
            ..Self::default()
        }
    }
}

/// A shadow as an operator writes it. In JSON, absent fields have the values of [`RawShadow::default`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawShadow {
    /// The version or label that gets the copies.
    pub target: RawTarget,
    /// Share of the traffic that is copied, in basis points. The shares of several shadows are independent of each other.
    pub basis_points: u32,
    /// Milliseconds after which a copy is not scored any more.
    pub deadline_ms: u32,
    /// Copies that may wait.
    pub max_queue: u32,
    /// Copies that may be scored at one time.
    pub max_concurrent: u32,
}

impl Default for RawShadow {
    fn default() -> Self {
        Self {
            target: RawTarget::None,
            basis_points: 0,
            deadline_ms: 1_000,
            max_queue: 64,
            max_concurrent: 1,
        }
    }
}

/// A fallback as an operator writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawFallback {
    /// The version or label that answers.
    pub target: RawTarget,
    /// Milliseconds that the other versions have to answer. `None`: as long as the client's deadline leaves time for the
    /// fallback.
    pub within_ms: Option<u32>,
}

/// A header rule as an operator writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawHeaderRule {
    /// The name of the header.
    pub header: String,
    /// Its exact value.
    pub value: String,
    /// The version or label that answers.
    pub target: RawTarget,
}

/// Returns the name of the field that contains the target: `version` or `label`; `target` if neither is set.
pub(super) fn target_field(target: &RawTarget) -> &'static str {
    match target {
        RawTarget::Version(_) => "version",
        RawTarget::Label(_) => "label",
        RawTarget::None => "target",
    }
}

/// Returns the checked target. Returns `None` exactly if it adds to `faults`, under `row`, such as `split[1]`.
pub(super) fn check_target(
    target: &RawTarget,
    row: fmt::Arguments<'_>,
    faults: &mut InputFaults,
) -> Option<Target> {
    let field = || format!("{row}.{}", target_field(target));
    match target.check() {
        Ok(Some(checked)) => Some(checked),
        Ok(None) => {
            faults.add(field(), "nothing", "a version or a label");
            None
        }
        Err(error) => {
            faults.add(field(), quoted_target(target), error.wanted);
            None
        }
    }
}

/// Formats a target for a message: a label as [`quoted`] does.
pub(super) fn quoted_target(target: &RawTarget) -> String {
    match target {
        RawTarget::Label(label) => quoted(label),
        other => other.to_string(),
    }
}

/// Formats text for a message: in quotes, with control characters escaped, cut to 64 characters.
pub(super) fn quoted(raw: &str) -> String {
    format!("{:?}", crate::text::truncate(raw, 64))
}
