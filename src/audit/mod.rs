//! The audit log: who changed what, when and why, as lines that prove their own order. Rejected changes are recorded too.
//!
//! `audit.jsonl` in the state folder contains one JSON object per line, in UTF-8, each ended by `\n`. Its members, of which empty ones
//! are left out: `sequence` (1, 2, 3, ...), `time` (RFC 3339, UTC), `actor`, `reason`, `action`, `model`, `expected` and `revision`
//! (numbers), `through` (for a line without a revision: the highest revision before it), `outcome` (`done`, or the reason word of the
//! error), `message`, `before` and `after` (documents), `previous`, `hash`.
//!
//! The chain: `previous` is the `hash` of the previous line, or 64 zeros in line 1. `hash` is the last member. It is the SHA-256 digest,
//! in hexadecimal, of the line's bytes before `,"hash":`. So each line vouches for all lines before it. If the hash of the last line is
//! noted elsewhere, later changes to any earlier line can be detected:
//!
//! ```text
//! for each line:  body, hash = split at the last `,"hash":"`
//!                 sha256(body) == hash  and  body.previous == hash of the line before  and  body.sequence is one more
//! ```
//!
//! A file that would exceed its size limit is renamed to `audit-<first sequence>.jsonl`, and the chain continues in a new file. Only the
//! last few old files are kept, so a chain may start after line 1.
//!
//! Invariants: a line is on disk before [`Log::append`] returns. A line that a crash has truncated was never acknowledged, and is removed
//! when the log is opened. There is no secret key, so the owner of the file can write a completely new chain; to detect this, note the
//! last hash elsewhere.
//! Not here: what is recorded (`control`), and the log of the process (`tracing`).

mod chain;
mod entry;
mod error;
mod log;
mod read;

#[cfg(test)]
mod tests;

pub use chain::{Chain, Head, ParsedLine};
pub use entry::Entry;
pub use error::AuditError;
pub use log::{Log, LogSettings};
pub use read::{Broken, files, read, verify, verify_each};
