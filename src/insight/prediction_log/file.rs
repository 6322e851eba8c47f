//! The file of the log that is written: opened, looked after, and put aside when it is full or too old.
//!
//! What always holds: there are whole lines in it, but for the last after a crash; what is no prediction log is not touched;
//! one gateway at a time has it. A file that somebody moves or removes is followed by a new one within a second. What becomes
//! of those that were put aside stands in `full.rs`.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use tokio::time::Instant;

use super::full::{FullFiles, beside, first_byte, folder};
use super::{LOOK, LogSettings};

/// Who may read what the log holds of persons: the user the gateway runs as, and nobody else.
pub(super) const OWNER_ONLY: u32 = 0o600;

/// The end of the log. Blocks.
#[derive(Debug)]
pub(super) struct Rotating {
    settings: LogSettings,
    full: FullFiles,
    /// None while a new one is still to be made.
    file: Option<File>,
    /// Bytes of whole lines in it.
    length: u64,
    began: Instant,
    /// When the file was last looked for under its name.
    looked: Instant,
    /// Whether the last write failed, so that there may be more in the file than whole lines.
    torn: bool,
    /// The highest number that was given to a full file.
    last: u64,
    /// Whether one was put aside since somebody asked.
    put_aside: bool,
}

impl Rotating {
    /// Opens the log, or begins one: cuts off a line that a crash has cut short.
    ///
    /// # Errors
    /// It is no prediction log, or another process has it, or it cannot be written.
    pub(super) fn open(settings: LogSettings) -> io::Result<Self> {
        // Before anything is made beside it.
        check(&settings.path).map_err(io::Error::other)?;
        let lock = lock(&settings.path)?;
        let now = Instant::now();
        let mut log = Self {
            full: FullFiles::new(&settings.path, settings.keep, lock),
            settings,
            file: None,
            length: 0,
            began: now,
            looked: now,
            torn: false,
            last: 0,
            put_aside: false,
        };
        log.current()?;
        Ok(log)
    }

    /// What was put aside.
    pub(super) fn full(&self) -> &FullFiles {
        &self.full
    }

    /// Whether the last write went well.
    pub(super) fn is_well(&self) -> bool {
        !self.torn
    }

    /// Whether a file was put aside since this was last asked.
    pub(super) fn has_put_aside(&mut self) -> bool {
        std::mem::take(&mut self.put_aside)
    }

    /// Adds whole lines, in a new file where the old one is full, too old or gone. Without lines it only looks at that.
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
        if self.torn || self.looked.elapsed() >= LOOK {
            self.look()?;
        }
        self.mend()?;
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

    /// Lets go of a file that does not stand under its name any more: what is written there, nobody would find.
    fn look(&mut self) -> io::Result<()> {
        self.looked = Instant::now();
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
            // Somebody may have emptied it.
            self.length = self.length.min(held.len());
        } else {
            tracing::info!("the prediction log was moved or removed: a new one begins");
            (self.file, self.length, self.torn) = (None, 0, false);
        }
        Ok(())
    }

    /// Cuts off what is no whole line.
    fn mend(&mut self) -> io::Result<()> {
        if let Some(file) = self.file.as_ref().filter(|_| self.torn) {
            file.set_len(self.length)?;
        }
        self.torn = false;
        Ok(())
    }

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

    fn rotate(&mut self) -> io::Result<()> {
        self.look()?;
        if self.length == 0 {
            return Ok(());
        }
        let number = self.full.highest()?.max(self.last) + 1;
        match fs::rename(&self.settings.path, self.full.name(number)) {
            Ok(()) => (self.last, self.put_aside) = (number, true),
            // Gone since it was looked at.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        (self.file, self.length) = (None, 0);
        Ok(())
    }
}

/// Whether a prediction log can be at `path`; why not. Touches nothing.
pub(super) fn check(path: &Path) -> Result<(), String> {
    let shown = path.display();
    let dir = folder(path);
    if !dir.is_dir() {
        return Err(format!("{} is not a folder: make it first", dir.display()));
    }
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("{shown} cannot be looked at: {error}")),
        // Opening a pipe would wait for its other end.
        Ok(there) if !there.is_file() => return Err(format!("{shown} is not a file")),
        Ok(_) => {}
    }
    match first_byte(path) {
        Ok(None | Some(b'{')) => Ok(()),
        Ok(Some(_)) => Err(format!(
            "{shown} holds something else than a prediction log, whose lines begin with {{"
        )),
        Err(error) => Err(format!("{shown} cannot be read: {error}")),
    }
}

/// The file at `path`, made where it is missing, without a last line that a crash has cut short; and its bytes.
fn open(path: &Path) -> io::Result<(File, u64)> {
    check(path).map_err(io::Error::other)?;
    let mut options = OpenOptions::new();
    let options = options.read(true).append(true).create(true);
    let mut file = options.mode(OWNER_ONLY).open(path)?;
    let whole = whole_lines(&mut file)?;
    file.set_len(whole)?;
    Ok((file, whole))
}

/// `NAME.lock`, locked until it is dropped; in it is the number of the process that holds it.
fn lock(path: &Path) -> io::Result<File> {
    let path = beside(path, "lock");
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let mut lock = options.mode(OWNER_ONLY).open(&path)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Told or not, it is locked.
            let _ = lock.take(32).read_to_string(&mut holder);
            let told = match holder.trim().parse::<u32>() {
                Ok(holder) => format!("process {holder} has it"),
                Err(_) => "another process has it".to_owned(),
            };
            return Err(io::Error::new(ErrorKind::WouldBlock, told));
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // Who holds it is good to know; on a full disk it is held all the same.
    let told = lock
        .set_len(0)
        .and_then(|()| writeln!(lock, "{}", std::process::id()));
    if let Err(error) = told {
        tracing::warn!(%error, file = %path.display(), "the lock cannot say who holds it");
    }
    Ok(lock)
}

/// Bytes up to the end of the last whole line.
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
