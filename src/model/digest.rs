//! What a version is, in 32 bytes.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The SHA-256 digest of a version's manifest, which contains the digests of all its other files: equal digests are equal versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionDigest([u8; 32]);

impl VersionDigest {
    /// Returns the digest of the text of a manifest.
    #[must_use]
    pub fn of(manifest: &[u8]) -> Self {
        Self(Sha256::digest(manifest).into())
    }
}

/// Writes 64 lower-case hexadecimal digits.
impl fmt::Display for VersionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl From<VersionDigest> for String {
    fn from(digest: VersionDigest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for VersionDigest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(Self)
            .ok_or_else(|| format!("got {text:?}, expected 64 lower-case hexadecimal digits"))
    }
}
