//! The full files next to the log: numbered, compressed, and the oldest removed.
//!
//! A full file is called `NAME.000001`. It is compressed to `NAME.000001.part`, which then becomes `NAME.000001.gz`. So a crash leaves
//! at least one of them complete, and the next start finishes the work. Files with names of any other form, and files that do not begin
//! as a line of the log does, belong to others and are not changed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::paths::{FIRST_BYTE, OWNER_ONLY, first_byte, sibling};
use crate::model::folder_of;

/// Bytes that are compressed between two checks for the end of the log.
const BLOCK: usize = 64 << 10;

/// The form of a full file. A crash may leave two forms of one number: an earlier and a later one in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    /// Not compressed.
    Plain,
    /// Partly compressed.
    Part,
    /// Compressed.
    Compressed,
}

/// The full files of one log. The methods block.
#[derive(Clone, Debug)]
pub(super) struct FullFiles {
    log: PathBuf,
    keep: usize,
    /// Held while any clone of this value may write.
    _lock: Arc<File>,
}

impl FullFiles {
    /// Returns the files next to `log`, of which `keep` are kept. `lock` proves that this gateway may change them.
    pub(super) fn new(log: &Path, keep: usize, lock: File) -> Self {
        Self {
            log: log.to_owned(),
            keep,
            _lock: Arc::new(lock),
        }
    }

    /// Returns the highest number in use, or 0.
    pub(super) fn highest(&self) -> io::Result<u64> {
        let all = self.all()?;
        Ok(all.last().map_or(0, |(number, ..)| *number))
    }

    /// Returns the name of the full file with this number.
    pub(super) fn name(&self, number: u64) -> PathBuf {
        sibling(&self.log, &format!("{number:06}"))
    }

    /// Removes the oldest files and compresses the others one after another, until all is done or `ending` is set.
    pub(super) fn tidy(&self, ending: &AtomicBool) -> io::Result<()> {
        loop {
            let complete = self.complete()?;
            let surplus = complete.len().saturating_sub(self.keep);
            for (_, _, path) in &complete[..surplus] {
                remove(path)?;
            }
            let mut kept = complete[surplus..].iter();
            let Some((number, _, plain)) = kept.find(|(_, form, _)| *form == Form::Plain) else {
                return Ok(());
            };
            let name = |suffix| sibling(&self.log, &format!("{number:06}.{suffix}"));
            let part = name("part");
            if !compress(plain, &part, ending)? {
                return Ok(());
            }
            fs::rename(part, name("gz"))?;
            remove(plain)?;
        }
    }

    /// Returns the complete full files by number, ascending. Removes partly compressed files. If a crash left a file both plain and
    /// compressed, the compressed one is complete, and this removes the other.
    fn complete(&self) -> io::Result<Vec<(u64, Form, PathBuf)>> {
        let mut complete: Vec<(u64, Form, PathBuf)> = Vec::new();
        for (number, form, path) in self.all()? {
            match form {
                Form::Part => remove(&path)?,
                Form::Plain if !is_log(&path)? => {}
                Form::Plain => complete.push((number, form, path)),
                Form::Compressed => {
                    if let Some((_, _, plain)) = complete.pop_if(|(last, ..)| *last == number) {
                        remove(&plain)?;
                    }
                    complete.push((number, form, path));
                }
            }
        }
        Ok(complete)
    }

    /// Returns all files with names of full files, by number and form.
    fn all(&self) -> io::Result<Vec<(u64, Form, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder_of(&self.log))? {
            let path = entry?.path();
            if let Some((number, form)) = self.parse(&path) {
                found.push((number, form, path));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Returns the number and form in the name of a file, or `None` if it is not the name of a full file.
    fn parse(&self, path: &Path) -> Option<(u64, Form)> {
        let log = self.log.file_name()?.to_str()?;
        let rest = path.file_name()?.to_str()?.strip_prefix(log)?;
        let ending = rest.strip_prefix('.')?;
        let (digits, form) = match ending.split_once('.') {
            None => (ending, Form::Plain),
            Some((digits, "part")) => (digits, Form::Part),
            Some((digits, "gz")) => (digits, Form::Compressed),
            Some(_) => return None,
        };
        let number = digits.parse::<u64>().ok()?;
        (format!("{number:06}") == digits).then_some((number, form))
    }
}

/// Returns whether a file begins as a line of the log does.
fn is_log(path: &Path) -> io::Result<bool> {
    Ok(fs::metadata(path)?.is_file() && first_byte(path)? == Some(FIRST_BYTE))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        // Another process has removed it.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Compresses a file, and returns whether it finished before `ending` was set.
fn compress(from: &Path, to: &Path, ending: &AtomicBool) -> io::Result<bool> {
    let mut plain = File::open(from)?;
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true);
    let part = options.mode(OWNER_ONLY).open(to)?;
    let mut compressed = GzEncoder::new(part, Compression::fast());
    let mut block = vec![0; BLOCK];
    while !ending.load(Ordering::Relaxed) {
        let read = plain.read(&mut block)?;
        if read == 0 {
            compressed.finish()?.sync_all()?;
            return Ok(true);
        }
        compressed.write_all(&block[..read])?;
    }
    Ok(false)
}
