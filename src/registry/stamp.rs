//! Detects changes of a folder without opening its files.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

/// The most entries that a stamp covers. A version has a handful; the limit bounds the time for a folder of a million entries.
const MAX_ENTRIES: usize = 64;

/// A fingerprint of the names, sizes and modification times in a folder and below it. Equal stamps of a folder mean that none of these
/// has changed. Stamps are comparable only within one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp(u64);

impl Stamp {
    /// Returns the current stamp of `dir`. Does not fail: errors become part of the stamp.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        let mut hasher = DefaultHasher::new();
        let mut left = MAX_ENTRIES;
        hash_metadata(fs::metadata(dir), &mut hasher);
        walk(dir, &mut left, &mut hasher);
        Self(hasher.finish())
    }
}

fn walk(dir: &Path, left: &mut usize, hasher: &mut DefaultHasher) {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries.take(*left),
        Err(error) => return error.kind().hash(hasher),
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let Some(fewer) = left.checked_sub(1) else {
            return;
        };
        *left = fewer;
        path.file_name().hash(hasher);
        let own = path.symlink_metadata();
        let is_dir = own.as_ref().is_ok_and(fs::Metadata::is_dir);
        let is_link = own.as_ref().is_ok_and(fs::Metadata::is_symlink);
        hash_metadata(own, hasher);
        if is_link {
            // The metadata of the link itself does not change with its target.
            hash_metadata(fs::metadata(&path), hasher);
        }
        if is_dir {
            walk(&path, left, hasher);
        }
    }
}

/// Adds the metadata of one entry to the stamp.
fn hash_metadata(metadata: std::io::Result<fs::Metadata>, hasher: &mut DefaultHasher) {
    match metadata {
        Ok(metadata) => {
            (metadata.is_dir(), metadata.len()).hash(hasher);
            metadata.modified().ok().hash(hasher);
        }
        Err(error) => error.kind().hash(hasher),
    }
}
