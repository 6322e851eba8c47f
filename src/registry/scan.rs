//! The list of all versions.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::stamp::Stamp;
use crate::faults::Faults;
use crate::ident::{InvalidIdent, ModelName, VersionNumber};

/// One version's folder. No file inside it has been opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: VersionNumber,
    /// Its folder.
    pub dir: PathBuf,
    /// Another one than before: something in the folder has changed.
    pub stamp: Stamp,
}

impl Found {
    /// Version `version` of `model`, which stands in `dir`.
    pub(super) fn new(model: ModelName, version: VersionNumber, dir: PathBuf) -> Self {
        let stamp = Stamp::of(&dir);
        Self {
            model,
            version,
            dir,
            stamp,
        }
    }

    /// By model, then by number.
    pub(super) fn by_name(&self, other: &Self) -> Ordering {
        let order = self.model.cmp(&other.model);
        order.then(self.version.cmp(&other.version))
    }
}

/// What a registry holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// All models, by name; also those without a version.
    pub models: Vec<ModelName>,
    /// All versions, by model and number.
    pub found: Vec<Found>,
    /// What stands where a model or version should and is none: folders with other names, and links that lead nowhere.
    pub refused: Faults,
}

/// Lists all versions below `root`.
///
/// # Errors
/// A folder cannot be read, so that the list would not be complete: a version that is not listed must not be taken for
/// one that has gone.
pub fn scan(root: &Path) -> Result<Scan, Faults> {
    let mut scan = Scan::default();
    let mut unreadable = Faults::default();
    match folders::<ModelName>(root, &mut scan.refused) {
        Ok(models) => {
            for (model, dir) in models {
                match folders(&dir, &mut scan.refused) {
                    Ok(versions) => scan.found.extend(
                        versions
                            .into_iter()
                            .map(|(version, dir)| Found::new(model.clone(), version, dir)),
                    ),
                    Err(faults) => unreadable.extend(faults),
                }
                scan.models.push(model);
            }
        }
        Err(faults) => unreadable.extend(faults),
    }
    unreadable.into_result()?;
    scan.models.sort();
    scan.found.sort_by(Found::by_name);
    Ok(scan)
}

/// The folders in `dir` by their names read as `T`, sorted by name; other names go to `refused`, and so does what cannot
/// be told to be a folder or none. Files are passed over.
pub(super) fn folders<T: FromStr<Err = InvalidIdent>>(
    dir: &Path,
    refused: &mut Faults,
) -> Result<Vec<(T, PathBuf)>, Faults> {
    let unreadable = |error: std::io::Error| Faults::one(dir, format!("cannot be read: {error}"));
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        paths.push(entry.map_err(unreadable)?.path());
    }
    paths.sort();
    let mut folders = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(['.', '_']) {
            continue;
        }
        // Follows links, which is how mounted folders come.
        match fs::metadata(&path) {
            Ok(about) if !about.is_dir() => {}
            Ok(_) => match name.parse() {
                Ok(parsed) => folders.push((parsed, path)),
                Err(invalid) => refused.add(&path, "", format!("folder name: {invalid}")),
            },
            // Removed since it was listed; a link that leads nowhere is still there itself.
            Err(_) if gone(&path) => {}
            Err(error) => refused.add(&path, "", format!("cannot be read: {error}")),
        }
    }
    Ok(folders)
}

fn gone(path: &Path) -> bool {
    let link = path.symlink_metadata();
    link.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}
