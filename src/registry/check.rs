//! Checks versions by loading them as the gateway does, without serving them.

use std::fmt;
use std::path::{Path, PathBuf};

use super::scan::{Scan, VersionFolder, folders, scan};
use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};
use crate::model::manifest::File;
use crate::model::{ContentStores, LoadOptions, Version, load_with};

/// The result of checking one folder.
#[derive(Clone, Debug)]
pub struct CheckResult {
    /// The folder.
    pub dir: PathBuf,
    /// A summary of the version, or all its faults.
    pub outcome: Result<Summary, Faults>,
}

/// A summary of a version that can be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: VersionNumber,
    /// Number of inputs.
    pub inputs: usize,
    /// Width of an encoded row.
    pub columns: usize,
    /// Columns of the output.
    pub outputs: usize,
    /// Multiply-adds of one row.
    pub cost_per_row: usize,
    /// Number of golden requests, all of which passed.
    pub golden: usize,
}

impl Summary {
    fn of(version: &Version) -> Self {
        let (manifest, signature) = (version.manifest(), version.signature());
        Self {
            model: manifest.model.clone(),
            version: manifest.version,
            inputs: signature.inputs().len(),
            columns: signature.columns(),
            outputs: signature.prediction.columns,
            cost_per_row: version.cost_per_row(),
            golden: manifest.golden.len(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}: {} inputs in {} columns, {} outputs, {} multiply-adds per row, {} golden requests passed",
            self.model,
            self.version,
            self.inputs,
            self.columns,
            self.outputs,
            self.cost_per_row,
            self.golden
        )
    }
}

/// Loads every version in `dir`, one at a time. `dir` is a registry, the folder of a model, or the folder of a version. Files of
/// versions may be links into `stores`.
///
/// Returns the versions by model and number, then the folders with invalid names.
///
/// # Errors
/// Returns an error if a folder cannot be read, or if there is no version in `dir`.
pub fn check(dir: &Path, stores: &ContentStores) -> Result<Vec<CheckResult>, Faults> {
    let scan = versions_in(dir)?;
    let mut checked: Vec<_> = scan
        .found
        .into_iter()
        .map(|folder| check_one(folder, stores))
        .collect();
    for fault in scan.refused.iter() {
        checked.push(CheckResult {
            dir: fault.file.clone(),
            outcome: Err(Faults::one(&fault.file, fault.message.clone())),
        });
    }
    if checked.is_empty() {
        return Err(Faults::one(
            dir,
            "contains no version, wants a registry, the folder of a model, or the folder of a version",
        ));
    }
    Ok(checked)
}

fn check_one(folder: VersionFolder, stores: &ContentStores) -> CheckResult {
    let options = LoadOptions {
        stores: stores.clone(),
        ..LoadOptions::default()
    };
    let loaded = load_with(
        &folder.dir,
        &folder.model,
        folder.version,
        &options,
        &mut |_| {},
    );
    CheckResult {
        outcome: loaded.map(|version| Summary::of(&version)),
        dir: folder.dir,
    }
}

/// Returns the versions in `dir`.
fn versions_in(dir: &Path) -> Result<Scan, Faults> {
    // The canonical path, because the names of the folder and of its parent are needed, and `.` has neither.
    let full = dir
        .canonicalize()
        .map_err(|error| Faults::one(dir, format!("cannot be read: {error}")))?;
    if has_manifest(dir) {
        let parent = full.parent().unwrap_or(&full);
        return Ok(Scan {
            found: vec![VersionFolder::new(
                named(parent)?,
                named(&full)?,
                dir.to_owned(),
            )],
            ..Scan::default()
        });
    }
    if is_model_folder(dir)? {
        let model: ModelName = named(&full)?;
        let mut refused = Faults::default();
        let found = folders(dir, &mut refused)?.into_iter();
        let found = found.map(|(version, dir)| VersionFolder::new(model.clone(), version, dir));
        let mut found: Vec<_> = found.collect();
        found.sort_by(VersionFolder::by_name);
        return Ok(Scan {
            models: vec![model.clone()],
            found,
            refused,
            ..Scan::default()
        });
    }
    scan(dir)
}

/// Returns whether the folders in `dir` are versions and not models.
fn is_model_folder(dir: &Path) -> Result<bool, Faults> {
    let mut refused = Faults::default();
    let below = folders::<ModelName>(dir, &mut refused)?;
    Ok(below.iter().any(|(_, dir)| has_manifest(dir)))
}

/// Returns whether `dir` is meant to be a version: it has an entry with the manifest's name, which may be a broken link.
fn has_manifest(dir: &Path) -> bool {
    dir.join(File::MANIFEST).symlink_metadata().is_ok()
}

/// Parses the name of a folder.
fn named<T: std::str::FromStr<Err: fmt::Display>>(dir: &Path) -> Result<T, Faults> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    name.parse()
        .map_err(|invalid| Faults::one(dir, format!("folder name: {invalid}")))
}
