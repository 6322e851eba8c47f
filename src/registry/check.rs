//! Checking versions as serving would load them, without serving them.

use std::fmt;
use std::path::{Path, PathBuf};

use super::scan::{Found, Scan, folders, scan};
use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};
use crate::model::manifest::File;
use crate::model::{Version, load};

/// One folder that was looked at.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The folder.
    pub dir: PathBuf,
    /// What is in it, or all that is wrong.
    pub outcome: Result<Summary, Faults>,
}

/// A version that would serve.
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
    /// Width of an answer.
    pub outputs: usize,
    /// Multiply-adds of one row.
    pub cost_per_row: usize,
    /// Golden requests that it answered.
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
            outputs: signature.output.columns,
            cost_per_row: version.cost_per_row(),
            golden: manifest.golden.len(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}: {} inputs in {} columns, {} outputs, {} multiply-adds a row, {} golden requests answered",
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

/// Loads every version in `dir`, one at a time, and lists them by number, refused folders last. `dir` is a registry, the folder of one model, or that of one version.
///
/// # Errors
/// A folder cannot be read, or holds no version at all.
pub fn check(dir: &Path) -> Result<Vec<Checked>, Faults> {
    let scan = wanted(dir)?;
    let mut checked: Vec<_> = scan.found.into_iter().map(one).collect();
    for fault in scan.refused.iter() {
        checked.push(Checked {
            dir: fault.file.clone(),
            outcome: Err(Faults::one(&fault.file, fault.message.clone())),
        });
    }
    if checked.is_empty() {
        let wanted = "wants a registry, the folder of a model, or that of a version";
        return Err(Faults::one(dir, format!("no version in it; {wanted}")));
    }
    Ok(checked)
}

fn one(found: Found) -> Checked {
    let loaded = load(&found.dir, &found.model, found.version);
    Checked {
        outcome: loaded.map(|version| Summary::of(&version)),
        dir: found.dir,
    }
}

/// The versions that `dir` stands for.
fn wanted(dir: &Path) -> Result<Scan, Faults> {
    // The names of the folder and of the one above it count, and `.` has neither.
    let full = dir
        .canonicalize()
        .map_err(|error| Faults::one(dir, format!("cannot be read: {error}")))?;
    if has_manifest(dir) {
        let above = full.parent().unwrap_or(&full);
        return Ok(Scan {
            found: vec![Found::new(named(above)?, named(&full)?, dir.to_owned())],
            ..Scan::default()
        });
    }
    if holds_versions(dir)? {
        let model: ModelName = named(&full)?;
        let mut refused = Faults::default();
        let found = folders(dir, &mut refused)?.into_iter();
        let found = found.map(|(version, dir)| Found::new(model.clone(), version, dir));
        let mut found: Vec<_> = found.collect();
        found.sort_by(Found::by_name);
        return Ok(Scan {
            models: vec![model.clone()],
            found,
            refused,
        });
    }
    scan(dir)
}

/// Whether the folders in `dir` are versions, not models.
fn holds_versions(dir: &Path) -> Result<bool, Faults> {
    let mut refused = Faults::default();
    let below = folders::<ModelName>(dir, &mut refused)?;
    Ok(below.iter().any(|(_, dir)| has_manifest(dir)))
}

/// Whether anything has the manifest's name, be it a link that leads nowhere: then the folder is meant to be a version.
fn has_manifest(dir: &Path) -> bool {
    dir.join(File::MANIFEST).symlink_metadata().is_ok()
}

/// The folder's name, read as a `T`.
fn named<T: std::str::FromStr<Err: fmt::Display>>(dir: &Path) -> Result<T, Faults> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    name.parse()
        .map_err(|invalid| Faults::one(dir, format!("folder name: {invalid}")))
}
