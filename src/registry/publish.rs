//! Publishing: a version is written beside its place and appears there by one rename.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};

/// Why a version was not published. Nothing is visible then, and nothing is left.
#[derive(Debug, thiserror::Error)]
pub enum PublishError<E> {
    /// The version is there already, and a version never changes.
    #[error("{0} exists already; a published version never changes")]
    Exists(PathBuf),
    /// The disk refused.
    #[error("cannot publish {path}: {source}")]
    Io {
        /// The version's folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The content could not be made.
    #[error(transparent)]
    Fill(E),
}

/// Publishes version `version` of `model` below `root`: `fill` writes its files into the folder that it is given, a
/// staging folder on the same disk. All of it is on the disk before the version is visible. Returns the version's folder.
///
/// # Errors
/// See [`PublishError`].
pub fn publish<E>(
    root: &Path,
    model: &ModelName,
    version: VersionNumber,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<PathBuf, PublishError<E>> {
    let home = root.join(model.as_str());
    let place = home.join(version.to_string());
    let failed = |source| PublishError::Io {
        path: place.clone(),
        source,
    };
    let taken = || place.symlink_metadata().is_ok();
    if taken() {
        return Err(PublishError::Exists(place));
    }
    let is_new = !home.exists();
    let publish = || {
        fs::create_dir_all(&home).map_err(failed)?;
        sweep(&home);
        let staging = staging(&home, version).map_err(failed)?;
        fill(staging.path()).map_err(PublishError::Fill)?;
        sync(staging.path()).map_err(failed)?;
        // A rename does not replace a folder that holds anything, so of two publishers at once one gets an error here.
        match fs::rename(staging.path(), &place) {
            Ok(()) => {}
            Err(_) if taken() => return Err(PublishError::Exists(place.clone())),
            Err(error) => return Err(failed(error)),
        }
        if let Err(error) = sync_folder(&home).and_then(|()| sync_folder(root)) {
            // It might be gone after a crash, so it was not published: back to where it is removed.
            let _ = fs::rename(&place, staging.path());
            return Err(failed(error));
        }
        // Its name is free again, and nothing is left to remove.
        drop(staging.keep());
        Ok(())
    };
    let published = publish();
    if published.is_err() && is_new {
        // Goes only if it is empty: somebody else may have put something there meanwhile.
        let _ = fs::remove_dir(&home);
    }
    published.map(|()| place)
}

/// The number after the highest version of `model`; 1 if there is none.
///
/// # Errors
/// The model's folder cannot be read, or there is no higher number.
pub fn next_version(root: &Path, model: &ModelName) -> Result<VersionNumber, Faults> {
    let home = root.join(model.as_str());
    let mut refused = Faults::default();
    let versions = if home.exists() {
        super::scan::folders::<VersionNumber>(&home, &mut refused)?
    } else {
        Vec::new()
    };
    let found = versions.into_iter().map(|(version, _)| version);
    // A number under which something unreadable stands is taken all the same.
    let names = refused.iter().filter_map(|fault| fault.file.file_name());
    let taken = names.filter_map(|name| name.to_str()?.parse().ok());
    let highest = found.chain(taken).map(VersionNumber::get).max();
    VersionNumber::try_from(highest.unwrap_or(0) + 1)
        .map_err(|invalid| Faults::one(home, format!("no number is left: {invalid}")))
}

/// What the names of staging folders begin with.
pub(super) const STAGING: &str = ".staging-";

/// A staging folder in which nothing was written for so long has lost its process.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// Removes what killed processes have left in `home`. What cannot be removed stays until the next time.
fn sweep(home: &Path) {
    let Some(since) = SystemTime::now().checked_sub(STALE) else {
        return;
    };
    for entry in fs::read_dir(home).into_iter().flatten().flatten() {
        let is_staging = entry.file_name().to_string_lossy().starts_with(STAGING);
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let path = entry.path();
        if !is_staging || !is_folder || touched(&path, since) {
            continue;
        }
        match fs::remove_dir_all(&path) {
            Ok(()) => {
                tracing::info!(path = %path.display(), "removed a staging folder that a killed process has left")
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a stale staging folder cannot be removed")
            }
        }
    }
}

/// Whether anything at or below `path` was written after `since`, or cannot be told not to have been.
fn touched(path: &Path, since: SystemTime) -> bool {
    let own = || -> io::Result<(bool, SystemTime)> {
        let about = path.symlink_metadata()?;
        Ok((about.is_dir(), about.modified()?))
    };
    match own() {
        Ok((_, modified)) if modified > since => true,
        Ok((false, _)) => false,
        Ok((true, _)) => match fs::read_dir(path) {
            Ok(mut entries) => {
                entries.any(|entry| entry.map_or(true, |entry| touched(&entry.path(), since)))
            }
            Err(_) => true,
        },
        Err(_) => true,
    }
}

/// A folder that no scan sees and that goes when it is dropped.
fn staging(home: &Path, version: VersionNumber) -> io::Result<tempfile::TempDir> {
    let prefix = format!("{STAGING}{version}-");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix);
    // As any folder, by the umask: a temporary folder is closed to other users, a published one is not.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    builder.tempdir_in(home)
}

/// Brings a folder and all below it to the disk.
fn sync(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            sync(&path)?;
        } else {
            fs::File::open(&path)?.sync_all()?;
        }
    }
    sync_folder(dir)
}

/// Brings the names in a folder to the disk.
fn sync_folder(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}
