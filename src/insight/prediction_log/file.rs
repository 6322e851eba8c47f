//! The files of the log: one that is written, and full ones beside it, compressed.
//!
//! A full file is renamed to `NAME.000001` and compressed to `NAME.000001.gz` by way of `NAME.000001.part`, so that a crash
//! leaves either the one or the other whole; the next start finishes what it finds.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::time::Instant;

use super::LogSettings;

/// The end of the log. Blocks.
#[derive(Debug)]
pub(super) struct Rotating {
    settings: LogSettings,
    /// None while a new one is still to be made.
    file: Option<File>,
    /// Bytes of whole lines in it.
    length: u64,
    began: Instant,
    /// Whether the last write failed, so that there may be more in the file than whole lines.
    torn: bool,
}

impl Rotating {
    /// Opens the log, or begins one: cuts off a line that a crash has cut short, and compresses what was left.
    pub(super) fn open(settings: LogSettings) -> io::Result<Self> {
        let mut log = Self {
            settings,
            file: None,
            length: 0,
            began: Instant::now(),
            torn: false,
        };
        let file = log.current()?;
        let whole = whole_lines(file)?;
        file.set_len(whole)?;
        log.length = whole;
        log.tidy()?;
        Ok(log)
    }

    /// Whether the last write went well.
    pub(super) fn is_well(&self) -> bool {
        !self.torn
    }

    /// Adds whole lines, in a new file where the old one is full or too old. Without lines it only looks at that.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let longer = self.length + lines.len() as u64;
        let is_full = !lines.is_empty() && longer > self.settings.max_bytes;
        let is_old = self.began.elapsed() >= self.settings.max_age;
        let tried = self.mend().and_then(|()| {
            if self.length > 0 && (is_full || is_old) {
                self.rotate()?;
            }
            if !lines.is_empty() {
                self.current()?.write_all(lines)?;
            }
            Ok(())
        });
        if tried.is_ok() {
            self.length += lines.len() as u64;
        } else {
            self.torn = true;
        }
        tried
    }

    /// Cuts off what is no whole line.
    fn mend(&mut self) -> io::Result<()> {
        if self.torn {
            let length = self.length;
            self.current()?.set_len(length)?;
            self.torn = false;
        }
        Ok(())
    }

    fn current(&mut self) -> io::Result<&mut File> {
        match &mut self.file {
            Some(file) => Ok(file),
            none => {
                let mut options = OpenOptions::new();
                let options = options.read(true).append(true).create(true);
                self.began = Instant::now();
                Ok(none.insert(options.open(&self.settings.path)?))
            }
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        let highest = self.old()?.last().map_or(0, |(number, _)| *number);
        let aside = self.beside(&format!("{:06}", highest + 1));
        fs::rename(&self.settings.path, aside)?;
        (self.file, self.length) = (None, 0);
        // The lines are safe under their new name; the next rotation tries again.
        if let Err(error) = self.tidy() {
            tracing::warn!(%error, "a full file of the prediction log cannot be compressed, or an old one removed");
        }
        Ok(())
    }

    /// Compresses what is not, and removes the oldest.
    fn tidy(&self) -> io::Result<()> {
        let old = self.old()?;
        let surplus = old.len().saturating_sub(self.settings.keep);
        for (at, (number, path)) in old.into_iter().enumerate() {
            if at < surplus {
                fs::remove_file(path)?;
            } else if path.extension().is_none_or(|ending| ending != "gz") {
                let part = self.beside(&format!("{number:06}.part"));
                compress(&path, &part)?;
                fs::rename(part, self.beside(&format!("{number:06}.gz")))?;
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut path = OsString::from(&self.settings.path);
        path.push(".");
        path.push(ending);
        path.into()
    }

    /// Full files by their number, ascending. Half-written ones are removed on the way; where one is there compressed and
    /// not, a crash came between, and the compressed one is whole.
    fn old(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let path = &self.settings.path;
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let mut found = Vec::new();
        for entry in fs::read_dir(dir.unwrap_or(Path::new(".")))? {
            let path = entry?.path();
            let Some(ending) = self.ending(&path) else {
                continue;
            };
            if ending.ends_with(".part") {
                fs::remove_file(path)?;
            } else if let Ok(number) = ending.trim_end_matches(".gz").parse::<u64>() {
                found.push((number, path));
            }
        }
        found.sort();
        let (mut old, mut last): (Vec<(u64, PathBuf)>, Option<u64>) = (Vec::new(), None);
        for (number, path) in found {
            if last == Some(number) {
                // `NAME.000001` comes before `NAME.000001.gz`.
                if let Some((_, plain)) = old.pop() {
                    fs::remove_file(plain)?;
                }
            }
            last = Some(number);
            old.push((number, path));
        }
        Ok(old)
    }

    /// What follows `NAME.` in the name of a file beside the log, where it begins with a digit.
    fn ending(&self, path: &Path) -> Option<String> {
        let name = self.settings.path.file_name()?.to_str()?;
        let rest = path.file_name()?.to_str()?.strip_prefix(name)?;
        let rest = rest.strip_prefix('.')?;
        rest.starts_with(|c: char| c.is_ascii_digit())
            .then(|| rest.to_owned())
    }
}

fn compress(from: &Path, to: &Path) -> io::Result<()> {
    let mut plain = BufReader::new(File::open(from)?);
    let mut packed = GzEncoder::new(File::create(to)?, Compression::fast());
    io::copy(&mut plain, &mut packed)?;
    packed.finish()?.sync_all()
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
