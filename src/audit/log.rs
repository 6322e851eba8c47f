//! Appends lines to the log.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::chain::{Chain, GENESIS};
use super::entry::Entry;
use super::error::AuditError;
use super::read::{Broken, CURRENT, files, first_sequence, walk};

/// How much of the log is kept.
#[derive(Clone, Copy, Debug)]
pub struct LogSettings {
    /// The largest size of a file, in bytes.
    pub max_bytes: u64,
    /// The number of old files that are kept beside the current one.
    pub keep: usize,
}

/// The audit log of one state folder. The lock on the folder ensures that there is only one writer.
#[derive(Debug)]
pub struct Log {
    dir: PathBuf,
    settings: LogSettings,
    /// The current file; `None` after a rotation until the next line is written.
    file: Option<File>,
    /// Bytes of complete lines in the file.
    length: u64,
    /// Whether the file may end with a partial line: a write failed, and the file could not be truncated.
    may_have_partial_line: bool,
    /// Whether there may be more old files than should be kept.
    may_have_surplus_files: bool,
    /// Sequence of the first line in the file, or of the next line if the file is empty.
    first: u64,
    sequence: u64,
    previous: String,
    last_revision: u64,
}

impl Log {
    /// Opens the log in `dir`, or creates one. A partial last line, left by a crash, is removed.
    ///
    /// # Errors
    /// See [`AuditError`]. A log that was tampered with cannot be opened.
    pub fn open(dir: &Path, settings: LogSettings) -> Result<Self, AuditError> {
        let current = dir.join(CURRENT);
        let failed = |source| AuditError::Io {
            path: current.clone(),
            source,
        };
        let file = current_file(dir).map_err(failed)?;
        let mut log = Self {
            dir: dir.to_owned(),
            settings,
            file: Some(file),
            length: 0,
            may_have_partial_line: false,
            may_have_surplus_files: false,
            first: 1,
            sequence: 0,
            previous: GENESIS.to_owned(),
            last_revision: 0,
        };
        let mut chain = Chain::default();
        for path in files(dir).map_err(failed)? {
            log.verify_file(&path, &mut chain)?;
        }
        if log.may_have_partial_line {
            tracing::warn!("removing a partial line of the audit log, left by a crash");
            log.remove_partial_line().map_err(failed)?;
        }
        let head = chain.head();
        if head.lines > 0 {
            log.sequence = head.last_sequence;
            log.previous.clone_from(&head.hash);
        }
        if log.length == 0 {
            log.first = log.sequence + 1;
        }
        Ok(log)
    }

    /// Verifies the lines of one file and continues after them.
    fn verify_file(&mut self, path: &Path, chain: &mut Chain) -> Result<(), Broken> {
        let (mut lines, mut complete_bytes) = (0, 0);
        let partial_bytes = walk(path, chain, |bytes, parsed| {
            lines += 1;
            if lines == 1 {
                self.first = parsed.sequence;
            }
            let revision = parsed.revision.max(parsed.through);
            self.last_revision = self.last_revision.max(revision.unwrap_or(0));
            complete_bytes += bytes;
        })?;
        let is_current = first_sequence(path).is_none();
        if is_current {
            self.length = complete_bytes;
            self.may_have_partial_line = partial_bytes > 0;
        } else if partial_bytes > 0 {
            return Err(Broken {
                file: path.to_owned(),
                line: lines + 1,
                why: "the line has no end".to_owned(),
            });
        }
        Ok(())
    }

    /// Appends a line and returns its sequence. The line is on disk when this returns. Revisions must be appended in ascending order.
    ///
    /// # Errors
    /// Returns an error if the disk fails. The log is unchanged then, and the next call tries again.
    pub fn append(&mut self, entry: &Entry) -> Result<u64, AuditError> {
        let appended = self.try_append(entry).map_err(|source| AuditError::Io {
            path: self.dir.join(CURRENT),
            source,
        });
        if appended.is_ok() && self.may_have_surplus_files {
            // Not an error of this call: the line is written. The next rotation tries again.
            if let Err(error) = self.remove_surplus_files() {
                tracing::warn!(%error, "cannot remove old files of the audit log");
            }
            self.may_have_surplus_files = false;
        }
        appended
    }

    fn try_append(&mut self, entry: &Entry) -> io::Result<u64> {
        self.remove_partial_line()?;
        let sequence = self.sequence + 1;
        let (line, hash) = entry.line(sequence, &self.previous, self.last_revision)?;
        let bytes = line.len() as u64;
        if self.length > 0 && self.length + bytes > self.settings.max_bytes {
            self.rotate()?;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(current_file(&self.dir)?),
        };
        let written = file
            .write_all(line.as_bytes())
            .and_then(|()| file.sync_data());
        if let Err(error) = written {
            // A partial line would break the chain. If it cannot be removed now, the next call removes it first.
            self.may_have_partial_line = true;
            if let Err(error) = self.remove_partial_line() {
                tracing::warn!(%error, "cannot remove a partial line of the audit log yet");
            }
            return Err(error);
        }
        self.length += bytes;
        self.sequence = sequence;
        self.previous = hash;
        self.last_revision = self.last_revision.max(entry.revision.unwrap_or(0));
        Ok(sequence)
    }

    /// Truncates the file to its complete lines, if there may be more.
    fn remove_partial_line(&mut self) -> io::Result<()> {
        if let Some(file) = self.file.as_ref().filter(|_| self.may_have_partial_line) {
            file.set_len(self.length)?;
            file.sync_data()?;
        }
        self.may_have_partial_line = false;
        Ok(())
    }

    /// Returns the highest revision in the log, including files that have been removed; 0 if there is none. If the store has changes
    /// with higher revisions, they were made just before a crash, and the caller must append their lines.
    #[must_use]
    pub fn last_revision(&self) -> u64 {
        self.last_revision
    }

    /// Renames the full file. The new file is created with its first line, and old files are removed after that, so the last line is
    /// always in some file.
    fn rotate(&mut self) -> io::Result<()> {
        let old = self.dir.join(format!("audit-{:012}.jsonl", self.first));
        if old.exists() {
            let message = format!(
                "{} already exists; move it to another folder",
                old.display()
            );
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        fs::rename(self.dir.join(CURRENT), old)?;
        self.file = None;
        (self.length, self.first) = (0, self.sequence + 1);
        self.may_have_surplus_files = true;
        Ok(())
    }

    /// Removes the oldest files.
    fn remove_surplus_files(&self) -> io::Result<()> {
        let mut old = files(&self.dir)?;
        old.retain(|file| first_sequence(file).is_some());
        let surplus = old.len().saturating_sub(self.settings.keep);
        for file in &old[..surplus] {
            tracing::info!(file = %file.display(), "removing an old file of the audit log");
            fs::remove_file(file)?;
        }
        sync_folder(&self.dir)
    }
}

/// Opens the current file, or creates it. Its name is synced to disk.
fn current_file(dir: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(dir.join(CURRENT))?;
    sync_folder(dir)?;
    Ok(file)
}

/// Syncs the names in a folder to disk.
fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests;
