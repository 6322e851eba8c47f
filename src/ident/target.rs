//! A version or a label, as a policy names it: checked and as written.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{InvalidIdent, Label, VersionNumber};

/// A version, or the version that a label currently names. Versions sort before labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A version.
    Version(VersionNumber),
    /// The version that the label currently names.
    Label(Label),
}

/// Reads a text of digits as a version and any other text as a label.
impl FromStr for Target {
    type Err = InvalidIdent;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        if !raw.is_empty() && raw.bytes().all(|b| b.is_ascii_digit()) {
            raw.parse().map(Self::Version)
        } else {
            raw.parse().map(Self::Label)
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => version.fmt(f),
            Self::Label(label) => label.fmt(f),
        }
    }
}

/// A target as an operator writes it, not checked yet; in JSON a number, a string or null. Versions sort before labels.
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
    /// Returns the checked target; `None` if there is neither a version nor a label.
    ///
    /// # Errors
    /// Returns an error if the version or the label is invalid.
    pub fn check(&self) -> Result<Option<Target>, InvalidIdent> {
        let target = match self {
            Self::Version(number) => VersionNumber::try_from(*number).map(Target::Version)?,
            Self::Label(label) => label.parse().map(Target::Label)?,
            Self::None => return Ok(None),
        };
        Ok(Some(target))
    }
}

/// Writes the number of the version or the name of the label; nothing without a target.
impl fmt::Display for RawTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => version.fmt(f),
            Self::Label(label) => f.write_str(label),
            Self::None => Ok(()),
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
