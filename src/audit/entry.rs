//! An entry of the audit log, and its serialization as a line.

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::text::truncate;

/// The most characters of an actor, an action, a model or an outcome.
const NAME: usize = 256;
/// The most characters of a reason.
const REASON: usize = 1024;
/// The most characters of a message.
const MESSAGE: usize = 2048;

/// The most bytes of a document that is written as a whole.
const DOCUMENT: usize = 256 << 10;

/// A change, or the attempt to make one.
///
/// Long texts are truncated. Of a document above 256 KiB, only size and digest are written: `{"bytes":..,"sha256":".."}`. So a line has
/// at most 640 KiB.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// Time in milliseconds since 1970.
    pub at_ms: u64,
    /// Who made the change.
    pub actor: String,
    /// Why the change was made.
    pub reason: String,
    /// The requested action, in words.
    pub action: String,
    /// The model.
    pub model: String,
    /// The wanted state before the change.
    pub before: Option<Value>,
    /// The wanted state after the change.
    pub after: Option<Value>,
    /// The revision that the caller expected.
    pub expected: Option<u64>,
    /// The revision that the change created.
    pub revision: Option<u64>,
    /// [`DONE`](Self::DONE), or the reason word of the error.
    pub outcome: String,
    /// The error message, if the change was rejected.
    pub message: String,
}

/// The members of a line except the hash, in their order.
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
    /// The outcome of a successful change.
    pub const DONE: &'static str = "done";

    /// Returns the line, including the line end, and its hash. `through` is the highest revision in the previous lines.
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
        // Removes the closing brace, which is added again after the hash.
        line.pop();
        let hash = hash(&line);
        line.push_str(&format!("{HASH}{hash}\"}}\n"));
        Ok((line, hash))
    }
}

/// Returns the document, or its size and digest if it is too large.
fn document(document: &Value) -> serde_json::Result<Cow<'_, Value>> {
    let text = serde_json::to_string(document)?;
    Ok(if text.len() > DOCUMENT {
        Cow::Owned(json!({"bytes": text.len(), "sha256": hash(&text)}))
    } else {
        Cow::Borrowed(document)
    })
}

/// The text between the body of a line and its hash.
pub(super) const HASH: &str = ",\"hash\":\"";

/// Returns the SHA-256 digest of `text` in hexadecimal.
pub(super) fn hash(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}
