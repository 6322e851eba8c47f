//! The key with which values are hashed.

use std::fmt;
use std::path::Path;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Bytes that a key has at least: below, whoever has the log could try all keys.
const SHORTEST: usize = 16;
/// Bytes that a key has at most. Longer than a block of SHA-256 gains nothing.
const LONGEST: usize = 4_096;
/// Hexadecimal digits of a hash: 128 bits, so that two values do not meet by chance.
const DIGITS: usize = 32;

/// A secret key. Equal values of an input have equal hashes under one key, and without the key nobody can tell
/// which value a hash is of.
#[derive(Clone, PartialEq, Eq)]
pub struct HashKey(Vec<u8>);

impl HashKey {
    /// Reads the key from `file`; what is white space at its end does not count.
    ///
    /// # Errors
    /// Why the file holds no key.
    pub fn read(file: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(file);
        let bytes = bytes.map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
        let key = bytes.trim_ascii_end();
        if (SHORTEST..=LONGEST).contains(&key.len()) {
            return Ok(Self(key.to_vec()));
        }
        let (file, got) = (file.display(), key.len());
        Err(format!(
            "{file} holds {got} bytes, wants {SHORTEST} to {LONGEST} random ones: `openssl rand -hex 32 > {file}`"
        ))
    }

    /// Of the value of `input` that is written `value`: the first 32 hexadecimal digits of HMAC-SHA-256 (RFC 2104) of the
    /// name, a zero byte and the value.
    pub(super) fn hash(&self, input: &str, value: &[u8]) -> String {
        // A key may have any length; an error cannot come, and would leave the value out.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return String::new();
        };
        for part in [input.as_bytes(), &[0], value] {
            mac.update(part);
        }
        let mut digits = HEXLOWER.encode(&mac.finalize().into_bytes());
        digits.truncate(DIGITS);
        digits
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(..)")
    }
}
