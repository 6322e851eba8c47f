//! The file that is written: opened, checked, and renamed when it is full or too old.
//!
//! Invariants:
//! * It contains whole lines, except for the last one after a crash.
//! * A file that is not a prediction log is not changed.
//! * One gateway at a time uses it.
//! * If it is moved or removed, a new one begins within a second.
//!
//! Not here: what happens to the renamed files ([`full_files`](super::full_files)).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::full_files::FullFiles;
use super::paths::{OWNER_ONLY, check, sibling};
use super::settings::LogSettings;

/// How often the file is checked for being too old, moved or removed.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The file that is written. Its methods block.
#[derive(Debug)]
pub(super) struct LogFile {
    settings: LogSettings,
    full: FullFiles,
    /// `None` until the next line is written, which creates the file.
    file: Option<File>,
    /// Bytes of whole lines in the file.
    length: u64,
    /// When the file was opened.
    began: Instant,
    /// When the file was last checked for being moved or removed.
    checked: Instant,
    /// Whether the last write failed, so that the file may end in a part of a line.
    torn: bool,
    /// The highest number that was given to a full file.
    last: u64,
    /// Whether a file became full since the last [`take_rotated`](Self::take_rotated).
    rotated: bool,
}

impl LogFile {
    /// Opens or creates the log, and removes a part of a line that a crash left at its end.
    ///
    /// # Errors
    /// Returns an error if the file is not a prediction log, is used by another process or cannot be written.
    pub(super) fn open(settings: LogSettings) -> io::Result<Self> {
        // The check comes first, so that no lock file is created next to a file of another kind.
        check(&settings.path).map_err(io::Error::other)?;
        let lock = lock(&settings.path)?;
        let now = Instant::now();
        let mut log = Self {
            full: FullFiles::new(&settings.path, settings.keep, lock),
            settings,
            file: None,
            length: 0,
            began: now,
            checked: now,
            torn: false,
            last: 0,
            rotated: false,
        };
        log.current()?;
        Ok(log)
    }

    /// Returns the full files.
    pub(super) fn full(&self) -> &FullFiles {
        &self.full
    }

    /// Returns whether the last write succeeded.
    pub(super) fn is_well(&self) -> bool {
        !self.torn
    }

    /// Returns whether a file became full since the last call.
    pub(super) fn take_rotated(&mut self) -> bool {
        std::mem::take(&mut self.rotated)
    }

    /// Writes whole lines, to a new file if the old one is full, too old or gone. Without lines it only checks the file.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let tried = self.try_write(lines);
        if tried.is_ok() {
            self.length += lines.len() as u64;
        } else {
            self.torn = true;
        }
        tried
    }

    fn try_write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.torn || self.checked.elapsed() >= CHECK_INTERVAL {
            self.check_path()?;
        }
        self.repair()?;
        if !lines.is_empty() {
            self.current()?;
        }
        let longer = self.length + lines.len() as u64;
        let is_full = !lines.is_empty() && longer > self.settings.max_bytes;
        let is_old = self.began.elapsed() >= self.settings.max_age;
        if self.length > 0 && (is_full || is_old) {
            self.rotate()?;
        }
        if !lines.is_empty() {
            self.current()?.write_all(lines)?;
        }
        Ok(())
    }

    /// Closes the file if it was moved or removed: lines written to it would be lost.
    fn check_path(&mut self) -> io::Result<()> {
        self.checked = Instant::now();
        let Some(file) = &self.file else {
            return Ok(());
        };
        let held = file.metadata()?;
        let is_there = match fs::metadata(&self.settings.path) {
            Ok(there) => (there.dev(), there.ino()) == (held.dev(), held.ino()),
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if is_there {
            // Another process may have truncated it.
            self.length = self.length.min(held.len());
        } else {
            tracing::info!("the prediction log was moved or removed; a new file begins");
            (self.file, self.length, self.torn) = (None, 0, false);
        }
        Ok(())
    }

    /// Removes a part of a line at the end of the file.
    fn repair(&mut self) -> io::Result<()> {
        if let Some(file) = self.file.as_ref().filter(|_| self.torn) {
            file.set_len(self.length)?;
        }
        self.torn = false;
        Ok(())
    }

    /// Returns the file, and opens or creates it if necessary.
    fn current(&mut self) -> io::Result<&mut File> {
        match &mut self.file {
            Some(file) => Ok(file),
            none => {
                let (file, length) = open(&self.settings.path)?;
                self.length = length;
                self.began = Instant::now();
                Ok(none.insert(file))
            }
        }
    }

    /// Gives the file the next number of a full file.
    fn rotate(&mut self) -> io::Result<()> {
        self.check_path()?;
        if self.length == 0 {
            return Ok(());
        }
        let number = self.full.highest()?.max(self.last) + 1;
        match fs::rename(&self.settings.path, self.full.name(number)) {
            Ok(()) => (self.last, self.rotated) = (number, true),
            // It was removed after the check.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        (self.file, self.length) = (None, 0);
        Ok(())
    }
}

/// Opens or creates the file at `path`, and removes a part of a line that a crash left at its end. Returns the file and its length.
fn open(path: &Path) -> io::Result<(File, u64)> {
    check(path).map_err(io::Error::other)?;
    let mut options = OpenOptions::new();
    let options = options.read(true).append(true).create(true);
    let mut file = options.mode(OWNER_ONLY).open(path)?;
    let whole = whole_lines(&mut file)?;
    file.set_len(whole)?;
    Ok((file, whole))
}

/// Locks `NAME.lock` until the returned file is dropped, and writes the id of this process to it.
fn lock(path: &Path) -> io::Result<File> {
    let path = sibling(path, "lock");
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let mut lock = options.mode(OWNER_ONLY).open(&path)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(locked(lock)),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // The id helps to find the holder. The lock is valid without it, for example on a full disk.
    let written = lock
        .set_len(0)
        .and_then(|()| writeln!(lock, "{}", std::process::id()));
    if let Err(error) = written {
        tracing::warn!(%error, file = %path.display(), "writing the process id to the lock file failed; the lock itself is held");
    }
    Ok(lock)
}

/// Returns the error that names the holder of `lock`.
fn locked(lock: File) -> io::Error {
    let mut holder = String::new();
    // If the holder cannot be read, the message does not name it.
    let _ = lock.take(32).read_to_string(&mut holder);
    let message = match holder.trim().parse::<u32>() {
        Ok(holder) => format!("process {holder} is writing to it"),
        Err(_) => "another process is writing to it".to_owned(),
    };
    io::Error::new(ErrorKind::WouldBlock, message)
}

/// Returns the number of bytes up to the end of the last whole line.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut block = vec![0; 64 << 10];
    while end > 0 {
        let begin = end.saturating_sub(block.len() as u64);
        let length = usize::try_from(end - begin).map_err(|_| ErrorKind::InvalidData)?;
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(&mut block[..length])?;
        if let Some(at) = block[..length].iter().rposition(|byte| *byte == b'\n') {
            return Ok(begin + at as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}
