//! The end of the log, where lines are added.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Write as _};
use std::path::{Path, PathBuf};

use super::chain::{Chain, GENESIS};
use super::entry::Entry;
use super::read::{Broken, Line, files, first_sequence, next_line};
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
    file: File,
    /// Bytes of whole lines in the file.
    length: u64,
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
        let options = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&current);
        let file = options.map_err(failed)?;
        let mut log = Self {
            dir: dir.to_owned(),
            settings,
            file,
            length: 0,
            first: 1,
            sequence: 0,
            previous: GENESIS.to_owned(),
            last_revision: 0,
        };
        let mut chain = Chain::default();
        for path in files(dir).map_err(failed)? {
            let is_current = path == current;
            let whole = log.take_in(&path, &mut chain)?;
            if is_current {
                log.length = whole;
                let length = log.file.metadata().map_err(failed)?.len();
                if length > whole {
                    tracing::warn!(
                        bytes = length - whole,
                        "a line of the audit log was cut short by a crash, and is cut off"
                    );
                    log.file
                        .set_len(whole)
                        .and_then(|()| log.file.sync_all())
                        .map_err(failed)?;
                }
            }
        }
        let head = chain.head();
        if head.lines > 0 {
            log.sequence = head.last_sequence;
            log.previous.clone_from(&head.hash);
        }
        if log.length == 0 {
            log.first = log.sequence + 1;
        }
        sync_folder(dir).map_err(failed)?;
        Ok(log)
    }

    /// Holds the lines of one file to the chain; gives the bytes of whole lines.
    fn take_in(&mut self, path: &Path, chain: &mut Chain) -> Result<u64, AuditError> {
        let failed = |source| AuditError::Io {
            path: path.to_owned(),
            source,
        };
        let mut reader = BufReader::new(File::open(path).map_err(failed)?);
        let mut whole = 0;
        for at in 1.. {
            let line = match next_line(&mut reader).map_err(failed)? {
                Line::Whole(line) => line,
                Line::Torn | Line::None => break,
            };
            let parsed = chain.line(&line);
            let parsed = parsed.map_err(|why| Broken {
                file: path.to_owned(),
                line: at,
                why,
            })?;
            if at == 1 {
                self.first = parsed.sequence;
            }
            self.last_revision = self.last_revision.max(parsed.revision.unwrap_or(0));
            whole += line.len() as u64 + 1;
        }
        Ok(whole)
    }

    /// Adds a line; it is on the disk when this returns. Gives its sequence.
    ///
    /// # Errors
    /// The disk refused; the log is as it was.
    pub fn append(&mut self, entry: &Entry) -> Result<u64, AuditError> {
        let current = self.dir.join(CURRENT);
        let failed = |source| AuditError::Io {
            path: current.clone(),
            source,
        };
        let sequence = self.sequence + 1;
        let (line, hash) = entry
            .line(sequence, &self.previous)
            .map_err(|error| failed(error.into()))?;
        let bytes = line.len() as u64;
        if self.length > 0 && self.length + bytes > self.settings.max_bytes {
            self.rotate().map_err(failed)?;
        }
        let written = self
            .file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line would break the chain for the next one.
            let _ = self.file.set_len(self.length);
            return Err(failed(error));
        }
        self.length += bytes;
        self.sequence = sequence;
        self.previous = hash;
        self.last_revision = self.last_revision.max(entry.revision.unwrap_or(0));
        Ok(sequence)
    }

    /// The highest revision that stands in the log; 0 for none. Changes above it that the store holds were made just before
    /// a crash: whoever opens both adds their lines.
    #[must_use]
    pub fn last_revision(&self) -> u64 {
        self.last_revision
    }

    /// Begins a new file, and lets go of the oldest.
    fn rotate(&mut self) -> io::Result<()> {
        let old = self.dir.join(format!("audit-{:012}.jsonl", self.first));
        fs::rename(self.dir.join(CURRENT), old)?;
        self.file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.dir.join(CURRENT))?;
        (self.length, self.first) = (0, self.sequence + 1);
        let kept: Vec<_> = files(&self.dir)?
            .into_iter()
            .filter(|file| first_sequence(file).is_some())
            .collect();
        let surplus = kept.len().saturating_sub(self.settings.keep);
        for file in &kept[..surplus] {
            tracing::info!(file = %file.display(), "an old file of the audit log is removed");
            fs::remove_file(file)?;
        }
        sync_folder(&self.dir)
    }
}

/// Brings the names in a folder to the disk.
fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
