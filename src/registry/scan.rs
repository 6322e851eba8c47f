//! The list of all versions.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::faults::Faults;
use crate::ident::{InvalidIdent, ModelName, VersionNumber};

/// One version's folder. Nothing inside it has been looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: VersionNumber,
    /// Its folder.
    pub dir: PathBuf,
}

/// What a registry holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// All versions, by model and number.
    pub found: Vec<Found>,
    /// Folders that stand where a model or version should and are none.
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
                    Ok(versions) => {
                        scan.found
                            .extend(versions.into_iter().map(|(version, dir)| {
                                let model = model.clone();
                                Found {
                                    model,
                                    version,
                                    dir,
                                }
                            }))
                    }
                    Err(faults) => unreadable.extend(faults),
                }
            }
        }
        Err(faults) => unreadable.extend(faults),
    }
    unreadable.into_result()?;
    scan.found.sort();
    Ok(scan)
}

/// The folders in `dir` by their names read as `T`, sorted by name; other names go to `refused`. Files are passed over.
pub(super) fn folders<T: FromStr<Err = InvalidIdent>>(
    dir: &Path,
    refused: &mut Faults,
) -> Result<Vec<(T, PathBuf)>, Faults> {
    let unreadable = |error: std::io::Error| Faults::one(dir, format!("cannot be read: {error}"));
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        // Follows links, which is how mounted folders come.
        if path.is_dir() {
            paths.push(path);
        }
    }
    paths.sort();
    let mut folders = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(['.', '_']) {
            continue;
        }
        match name.parse() {
            Ok(parsed) => folders.push((parsed, path)),
            Err(invalid) => refused.add(&path, "", format!("folder name: {invalid}")),
        }
    }
    Ok(folders)
}
