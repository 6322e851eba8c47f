//! Names and numbers that identify things, each with its check in the only way in.

use std::{fmt, num::NonZeroU64, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Why a text or number is not an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("got {got}, wants {wanted}")]
pub struct InvalidIdent {
    /// What came.
    pub got: String,
    /// What was wanted.
    pub wanted: &'static str,
}

impl InvalidIdent {
    fn new(got: impl fmt::Debug, wanted: &'static str) -> Self {
        Self {
            got: format!("{got:?}"),
            wanted,
        }
    }
}

/// Name of a model, as clients call it: 1 to 128 of `a-z A-Z 0-9 . _ -`, starting with a letter or digit.
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelName(Arc<str>);

impl ModelName {
    /// The rule, for messages.
    pub const WANTED: &'static str =
        "1 to 128 of a-z A-Z 0-9 . _ - starting with a letter or digit";

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ModelName {
    type Err = InvalidIdent;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        if is_name(raw, 128) {
            Ok(Self(raw.into()))
        } else {
            Err(InvalidIdent::new(raw, Self::WANTED))
        }
    }
}

impl TryFrom<String> for ModelName {
    type Error = InvalidIdent;

    fn try_from(raw: String) -> Result<Self, Self::Error> {
        raw.parse()
    }
}

impl From<ModelName> for String {
    fn from(name: ModelName) -> Self {
        name.as_str().to_owned()
    }
}

/// Lets maps keyed by `ModelName` be asked with the text of a request, without building a name.
impl std::borrow::Borrow<str> for ModelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Number of a version: `1..=i64::MAX`, so that it fits the signed fields of every protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct VersionNumber(NonZeroU64);

impl VersionNumber {
    /// The rule, for messages.
    pub const WANTED: &'static str = "a positive integer up to 9223372036854775807";

    /// The number itself.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl TryFrom<u64> for VersionNumber {
    type Error = InvalidIdent;

    fn try_from(raw: u64) -> Result<Self, Self::Error> {
        match NonZeroU64::new(raw) {
            Some(number) if i64::try_from(raw).is_ok() => Ok(Self(number)),
            _ => Err(InvalidIdent::new(raw, Self::WANTED)),
        }
    }
}

impl From<VersionNumber> for u64 {
    fn from(version: VersionNumber) -> Self {
        version.get()
    }
}

/// Accepts only the canonical decimal form, so that `01` and `1` are never two folders of one version.
impl FromStr for VersionNumber {
    type Err = InvalidIdent;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        let canonical = raw.bytes().all(|b| b.is_ascii_digit()) && !raw.starts_with('0');
        match raw.parse::<u64>() {
            Ok(number) if canonical => Self::try_from(number),
            _ => Err(InvalidIdent::new(raw, Self::WANTED)),
        }
    }
}

impl fmt::Display for VersionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A movable name for a version: 1 to 64 of `a-z A-Z 0-9 . _ -`, starting with a letter or digit, and not a number,
/// so that no label can be taken for a version. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(Arc<str>);

impl Label {
    /// The rule, for messages.
    pub const WANTED: &'static str =
        "1 to 64 of a-z A-Z 0-9 . _ - starting with a letter or digit, and not a number";
    /// The built-in label of the highest READY version that the version policy or an operator asks for.
    pub const LATEST: &'static str = "latest";

    /// The built-in label.
    #[must_use]
    pub fn latest() -> Self {
        Self(Self::LATEST.into())
    }

    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = InvalidIdent;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        if is_name(raw, 64) && !raw.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(raw.into()))
        } else {
            Err(InvalidIdent::new(raw, Self::WANTED))
        }
    }
}

impl TryFrom<String> for Label {
    type Error = InvalidIdent;

    fn try_from(raw: String) -> Result<Self, Self::Error> {
        raw.parse()
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.as_str().to_owned()
    }
}

impl std::borrow::Borrow<str> for Label {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Who is to answer: a version, or whichever version a label names at the time. Versions come before labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// This version.
    Version(VersionNumber),
    /// The version that this label names.
    Label(Label),
}

/// What is all digits is a version, everything else a label.
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

/// A share of traffic in basis points: `0..=10_000`, where 10 000 is everything. Integers, not floats: shares add up
/// and compare exactly, also after a trip through TOML and protobuf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u16);

impl Share {
    /// Everything.
    pub const FULL: Self = Self(10_000);

    /// The share in basis points, `0..=10_000`.
    #[must_use]
    pub fn basis_points(self) -> u32 {
        u32::from(self.0)
    }

    /// Both together, at most everything.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0).min(Self::FULL.0))
    }
}

impl TryFrom<u32> for Share {
    type Error = InvalidIdent;

    fn try_from(raw: u32) -> Result<Self, Self::Error> {
        match u16::try_from(raw) {
            Ok(points) if points <= Self::FULL.0 => Ok(Self(points)),
            _ => Err(InvalidIdent::new(raw, "0 to 10000 basis points")),
        }
    }
}

/// `95%`, `0.5%`: per cent with as many decimals as the basis points need.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}%", f64::from(self.0) / 100.0))
    }
}

/// Counts the changes of all models together: 1 for the first. 0 stands for "nobody has changed anything yet".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one response, so that its outcome can be reported later: 1 to 128 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResponseId(String);

impl ResponseId {
    /// The rule, for messages.
    pub const WANTED: &'static str = "1 to 128 visible ASCII characters";

    /// One made from 128 random bits: 32 hexadecimal digits.
    #[must_use]
    pub fn from_random(bits: u128) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        // Every request has one; the formatter takes several times as long.
        let digit = |nibble: u8| DIGITS[usize::from(nibble)];
        let bytes = bits.to_be_bytes();
        let digits = bytes.map(|byte| [digit(byte >> 4), digit(byte & 15)]);
        let digits = str::from_utf8(digits.as_flattened());
        Self(digits.unwrap_or_default().to_owned())
    }

    /// Whether `raw` keeps the rule.
    #[must_use]
    pub fn is_valid(raw: &str) -> bool {
        (1..=128).contains(&raw.len()) && raw.bytes().all(|b| b.is_ascii_graphic())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as text, without copying it.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl TryFrom<String> for ResponseId {
    type Error = InvalidIdent;

    fn try_from(raw: String) -> Result<Self, Self::Error> {
        if Self::is_valid(&raw) {
            Ok(Self(raw))
        } else {
            Err(InvalidIdent::new(
                raw.chars().take(128).collect::<String>(),
                Self::WANTED,
            ))
        }
    }
}

/// The part a version plays in one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Chosen by the policy, a header rule or a pin.
    Primary,
    /// Gets a copy; nobody waits for its answer.
    Shadow,
    /// Answers because the primary could not.
    Fallback,
}

impl Role {
    /// How many roles there are, for tables indexed by `role as usize`.
    pub const COUNT: usize = 3;
    /// All of them, in that order.
    pub const ALL: [Self; Self::COUNT] = [Self::Primary, Self::Shadow, Self::Fallback];

    /// The metric label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Shadow => "shadow",
            Self::Fallback => "fallback",
        }
    }
}

fn is_name(raw: &str, longest: usize) -> bool {
    (1..=longest).contains(&raw.len())
        && raw.as_bytes()[0].is_ascii_alphanumeric()
        && raw
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests;
