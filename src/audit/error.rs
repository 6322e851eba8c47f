//! Errors of the audit log.

use std::path::PathBuf;

use super::read::Broken;

/// Reasons why the audit log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The disk returned an error.
    #[error("the audit log {} cannot be used: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the disk.
        source: std::io::Error,
    },
    /// The chain is broken, so nothing may be added to it.
    #[error(
        "{0}; `taper audit --file` shows the whole chain. Find out who changed it; to start a new chain, move the files \
         audit*.jsonl to another folder"
    )]
    Broken(#[from] Broken),
}
