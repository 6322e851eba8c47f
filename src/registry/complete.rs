//! Whether a version's folder is all there. One that is copied file by file is seen half-way, and is not faulty for that.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::model::manifest::{Draft, File, Manifest};

/// How far a folder has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// Nothing more has to come. What is there may be faulty all the same: loading says how, waiting would not mend it.
    Complete,
    /// This is missing, and may come.
    Waits(String),
}

/// Looks at the manifest and at the lengths of the files that it lists; opens no other file.
#[must_use]
pub fn complete(dir: &Path) -> Completeness {
    let manifest = match Manifest::draft(dir) {
        Draft::Missing => return Completeness::Waits(format!("{} is missing", File::MANIFEST)),
        Draft::Truncated => return Completeness::Waits(format!("{} is cut off", File::MANIFEST)),
        Draft::Complete(Err(_)) => return Completeness::Complete,
        Draft::Complete(Ok(manifest)) => manifest,
    };
    let mut missing = manifest.files.iter().filter_map(|file| lacks(dir, file));
    match (missing.next(), missing.count()) {
        (None, _) => Completeness::Complete,
        (Some(first), 0) => Completeness::Waits(first),
        (Some(first), more) => Completeness::Waits(format!("{first}, and {more} more")),
    }
}

/// What of `file` is still to come.
fn lacks(dir: &Path, file: &File) -> Option<String> {
    let (path, wanted) = (file.path.display(), file.bytes);
    match fs::metadata(dir.join(&file.path)) {
        Ok(about) if about.is_file() && about.len() < wanted => {
            Some(format!("{path} has {} of {wanted} bytes", about.len()))
        }
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::NotFound => Some(format!("{path} is missing")),
        Err(_) => None,
    }
}
