//! Lists all versions of a registry.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::stamp::Stamp;
use crate::faults::Faults;
use crate::ident::{InvalidIdent, ModelName, VersionNumber};

/// The folder of one version. No file inside it has been opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionFolder {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: VersionNumber,
    /// Its folder.
    pub dir: PathBuf,
    /// Fingerprint of the folder, which differs after a change.
    pub stamp: Stamp,
}

impl VersionFolder {
    /// Describes version `version` of `model` in `dir`.
    pub(super) fn new(model: ModelName, version: VersionNumber, dir: PathBuf) -> Self {
        let stamp = Stamp::of(&dir);
        Self {
            model,
            version,
            dir,
            stamp,
        }
    }

    /// Compares by model, then by number.
    pub(super) fn by_name(&self, other: &Self) -> Ordering {
        let order = self.model.cmp(&other.model);
        order.then(self.version.cmp(&other.version))
    }
}

/// The content of a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// All models by name, including models without a version.
    pub models: Vec<ModelName>,
    /// All versions, by model and number.
    pub found: Vec<VersionFolder>,
    /// Folders with invalid names, and folders and links that cannot be read.
    pub refused: Faults,
    /// What exists, although its content is not known.
    pub unreadable: Unreadable,
}

/// Models and versions whose folders exist and cannot be read. They are not missing: what was known of them stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unreadable {
    models: BTreeSet<ModelName>,
    versions: BTreeSet<(ModelName, VersionNumber)>,
}

impl Unreadable {
    /// Returns whether it is not known if `version` of `model` exists.
    pub(super) fn contains(&self, model: &ModelName, version: VersionNumber) -> bool {
        self.models.contains(model) || self.versions.contains(&(model.clone(), version))
    }
}

/// Lists all versions below `root`. A model or a version that cannot be read hides no other.
///
/// # Errors
/// Returns an error if `root` cannot be read: an empty list would make all versions appear to be removed.
pub fn scan(root: &Path) -> Result<Scan, Faults> {
    let mut scan = Scan::default();
    let models = folders::<ModelName>(root, &mut scan.refused)?;
    scan.unreadable.models = unreadable(root, &scan.refused).collect();
    for (model, dir) in models {
        let mut refused = Faults::default();
        match folders(&dir, &mut refused) {
            Ok(versions) => {
                let versions = versions.into_iter();
                scan.found.extend(
                    versions.map(|(version, dir)| VersionFolder::new(model.clone(), version, dir)),
                );
                let unread = unreadable(&dir, &refused).map(|version| (model.clone(), version));
                scan.unreadable.versions.extend(unread);
            }
            Err(faults) => {
                refused.extend(faults);
                scan.unreadable.models.insert(model.clone());
            }
        }
        scan.refused.extend(refused);
        scan.models.push(model);
    }
    scan.models.sort();
    scan.found.sort_by(VersionFolder::by_name);
    Ok(scan)
}

/// Returns the entries of `dir` among `refused` whose names are valid, so that only reading them failed.
pub(super) fn unreadable<T: FromStr>(dir: &Path, refused: &Faults) -> impl Iterator<Item = T> {
    let below = refused
        .iter()
        .filter(move |fault| fault.file.parent() == Some(dir));
    below.filter_map(|fault| fault.file.file_name()?.to_str()?.parse().ok())
}

/// Lists the folders in `dir` whose names parse as `T`, sorted by name. Files are ignored. Folders with other names and entries whose
/// type is unknown are added to `refused`.
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
        // A file system keeps its own `lost+found` in its root.
        if name.starts_with(['.', '_']) || name == "lost+found" {
            continue;
        }
        // Follows links, because mounted folders may be links.
        match fs::metadata(&path) {
            Ok(metadata) if !metadata.is_dir() => {}
            Ok(_) => match name.parse() {
                Ok(parsed) => folders.push((parsed, path)),
                Err(invalid) => refused.add(&path, "", format!("folder name: {invalid}")),
            },
            // Removed after the folder was listed. A broken link, in contrast, still exists itself.
            Err(_) if was_removed(&path) => {}
            Err(error) => refused.add(&path, "", format!("cannot be read: {error}")),
        }
    }
    Ok(folders)
}

fn was_removed(path: &Path) -> bool {
    let link = path.symlink_metadata();
    link.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}
