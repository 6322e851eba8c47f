//! Whether a folder has changed, told without opening a file of it.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

/// Entries that are looked at: a version has a handful, and a folder of a million must not take longer.
const MOST_ENTRIES: usize = 64;

/// A fingerprint of names, lengths and times of change in a folder and below it. Equal stamps of one folder mean that
/// nothing changed there, as far as those tell; it is good for this process only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp(u64);

impl Stamp {
    /// The stamp of `dir` now. Whatever cannot be read is part of it, so this does not fail.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        let mut hasher = DefaultHasher::new();
        let mut left = MOST_ENTRIES;
        tell(fs::metadata(dir), &mut hasher);
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
        tell(own, hasher);
        if is_link {
            // A link stays as it is when what it leads to changes.
            tell(fs::metadata(&path), hasher);
        }
        if is_dir {
            walk(&path, left, hasher);
        }
    }
}

/// Puts what is known of one entry into the stamp.
fn tell(about: std::io::Result<fs::Metadata>, hasher: &mut DefaultHasher) {
    match about {
        Ok(about) => {
            (about.is_dir(), about.len()).hash(hasher);
            about.modified().ok().hash(hasher);
        }
        Err(error) => error.kind().hash(hasher),
    }
}
