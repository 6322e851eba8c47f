//! A policy in the operator's words: nothing is checked yet. This is also how policies are kept.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::InputFaults;
use crate::ident::{Label, Target, VersionNumber};

/// A policy as an operator wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawPolicy {
    /// Targets and basis points.
    pub split: Vec<(RawTarget, u32)>,
    /// First match wins.
    pub header_rules: Vec<RawHeaderRule>,
    /// Header whose value is the sticky key where the request has no routing key. Empty: none.
    pub sticky_header: String,
    /// Mixed into the hash of every sticky key. Empty: the model's name.
    pub salt: String,
    /// Who gets copies. Not written where there are none, so that an older gateway reads what it understands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shadows: Vec<RawShadow>,
    /// Who answers where another version cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<RawFallback>,
}

/// A shadow as an operator wrote it. What is left out in JSON is as in [`RawShadow::default`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawShadow {
    /// Who gets the copies.
    pub target: RawTarget,
    /// Of the traffic, in basis points. Each shadow has its own; they need not add up to anything.
    pub basis_points: u32,
    /// Milliseconds after which a copy is worth nothing any more.
    pub deadline_ms: u32,
    /// Copies that may wait.
    pub max_queue: u32,
    /// Copies that may be computed at one time.
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

/// A fallback as an operator wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawFallback {
    /// Who answers.
    pub target: RawTarget,
    /// Milliseconds that the others get to answer. `None`: as long as the caller's deadline leaves time for the fallback.
    pub within_ms: Option<u32>,
}

/// A header rule as an operator wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawHeaderRule {
    /// Name of the header.
    pub header: String,
    /// Its exact value.
    pub value: String,
    /// Who answers.
    pub target: RawTarget,
}

/// A target as an operator wrote it; in JSON a number, a text or null. Versions come before labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RawTarget {
    /// A version.
    Version(u64),
    /// A label.
    Label(String),
    /// Neither.
    #[default]
    None,
}

impl RawTarget {
    /// Name of the field that holds it: `version`, `label`; `target` where neither is set.
    pub(super) fn field(&self) -> &'static str {
        match self {
            Self::Version(_) => "version",
            Self::Label(_) => "label",
            Self::None => "target",
        }
    }

    /// Checks it. `None` exactly where something was added to `faults`, under `row`, such as `split[1]`.
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

/// For a message: a label in quotes, control characters escaped, cut to 64 characters.
impl fmt::Display for RawTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => version.fmt(f),
            Self::Label(label) => f.write_str(&quoted(label)),
            Self::None => f.write_str("nothing"),
        }
    }
}

/// For a message: in quotes, control characters escaped, cut to 64 characters.
pub(super) fn quoted(raw: &str) -> String {
    format!("{:?}", crate::text::truncate(raw, 64))
}
