//! Verifies the lines of a chain, one after the other.

use serde::Deserialize;

use super::entry::{HASH, hash};

/// `previous` of line 1.
pub(super) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The verified part of a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Number of verified lines.
    pub lines: u64,
    /// Sequence of the first verified line; above 1 if older files have been removed. 0 without lines.
    pub first_sequence: u64,
    /// Sequence of the last verified line; 0 without lines.
    pub last_sequence: u64,
    /// Hash of the last verified line, to be noted elsewhere. Empty without lines.
    pub hash: String,
}

/// Verifies the lines of a log, in their order. Start with `Chain::default()`.
#[derive(Clone, Debug, Default)]
pub struct Chain(Head);

/// The content of a line, without its documents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ParsedLine {
    /// Position in the chain, from 1.
    pub sequence: u64,
    /// Time of the change, RFC 3339.
    pub time: String,
    /// Who made the change.
    pub actor: String,
    /// Why the change was made.
    pub reason: String,
    /// The requested action.
    pub action: String,
    /// The model.
    pub model: String,
    /// The revision that the caller expected.
    pub expected: Option<u64>,
    /// The revision that the change created.
    pub revision: Option<u64>,
    /// For a line without a revision: the highest revision before it.
    pub through: Option<u64>,
    /// `done`, or the reason word of the error.
    pub outcome: String,
    /// The error message, if the change was rejected.
    pub message: String,
    /// Hash of the previous line.
    pub previous: String,
    /// Hash of this line.
    pub hash: String,
}

impl Chain {
    /// Verifies the next line, given without its line end.
    ///
    /// # Errors
    /// Returns the fault of the line. The chain is unchanged then.
    pub fn line(&mut self, line: &str) -> Result<ParsedLine, String> {
        let parsed = parse(line)?;
        if self.0.lines == 0 {
            if parsed.sequence == 1 && parsed.previous != GENESIS {
                return Err("the first line refers to a previous one".to_owned());
            }
            self.0.first_sequence = parsed.sequence;
        } else {
            let wanted = self.0.last_sequence.saturating_add(1);
            if parsed.sequence != wanted {
                let got = parsed.sequence;
                return Err(format!(
                    "got sequence {got}, wants {wanted}: lines were removed, added or moved"
                ));
            }
            if parsed.previous != self.0.hash {
                return Err(
                    "its `previous` is not the hash of the previous line, which was changed or replaced"
                        .to_owned(),
                );
            }
        }
        self.0.lines += 1;
        self.0.last_sequence = parsed.sequence;
        self.0.hash.clone_from(&parsed.hash);
        Ok(parsed)
    }

    /// Returns the verified part.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.0
    }
}

/// Parses one line and verifies its own hash.
fn parse(line: &str) -> Result<ParsedLine, String> {
    // The last occurrence, because the documents before it may contain the same text.
    let (body, _) = line.rsplit_once(HASH).ok_or("the line has no hash")?;
    let parsed: ParsedLine = serde_json::from_str(line)
        .map_err(|error| format!("the line is not a JSON object: {error}"))?;
    let wanted = hash(body);
    if line.len() != body.len() + HASH.len() + wanted.len() + 2 || parsed.hash != wanted {
        return Err("the line was changed: its hash does not match its content".to_owned());
    }
    if parsed.sequence == 0 {
        return Err("got sequence 0, wants 1 or more".to_owned());
    }
    Ok(parsed)
}
