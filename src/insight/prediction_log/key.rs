//! The key with which values are hashed.

use std::fmt;
use std::path::Path;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The least bytes of a key. With fewer, a reader of the log could try all keys.
const SHORTEST: usize = 16;
/// The most bytes of a key. More than a block of SHA-256 add no security.
const LONGEST: usize = 4_096;
/// Hexadecimal digits of a hash: 128 bits, so that two values do not collide by chance.
const DIGITS: usize = 32;

/// A secret key. Under one key, equal values of an input have equal hashes. Without the key, the value of a hash cannot be found.
#[derive(Clone, PartialEq, Eq)]
pub struct HashKey(Vec<u8>);

impl HashKey {
    /// Reads the key from `file`, without white space at its end.
    ///
    /// # Errors
    /// Returns the reason if the file cannot be read or is too short or too long for a key.
    pub fn read(file: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(file);
        let bytes = bytes.map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
        let key = bytes.trim_ascii_end();
        if (SHORTEST..=LONGEST).contains(&key.len()) {
            return Ok(Self(key.to_vec()));
        }
        let (file, got) = (file.display(), key.len());
        Err(format!(
            "{file} holds {got} bytes, wants {SHORTEST} to {LONGEST} random bytes; create it with `openssl rand -hex 32 > {file}`"
        ))
    }

    /// Returns the hash of the text `value` of the input `input`: the first 32 hexadecimal digits of HMAC-SHA-256 (RFC 2104) of the
    /// name, a zero byte and the text.
    pub(super) fn hash(&self, input: &str, value: &[u8]) -> String {
        // HMAC accepts keys of any length, so this cannot fail. If it did, the value would be left out.
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
