//! One thing that happened, and its line.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Characters of an actor, an action or a model that are kept.
const NAME: usize = 256;
/// Characters of a reason that are kept.
const REASON: usize = 1024;
/// Characters of a message that are kept.
const MESSAGE: usize = 2048;

/// One thing that was changed, or was not.
///
/// Long texts are cut. The two documents are not: who makes them bounds them, which for a policy of 64 rows and 64 rules is
/// some 40 KiB each.
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
    actor: String,
    reason: String,
    action: String,
    model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    outcome: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a Value>,
    previous: &'a str,
}

impl Entry {
    /// The outcome of what was done.
    pub const DONE: &'static str = "done";

    /// Its line, with the line end, and the line's hash.
    pub(super) fn line(
        &self,
        sequence: u64,
        previous: &str,
    ) -> serde_json::Result<(String, String)> {
        let cut = |text: &str, most| text.chars().take(most).collect::<String>();
        let ms = i64::try_from(self.at_ms).unwrap_or(i64::MAX);
        let body = Body {
            sequence,
            time: Timestamp::from_millisecond(ms)
                .unwrap_or(Timestamp::MAX)
                .to_string(),
            actor: cut(&self.actor, NAME),
            reason: cut(&self.reason, REASON),
            action: cut(&self.action, NAME),
            model: cut(&self.model, NAME),
            expected: self.expected,
            revision: self.revision,
            outcome: &self.outcome,
            message: cut(&self.message, MESSAGE),
            before: self.before.as_ref(),
            after: self.after.as_ref(),
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

/// What stands between a line's body and its hash.
pub(super) const HASH: &str = ",\"hash\":\"";

/// The hash of a line's body, in hexadecimal.
pub(super) fn hash(body: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(body.as_bytes()).into();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
