//! The end of the log, where lines are added.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::chain::{Chain, GENESIS};
use super::entry::Entry;
use super::read::{Broken, files, first_sequence, walk};
use super::{AuditError, CURRENT};

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct LogSettings {
    /// Bytes of one file.
    pub max_bytes: u64,
    /// Files that are kept beside the one that is written.
    pub keep: usize,
}

/// The audit log of one state folder. There is one writer: the folder's lock sees to it.
#[derive(Debug)]
pub struct Log {
    dir: PathBuf,
    settings: LogSettings,
    /// The file that is written; none while a new one is still to be made.
    file: Option<File>,
    /// Bytes of whole lines in the file.
    length: u64,
    /// Whether there may be more in the file than whole lines: a write failed, and so did taking it back.
    torn: bool,
    /// Whether there may be more old files than are kept.
    surplus: bool,
    /// Sequence of the first line in the file; that of the next line where it has none.
    first: u64,
    sequence: u64,
    previous: String,
    last_revision: u64,
}

impl Log {
    /// Opens the log in `dir`, or begins one. A last line that a crash has cut short is cut off.
    ///
    /// # Errors
    /// See [`AuditError`]: a log that was changed is not continued.
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
            torn: false,
            surplus: false,
            first: 1,
            sequence: 0,
            previous: GENESIS.to_owned(),
            last_revision: 0,
        };
        let mut chain = Chain::default();
        for path in files(dir).map_err(failed)? {
            log.take_in(&path, &mut chain)?;
        }
        if log.torn {
            tracing::warn!("a line of the audit log was cut short by a crash, and is cut off");
            log.mend().map_err(failed)?;
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

    /// Holds the lines of one file to the chain.
    fn take_in(&mut self, path: &Path, chain: &mut Chain) -> Result<(), Broken> {
        let (mut at, mut whole) = (0, 0);
        let torn = walk(path, chain, |bytes, parsed| {
            at += 1;
            if at == 1 {
                self.first = parsed.sequence;
            }
            let told = parsed.revision.max(parsed.through);
            self.last_revision = self.last_revision.max(told.unwrap_or(0));
            whole += bytes;
        })?;
        if first_sequence(path).is_none() {
            (self.length, self.torn) = (whole, torn > 0);
        } else if torn > 0 {
            return Err(Broken {
                file: path.to_owned(),
                line: at + 1,
                why: "it has no end".to_owned(),
            });
        }
        Ok(())
    }

    /// Adds a line; it is on the disk when this returns. Gives its sequence. Revisions come in growing order.
    ///
    /// # Errors
    /// The disk refused; the log is as it was, and the next call tries anew.
    pub fn append(&mut self, entry: &Entry) -> Result<u64, AuditError> {
        let appended = self.try_append(entry).map_err(|source| AuditError::Io {
            path: self.dir.join(CURRENT),
            source,
        });
        if appended.is_ok() && self.surplus {
            // The line stands, so this is no reason to refuse it; the next file tries again.
            if let Err(error) = self.let_go() {
                tracing::warn!(%error, "old files of the audit log could not be removed");
            }
            self.surplus = false;
        }
        appended
    }

    fn try_append(&mut self, entry: &Entry) -> io::Result<u64> {
        self.mend()?;
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
            // Half a line would break the chain for the next one. Where it cannot be cut off now, it is before the next.
            self.torn = true;
            if let Err(error) = self.mend() {
                tracing::warn!(%error, "half a line of the audit log could not be cut off yet");
            }
            return Err(error);
        }
        self.length += bytes;
        self.sequence = sequence;
        self.previous = hash;
        self.last_revision = self.last_revision.max(entry.revision.unwrap_or(0));
        Ok(sequence)
    }

    /// Cuts off what is no whole line.
    fn mend(&mut self) -> io::Result<()> {
        if let Some(file) = self.file.as_ref().filter(|_| self.torn) {
            file.set_len(self.length)?;
            file.sync_data()?;
        }
        self.torn = false;
        Ok(())
    }

    /// The highest revision that stands in the log, or stood there before old files were removed; 0 for none. Changes above it that the store holds were made just before
    /// a crash: whoever opens both adds their lines.
    #[must_use]
    pub fn last_revision(&self) -> u64 {
        self.last_revision
    }

    /// Puts the full file aside. The new one is made with its first line, and old ones are removed after that: at every
    /// moment the last line stands in some file.
    fn rotate(&mut self) -> io::Result<()> {
        let old = self.dir.join(format!("audit-{:012}.jsonl", self.first));
        if old.exists() {
            let taken = format!("{} is there already: move it elsewhere", old.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, taken));
        }
        fs::rename(self.dir.join(CURRENT), old)?;
        self.file = None;
        (self.length, self.first, self.surplus) = (0, self.sequence + 1, true);
        Ok(())
    }

    /// Removes the oldest files.
    fn let_go(&self) -> io::Result<()> {
        let mut old = files(&self.dir)?;
        old.retain(|file| first_sequence(file).is_some());
        let surplus = old.len().saturating_sub(self.settings.keep);
        for file in &old[..surplus] {
            tracing::info!(file = %file.display(), "an old file of the audit log is removed");
            fs::remove_file(file)?;
        }
        sync_folder(&self.dir)
    }
}

/// The file that is written, made where it is missing; its name is on the disk.
fn current_file(dir: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(dir.join(CURRENT))?;
    sync_folder(dir)?;
    Ok(file)
}

/// Brings the names in a folder to the disk.
fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests;
