//! Loads a version from its folder.
//!
//! [`load_with`] does everything that can fail: it reads the manifest, checks every file against its digest, builds the model,
//! checks the golden requests and warms the model up. The returned version is ready to be published. Loading is slow and blocks, so
//! it must not run on a thread that serves requests. While requests are served, it runs at [`Pace::Shared`].
//!
//! Memory: the weights file is read whole, the network's own weights are built from it, and the file's bytes are freed before the
//! weights are laid out for scoring. So there are never more than two copies of the weights in memory; [`memory_to_load`] returns their size
//! before anything is read.

mod files;
mod golden;
mod throttle;
mod version;
mod warm_up;

#[cfg(test)]
mod tests;

use std::path::Path;

use super::content_stores::ContentStores;
use super::digest::VersionDigest;
use super::format::{Format, ModelFiles};
use super::manifest::{File, Manifest};
use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};
use throttle::Throttle;

pub use golden::agrees;
pub use throttle::Pace;
pub use version::Version;

/// Phases of loading after the files have been read and the network has been built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The golden requests are checked.
    Verifying,
    /// Batches of every size are scored.
    Warming,
}

/// How a version is loaded.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// How much of the machine loading may use.
    pub pace: Pace,
    /// Where files of the version may be besides its folder.
    pub stores: ContentStores,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            pace: Pace::Full,
            stores: ContentStores::default(),
        }
    }
}

/// Loads version `version` of `model` from `dir` at [`Pace::Full`], without content stores and without reporting phases.
///
/// # Errors
/// Returns the errors of [`load_with`].
pub fn load(dir: &Path, model: &ModelName, version: VersionNumber) -> Result<Version, Faults> {
    load_with(dir, model, version, &LoadOptions::default(), &mut |_| {})
}

/// Loads version `version` of `model` from `dir`, verifies it and warms it up.
///
/// Calls `on_phase` at the start of each phase, in order. The digests of the files are checked before the first phase.
///
/// # Errors
/// Returns all faults that can be found: a faulty manifest stops the check of files, and faulty files stop the golden requests.
pub fn load_with(
    dir: &Path,
    model: &ModelName,
    version: VersionNumber,
    options: &LoadOptions,
    on_phase: &mut dyn FnMut(Phase),
) -> Result<Version, Faults> {
    let mut throttle = Throttle::new(options.pace);
    let manifest = Manifest::read(dir)?;
    let mut faults = misplaced(&manifest, dir, model, version);
    let files = files::read(&manifest, dir, &options.stores, &mut throttle, &mut faults);
    let model = files.and_then(|files| {
        let format = <dyn Format>::of(manifest.format.kind);
        let files = ModelFiles { dir, files };
        let model = format.load(&manifest.about, &manifest.signature, files, &mut || {
            throttle.rest();
        });
        model.map_err(|wrong| faults.extend(wrong)).ok()
    });
    faults.into_result()?;
    let Some(model) = model else {
        return Err(Faults::one(dir, "has no weights"));
    };
    let version = Version::new(manifest, model);
    on_phase(Phase::Verifying);
    golden::check(&version, &dir.join(File::MANIFEST), &mut throttle)?;
    on_phase(Phase::Warming);
    let pass_durations = warm_up::run(&version, dir, &mut throttle)?;
    Ok(version.with_pass_durations(pass_durations))
}

/// Returns the most bytes that the weights of the version in `dir` take while it is loaded: the weights file and the network built
/// from it.
///
/// The manifest and the memory of forward passes come on top; requests need those at any time. Reads only the manifest and the size of
/// the weights file.
///
/// # Errors
/// Returns the faults of the manifest or of the weights file, as [`load_with`] does.
pub fn memory_to_load(dir: &Path, stores: &ContentStores) -> Result<u64, Faults> {
    let manifest = Manifest::read(dir)?;
    for file in manifest
        .files
        .iter()
        .filter(|file| manifest.is_model_file(file))
    {
        let opened = files::open_checked(dir, file, stores);
        opened.map_err(|why| Faults::one(dir.join(&file.path), why))?;
    }
    let format = <dyn Format>::of(manifest.format.kind);
    Ok(format.memory_to_load(manifest.weight_bytes()))
}

/// Checks that the version in `dir` is the one with this digest, and that its files are those of its manifest. Reads them all, at the pace
/// of `options`.
///
/// # Errors
/// Returns how the folder differs.
pub fn verify_files(
    dir: &Path,
    digest: VersionDigest,
    options: &LoadOptions,
) -> Result<(), Faults> {
    let manifest = Manifest::read(dir)?;
    if manifest.digest != digest {
        let message = format!("has sha256 {}, and had {digest}", manifest.digest);
        return Err(Faults::one(dir.join(File::MANIFEST), message));
    }
    let mut throttle = Throttle::new(options.pace);
    let mut faults = Faults::default();
    files::verify(&manifest, dir, &options.stores, &mut throttle, &mut faults);
    faults.into_result()
}

/// Returns a fault for each difference between the manifest and the names of its folders. It differs if it was copied from another
/// version and not edited.
fn misplaced(manifest: &Manifest, dir: &Path, model: &ModelName, version: VersionNumber) -> Faults {
    let mut faults = Faults::default();
    let file = dir.join(File::MANIFEST);
    if manifest.model != *model {
        let message = format!(
            "got {:?}, wants {model:?}, the name of the folder",
            manifest.model
        );
        faults.add(&file, "$.model_name", message);
    }
    if manifest.version != version {
        let message = format!(
            "got {}, wants {version}, the name of the folder",
            manifest.version
        );
        faults.add(&file, "$.version", message);
    }
    faults
}
