//! Checks whether a version's folder is complete. A folder that is copied file by file is incomplete for a while, which is not a
//! fault.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::model::manifest::{Draft, File, Manifest};

/// Whether a folder has all its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// All files are there. They may be faulty: loading reports how, and waiting would not help.
    Complete,
    /// Files are missing but may still be written; the text says which.
    Waits(String),
}

/// Checks the manifest in `dir` and the sizes of the files that it lists. Opens no other file.
#[must_use]
pub fn complete(dir: &Path) -> Completeness {
    let manifest = match Manifest::draft(dir) {
        Draft::Missing => return Completeness::Waits(format!("{} is missing", File::MANIFEST)),
        Draft::Truncated => return Completeness::Waits(format!("{} is truncated", File::MANIFEST)),
        Draft::Complete(Err(_)) => return Completeness::Complete,
        Draft::Complete(Ok(manifest)) => manifest,
    };
    let mut missing = manifest.files.iter().filter_map(|file| missing(dir, file));
    match (missing.next(), missing.count()) {
        (None, _) => Completeness::Complete,
        (Some(first), 0) => Completeness::Waits(first),
        (Some(first), more) => Completeness::Waits(format!("{first}, and {more} more")),
    }
}

/// Describes what is missing of `file`, if anything.
fn missing(dir: &Path, file: &File) -> Option<String> {
    let (path, wanted) = (file.path.display(), file.bytes);
    match fs::metadata(dir.join(&file.path)) {
        Ok(metadata) if metadata.is_file() && metadata.len() < wanted => {
            Some(format!("{path} has {} of {wanted} bytes", metadata.len()))
        }
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::NotFound => Some(format!("{path} is missing")),
        Err(_) => None,
    }
}
