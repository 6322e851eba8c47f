//! Publishes a version: its files are written to a staging folder, which is then renamed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};
use crate::text;

/// Reasons why a version cannot be published. In each case, nothing is visible and nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum PublishError<E> {
    /// The version exists already, and a published version never changes.
    #[error("{0} already exists, and a published version never changes; use another number")]
    Exists(PathBuf),
    /// The disk returned an error.
    #[error("cannot publish {path}: {source}")]
    Io {
        /// The version's folder.
        path: PathBuf,
        /// The error of the disk.
        source: io::Error,
    },
    /// The files could not be written.
    #[error(transparent)]
    Fill(E),
}

/// Publishes version `version` of `model` below `root` and returns the version's folder.
///
/// `fill` writes the files into a staging folder on the same disk. All files are synced to disk before the version becomes visible.
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
        remove_stale_staging(&home);
        let Staging { dir: staging, lock } = staging(&home, version).map_err(failed)?;
        fill(staging.path()).map_err(PublishError::Fill)?;
        sync(staging.path()).map_err(failed)?;
        // A rename does not replace a folder with entries, so of two concurrent publishers one fails here.
        match fs::rename(staging.path(), &place) {
            Ok(()) => {}
            Err(_) if taken() => return Err(PublishError::Exists(place.clone())),
            Err(error) => return Err(failed(error)),
        }
        if let Err(error) = sync_folder(&home).and_then(|()| sync_folder(root)) {
            // A crash could lose the new name, so the version does not count as published. Back in the staging folder it is removed.
            let _ = fs::rename(&place, staging.path());
            return Err(failed(error));
        }
        // `keep` disables the removal of the staging folder, which no longer exists.
        drop((staging.keep(), lock));
        Ok(())
    };
    let published = publish();
    if published.is_err() && is_new {
        // Fails if another process has put something there meanwhile, as it should.
        let _ = fs::remove_dir(&home);
    }
    published.map(|()| place)
}

/// Returns the number after the highest version of `model`, or 1 if there is none.
///
/// # Errors
/// Returns an error if the model's folder cannot be read, or if there is no higher number.
pub fn next_version(root: &Path, model: &ModelName) -> Result<VersionNumber, Faults> {
    let home = root.join(model.as_str());
    let mut refused = Faults::default();
    let versions = if home.exists() {
        super::scan::folders::<VersionNumber>(&home, &mut refused)?
    } else {
        Vec::new()
    };
    let found = versions.into_iter().map(|(version, _)| version);
    // The number of an unreadable folder is in use as well.
    let taken = super::scan::unreadable(&home, &refused);
    let highest = found.chain(taken).map(VersionNumber::get).max();
    VersionNumber::try_from(highest.unwrap_or(0) + 1).map_err(|invalid| {
        Faults::one(home, format!("no higher version number is left: {invalid}"))
    })
}

/// Prefix of the names of staging folders.
pub(super) const STAGING: &str = ".staging-";

/// Age after which a staging folder without changes belongs to a process that was killed.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns the part of the names of staging folders of this machine that are locked while their process lives. On another machine that
/// shares the disk, the lock may not be seen; releases before 0.2 do not lock theirs.
pub(super) fn locked() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    format!("-held-{}-", text::truncate(&boot, 8))
}

/// Removes the staging folders that killed processes left below `root`. Folders that cannot be removed stay until the next call.
pub fn sweep(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        remove_stale_staging(&entry.path());
    }
}

/// Removes stale staging folders from `home`. Folders that cannot be removed stay until the next call.
fn remove_stale_staging(home: &Path) {
    let locked = locked();
    for entry in fs::read_dir(home).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !name.starts_with(STAGING) || !is_folder {
            continue;
        }
        let path = entry.path();
        // Locked until it is removed, so that a process that has just created it notices.
        let lock = fs::File::open(&path).map(|folder| (folder.try_lock(), folder));
        let is_stale = match &lock {
            Ok((Err(fs::TryLockError::WouldBlock), _)) => false,
            Ok((Ok(()), _)) if name.contains(&locked) => true,
            _ => is_old(&path),
        };
        if !is_stale {
            continue;
        }
        match fs::remove_dir_all(&path) {
            Ok(()) => {
                tracing::info!(path = %path.display(), "removed the staging folder of a killed process")
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot remove a stale staging folder")
            }
        }
    }
}

/// Returns whether nothing in a folder was changed for as long as [`STALE`].
fn is_old(path: &Path) -> bool {
    let since = SystemTime::now().checked_sub(STALE);
    since.is_some_and(|since| !changed_since(path, since))
}

/// Returns whether anything at or below `path` was changed after `since`. Returns true if that is unknown.
fn changed_since(path: &Path, since: SystemTime) -> bool {
    let kind_and_time = || -> io::Result<(bool, SystemTime)> {
        let metadata = path.symlink_metadata()?;
        Ok((metadata.is_dir(), metadata.modified()?))
    };
    match kind_and_time() {
        Ok((_, modified)) if modified > since => true,
        Ok((false, _)) => false,
        Ok((true, _)) => match fs::read_dir(path) {
            Ok(mut entries) => {
                entries.any(|entry| entry.map_or(true, |entry| changed_since(&entry.path(), since)))
            }
            Err(_) => true,
        },
        Err(_) => true,
    }
}

/// A folder that scans ignore and that is removed when it is dropped. Locked, so that other processes know that its owner lives.
struct Staging {
    dir: tempfile::TempDir,
    /// `None` on a file system without locks.
    lock: Option<fs::File>,
}

/// Creates a staging folder.
fn staging(home: &Path, version: VersionNumber) -> io::Result<Staging> {
    const MOST_TRIES: usize = 100;
    let prefix = format!("{STAGING}{version}{}", locked());
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix);
    // Mode 0o777 before the umask, as for any new folder. By default, a temporary folder is closed to other users.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    for _ in 0..MOST_TRIES {
        let dir = builder.tempdir_in(home)?;
        let lock = fs::File::open(dir.path())?;
        let lock = lock.lock().is_ok().then_some(lock);
        // Another process may have removed the folder before it was locked.
        if dir.path().symlink_metadata().is_ok() {
            return Ok(Staging { dir, lock });
        }
    }
    Err(io::Error::other("its staging folder is removed each time"))
}

/// Syncs a folder and everything below it to disk.
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

/// Syncs the names in a folder to disk.
fn sync_folder(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}
