//! Holding lines to their chain, one after the other.

use serde::Deserialize;

use super::entry::{HASH, hash};

/// `previous` of line 1.
pub(super) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Where a chain has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Lines that were held to it.
    pub lines: u64,
    /// Sequence of the first of them; above 1 where older files are gone. 0 without lines.
    pub first_sequence: u64,
    /// Sequence of the last of them; 0 without lines.
    pub last_sequence: u64,
    /// Hash of the last of them: to be noted elsewhere. Empty without lines.
    pub hash: String,
}

/// Takes the lines of a log in their order. Begin with `Chain::default()`.
#[derive(Clone, Debug, Default)]
pub struct Chain(Head);

/// What a line says, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Parsed {
    /// Its place in the chain.
    pub sequence: u64,
    /// When, RFC 3339.
    pub time: String,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// What was asked for.
    pub action: String,
    /// Of which model.
    pub model: String,
    /// The revision that the caller had seen.
    pub expected: Option<u64>,
    /// The revision that the change made.
    pub revision: Option<u64>,
    /// The highest revision in the lines before it, where it made none itself.
    pub through: Option<u64>,
    /// `done`, or the reason word of the error.
    pub outcome: String,
    /// What the caller was told, where it was refused.
    pub message: String,
    /// Hash of the line before.
    pub previous: String,
    /// Its own hash.
    pub hash: String,
}

impl Chain {
    /// Takes the next line, without its line end.
    ///
    /// # Errors
    /// What is wrong with it. The chain stays where it was.
    pub fn line(&mut self, line: &str) -> Result<Parsed, String> {
        let parsed = parse(line)?;
        if self.0.lines == 0 {
            if parsed.sequence == 1 && parsed.previous != GENESIS {
                return Err("it is the first line, and names one before it".to_owned());
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
                    "it does not follow from the line before: that one was changed or replaced"
                        .to_owned(),
                );
            }
        }
        self.0.lines += 1;
        self.0.last_sequence = parsed.sequence;
        self.0.hash.clone_from(&parsed.hash);
        Ok(parsed)
    }

    /// Where it has come to.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.0
    }
}

/// Reads one line and holds it to its own hash.
fn parse(line: &str) -> Result<Parsed, String> {
    // The hash is the last member, whatever the documents before it contain.
    let (body, _) = line.rsplit_once(HASH).ok_or("it has no hash")?;
    let parsed: Parsed =
        serde_json::from_str(line).map_err(|error| format!("it is no JSON object: {error}"))?;
    let wanted = hash(body);
    if line.len() != body.len() + HASH.len() + wanted.len() + 2 || parsed.hash != wanted {
        return Err("it was changed: its hash is not that of its content".to_owned());
    }
    if parsed.sequence == 0 {
        return Err("got sequence 0, wants 1 or more".to_owned());
    }
    Ok(parsed)
}
