//! The audit log: who changed what, when and why, refused changes too, as lines that prove their own order.
//!
//! `audit.jsonl` in the state folder holds one JSON object a line, in UTF-8, each ended by `\n`. Its members, absent ones
//! left out: `sequence` (1, 2, 3, ...), `time` (RFC 3339, UTC), `actor`, `reason`, `action`, `model`, `expected` and
//! `revision` (numbers), `through` (the highest revision before a line that made none), `outcome` (`done`, or the reason word of the error), `message`, `before` and `after` (documents),
//! `previous`, `hash`.
//!
//! The chain: `previous` is the `hash` of the line before, 64 zeros for line 1. `hash` is the last member, and is the SHA-256
//! in hexadecimal of the line's bytes before `,"hash":`. So each line vouches for all before it, and whoever notes the hash
//! of the last line elsewhere can tell later whether anything up to there was changed:
//!
//! ```text
//! for each line:  body, hash = split at the last `,"hash":"`
//!                 sha256(body) == hash  and  body.previous == hash of the line before  and  body.sequence is one more
//! ```
//!
//! A file that would pass its limit becomes `audit-<first sequence>.jsonl`, and the chain goes on in a new one; of the old
//! ones the last few are kept, so a chain may begin after line 1.
//!
//! What always holds: a line is on the disk before [`Log::append`] answers; a line that was cut short by a crash was never
//! acknowledged, and is cut off when the log is opened. Without a key nobody can keep the owner of the file from writing a
//! whole new chain: that is what noting the last hash elsewhere is for.
//! Not here: what is told (`control`), and the log of the process (`tracing`).

mod chain;
mod entry;
mod log;
mod read;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use chain::{Chain, Head, Parsed};
pub use entry::Entry;
pub use log::{Log, LogSettings};
pub use read::{Broken, files, read, verify, verify_each};

/// Name of the file that is being written.
const CURRENT: &str = "audit.jsonl";

/// Why the audit log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The disk refused.
    #[error("the audit log {} cannot be used: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The chain is broken, so that nothing may be added to it.
    #[error(
        "{0}; `taper audit --file` shows the whole chain. Find out who changed it; to begin a new chain, move the files \
         audit*.jsonl elsewhere"
    )]
    Broken(#[from] Broken),
}
