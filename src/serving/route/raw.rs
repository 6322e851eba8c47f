//! A policy as an operator writes it, before it is checked. Policies are stored in this form.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::InputFaults;
use crate::ident::{Label, Target, VersionNumber};

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

/// A target as an operator writes it; in JSON a number, a string or null. Versions sort before labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RawTarget {
    /// A version.
    Version(u64),
    /// A label.
    Label(String),
    /// Neither a version nor a label.
    #[default]
    None,
}

impl RawTarget {
    /// Returns the name of the field that contains it: `version` or `label`; `target` if neither is set.
    pub(super) fn field(&self) -> &'static str {
        match self {
            Self::Version(_) => "version",
            Self::Label(_) => "label",
            Self::None => "target",
        }
    }

    /// Returns the checked target. Returns `None` exactly if it adds to `faults`, under `row`, such as `split[1]`.
    pub(super) fn check(
        &self,
        row: fmt::Arguments<'_>,
        faults: &mut InputFaults,
    ) -> Option<Target> {
        let checked = match self {
            Self::Version(number) => VersionNumber::try_from(*number).map(Target::Version),
            Self::Label(label) => label.parse().map(Target::Label),
            Self::None => {
                faults.add(format!("{row}.target"), "nothing", "a version or a label");
                return None;
            }
        };
        match checked {
            Ok(target) => Some(target),
            Err(error) => {
                let got = self.to_string();
                faults.add(format!("{row}.{}", self.field()), got, error.wanted);
                None
            }
        }
    }
}

impl From<u64> for RawTarget {
    fn from(version: u64) -> Self {
        Self::Version(version)
    }
}

impl From<&str> for RawTarget {
    fn from(label: &str) -> Self {
        Self::Label(label.to_owned())
    }
}

impl From<&Label> for RawTarget {
    fn from(label: &Label) -> Self {
        label.as_str().into()
    }
}

impl From<&Target> for RawTarget {
    fn from(target: &Target) -> Self {
        match target {
            Target::Version(version) => version.get().into(),
            Target::Label(label) => label.into(),
        }
    }
}

/// Formats the target for a message: a label in quotes, with control characters escaped, cut to 64 characters.
impl fmt::Display for RawTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => version.fmt(f),
            Self::Label(label) => f.write_str(&quoted(label)),
            Self::None => f.write_str("nothing"),
        }
    }
}

/// Formats text for a message: in quotes, with control characters escaped, cut to 64 characters.
pub(super) fn quoted(raw: &str) -> String {
    format!("{:?}", crate::text::truncate(raw, 64))
}
