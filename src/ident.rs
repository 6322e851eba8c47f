//! Names and numbers that identify things. Each type checks its rule where it is created, so a value of the type is always valid.

mod target;

use std::{fmt, num::NonZeroU64, str::FromStr, sync::Arc};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

pub use target::{RawTarget, Target};

use crate::text::truncate;

/// A text or number that is not a valid identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("got {got}, wants {wanted}")]
pub struct InvalidIdent {
    /// The text or number that was given.
    pub got: String,
    /// The rule that it breaks.
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

/// Name of a model, as clients send it: 1 to 128 of `a-z A-Z 0-9 . _ -`, starting with a letter or digit.
/// Cloning does not copy the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelName(Arc<str>);

impl ModelName {
    /// The rule, as error messages state it.
    pub const WANTED: &'static str =
        "1 to 128 of a-z A-Z 0-9 . _ - starting with a letter or digit";
    /// The longest name, in characters.
    pub const MAX_LEN: usize = 128;

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ModelName {
    type Err = InvalidIdent;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        if is_name(raw, Self::MAX_LEN) {
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

/// Allows a look-up in a map keyed by `ModelName` with the text of a request, without building a name.
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

/// Number of a version: `1..=i64::MAX`, which fits the signed fields of every protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct VersionNumber(NonZeroU64);

impl VersionNumber {
    /// The rule, as error messages state it.
    pub const WANTED: &'static str = "a positive integer up to 9223372036854775807";

    /// Returns the number.
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

/// Accepts only the canonical decimal form. So `01` and `1` cannot be two folders of one version.
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

/// A movable name for a version: 1 to 64 of `a-z A-Z 0-9 . _ -`, starting with a letter or digit, and not a number, so a label
/// cannot be mistaken for a version. Cloning does not copy the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(Arc<str>);

impl Label {
    /// The rule, as error messages state it.
    pub const WANTED: &'static str =
        "1 to 64 of a-z A-Z 0-9 . _ - starting with a letter or digit, and not a number";
    /// The longest label, in characters.
    pub const MAX_LEN: usize = 64;
    /// The built-in label. It names the highest READY version that the version policy or an operator wants loaded.
    pub const LATEST: &'static str = "latest";

    /// Returns the built-in label `latest`.
    #[must_use]
    pub fn latest() -> Self {
        Self(Self::LATEST.into())
    }

    /// Returns the label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = InvalidIdent;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        if is_name(raw, Self::MAX_LEN) && !raw.bytes().all(|b| b.is_ascii_digit()) {
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

/// A share of traffic in basis points: `0..=10_000`, where 10,000 is all traffic. Shares are integers, not floats, so that they add
/// up and compare exactly, also after a round trip through TOML and protobuf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u16);

impl Share {
    /// All traffic.
    pub const FULL: Self = Self(10_000);

    /// Returns the share in basis points, `0..=10_000`.
    #[must_use]
    pub fn basis_points(self) -> u32 {
        u32::from(self.0)
    }

    /// Returns the sum of both shares, at most [`FULL`](Self::FULL).
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

/// Formats the share as per cent, with as many decimals as it needs: `95%`, `0.5%`.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}%", f64::from(self.0) / 100.0))
    }
}

/// Number of a change. Changes of all models are counted together, from 1; 0 means that nothing was changed yet.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// Returns the next revision.
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

/// Identifies one response, so that its outcome can be reported later: 1 to 128 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResponseId(String);

impl ResponseId {
    /// The rule, as error messages state it.
    pub const WANTED: &'static str = "1 to 128 visible ASCII characters";
    /// The longest id, in characters.
    const MAX_LEN: usize = 128;

    /// Creates an id from 128 random bits: 32 hexadecimal digits.
    #[must_use]
    pub fn from_random(bits: u128) -> Self {
        // Into a buffer on the stack: every request needs an id, and `encode` takes a quarter more instructions.
        let mut digits = [0; 32];
        let id = HEXLOWER.encode_mut_str(&bits.to_be_bytes(), &mut digits);
        Self(id.to_owned())
    }

    /// Returns whether `raw` is a valid id.
    #[must_use]
    pub fn is_valid(raw: &str) -> bool {
        (1..=Self::MAX_LEN).contains(&raw.len()) && raw.bytes().all(|b| b.is_ascii_graphic())
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the id as text, without a copy.
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
            let shown = truncate(&raw, Self::MAX_LEN);
            Err(InvalidIdent::new(shown, Self::WANTED))
        }
    }
}

/// The part that a version plays in one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Chosen by the policy, a header rule or a pin.
    Primary,
    /// Receives a copy of the request; no client waits for its response.
    Shadow,
    /// Responds because the primary could not.
    Fallback,
}

impl Role {
    /// Number of roles, for tables indexed by `role as usize`.
    pub const COUNT: usize = 3;
    /// All roles, in the order of `role as usize`.
    pub const ALL: [Self; Self::COUNT] = [Self::Primary, Self::Shadow, Self::Fallback];

    /// Returns the value of the metric label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Shadow => "shadow",
            Self::Fallback => "fallback",
        }
    }
}

fn is_name(raw: &str, max_len: usize) -> bool {
    (1..=max_len).contains(&raw.len())
        && raw.as_bytes()[0].is_ascii_alphanumeric()
        && raw
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests;
