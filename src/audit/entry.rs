//! One thing that happened, and its line.

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::text::truncate;

/// Characters of an actor, an action, a model or an outcome that are kept.
const NAME: usize = 256;
/// Characters of a reason that are kept.
const REASON: usize = 1024;
/// Characters of a message that are kept.
const MESSAGE: usize = 2048;

/// Bytes of a document that is told as it is.
const DOCUMENT: usize = 256 << 10;

/// One thing that was changed, or was not.
///
/// Long texts are cut, and of a document above 256 KiB only its size and digest are told: `{"bytes":..,"sha256":".."}`. So a
/// line has at most 640 KiB.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// What was asked for, in words.
    pub action: String,
    /// Of which model.
    pub model: String,
    /// What was wanted before.
    pub before: Option<Value>,
    /// What is wanted since.
    pub after: Option<Value>,
    /// The revision that the caller had seen.
    pub expected: Option<u64>,
    /// The revision that the change made.
    pub revision: Option<u64>,
    /// [`DONE`](Self::DONE), or the reason word of the error.
    pub outcome: String,
    /// What the caller was told, where it was refused.
    pub message: String,
}

/// The members of a line, in their order, without the hash.
#[derive(Serialize)]
struct Body<'a> {
    sequence: u64,
    time: String,
    actor: &'a str,
    reason: &'a str,
    action: &'a str,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    through: Option<u64>,
    outcome: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Cow<'a, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Cow<'a, Value>>,
    previous: &'a str,
}

impl Entry {
    /// The outcome of what was done.
    pub const DONE: &'static str = "done";

    /// Its line, with the line end, and the line's hash. `through` is the highest revision in the lines before it.
    pub(super) fn line(
        &self,
        sequence: u64,
        previous: &str,
        through: u64,
    ) -> serde_json::Result<(String, String)> {
        let ms = i64::try_from(self.at_ms).unwrap_or(i64::MAX);
        let body = Body {
            sequence,
            time: format!(
                "{:.3}",
                Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
            ),
            actor: truncate(&self.actor, NAME),
            reason: truncate(&self.reason, REASON),
            action: truncate(&self.action, NAME),
            model: truncate(&self.model, NAME),
            expected: self.expected,
            revision: self.revision,
            through: (self.revision.is_none() && through > 0).then_some(through),
            outcome: truncate(&self.outcome, NAME),
            message: truncate(&self.message, MESSAGE),
            before: self.before.as_ref().map(document).transpose()?,
            after: self.after.as_ref().map(document).transpose()?,
            previous,
        };
        let mut line = serde_json::to_string(&body)?;
        // The brace comes back after the hash.
        line.pop();
        let hash = hash(&line);
        line.push_str(&format!("{HASH}{hash}\"}}\n"));
        Ok((line, hash))
    }
}

/// What is told of a document.
fn document(document: &Value) -> serde_json::Result<Cow<'_, Value>> {
    let text = serde_json::to_string(document)?;
    Ok(if text.len() > DOCUMENT {
        Cow::Owned(json!({"bytes": text.len(), "sha256": hash(&text)}))
    } else {
        Cow::Borrowed(document)
    })
}

/// What stands between a line's body and its hash.
pub(super) const HASH: &str = ",\"hash\":\"";

/// SHA-256 in hexadecimal.
pub(super) fn hash(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}
