//! The full files beside the log: named, counted, compressed, and the oldest removed.
//!
//! A full file is called `NAME.000001`, and is compressed to `NAME.000001.gz` by way of `NAME.000001.part`, so that a crash
//! leaves either the one or the other whole; the next start finishes what it finds. Names of any other form are
//! somebody else's, and so is a file that does not begin as a line of the log does: those are left alone.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::file::OWNER_ONLY;

/// Bytes that are compressed between two looks at whether the log is to end.
const BLOCK: usize = 64 << 10;

/// In the order in which a crash may leave two of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Plain,
    Part,
    Packed,
}

/// The full files of one log. Whatever it does, blocks.
#[derive(Clone, Debug)]
pub(super) struct FullFiles {
    log: PathBuf,
    keep: usize,
    /// Held while anybody may write one of them.
    _lock: Arc<File>,
}

impl FullFiles {
    /// Those beside `log`, of which `keep` are kept. `lock` says that they are this gateway's.
    pub(super) fn new(log: &Path, keep: usize, lock: File) -> Self {
        Self {
            log: log.to_owned(),
            keep,
            _lock: Arc::new(lock),
        }
    }

    /// The highest number that is taken; 0: none.
    pub(super) fn highest(&self) -> io::Result<u64> {
        let all = self.all()?;
        Ok(all.last().map_or(0, |(number, ..)| *number))
    }

    /// What the full file of this number is called.
    pub(super) fn name(&self, number: u64) -> PathBuf {
        beside(&self.log, &format!("{number:06}"))
    }

    /// Removes the oldest and compresses what is not, one after the other, until nothing is left to do or the log `ends`.
    pub(super) fn tidy(&self, ends: &AtomicBool) -> io::Result<()> {
        loop {
            let kept = self.sorted_out()?;
            let surplus = kept.len().saturating_sub(self.keep);
            for (_, _, path) in &kept[..surplus] {
                remove(path)?;
            }
            let mut kept = kept[surplus..].iter();
            let Some((number, _, plain)) = kept.find(|(_, form, _)| *form == Form::Plain) else {
                return Ok(());
            };
            let name = |ending| beside(&self.log, &format!("{number:06}.{ending}"));
            let part = name("part");
            if !compress(plain, &part, ends)? {
                return Ok(());
            }
            fs::rename(part, name("gz"))?;
            remove(plain)?;
        }
    }

    /// Full files by their number, ascending. Half-written ones are removed on the way; where one is there compressed and
    /// not, a crash came between, and the compressed one is whole.
    fn sorted_out(&self) -> io::Result<Vec<(u64, Form, PathBuf)>> {
        let mut kept: Vec<(u64, Form, PathBuf)> = Vec::new();
        for (number, form, path) in self.all()? {
            match form {
                Form::Part => remove(&path)?,
                Form::Plain if !is_ours(&path)? => {}
                Form::Plain => kept.push((number, form, path)),
                Form::Packed => {
                    if let Some((_, _, plain)) = kept.pop_if(|(last, ..)| *last == number) {
                        remove(&plain)?;
                    }
                    kept.push((number, form, path));
                }
            }
        }
        Ok(kept)
    }

    /// Everything that is named like one of them, by number and form.
    fn all(&self) -> io::Result<Vec<(u64, Form, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder(&self.log))? {
            let path = entry?.path();
            if let Some((number, form)) = self.reads(&path) {
                found.push((number, form, path));
            }
        }
        found.sort();
        Ok(found)
    }

    /// What the name of a file says of it.
    fn reads(&self, path: &Path) -> Option<(u64, Form)> {
        let log = self.log.file_name()?.to_str()?;
        let rest = path.file_name()?.to_str()?.strip_prefix(log)?;
        let rest = rest.strip_prefix('.')?;
        let (digits, form) = match rest.split_once('.') {
            None => (rest, Form::Plain),
            Some((digits, "part")) => (digits, Form::Part),
            Some((digits, "gz")) => (digits, Form::Packed),
            Some(_) => return None,
        };
        let number = digits.parse::<u64>().ok()?;
        (format!("{number:06}") == digits).then_some((number, form))
    }
}

/// `NAME.ending` beside the log.
pub(super) fn beside(log: &Path, ending: &str) -> PathBuf {
    let mut path = OsString::from(log);
    path.push(".");
    path.push(ending);
    path.into()
}

/// The folder that the log is in.
pub(super) fn folder(log: &Path) -> &Path {
    let dir = log.parent().filter(|dir| !dir.as_os_str().is_empty());
    dir.unwrap_or(Path::new("."))
}

/// Whether a file begins as a line of the log does.
fn is_ours(path: &Path) -> io::Result<bool> {
    Ok(fs::metadata(path)?.is_file() && first_byte(path)? == Some(b'{'))
}

/// The first byte of a file, which tells what it is; `None` where it is empty.
pub(super) fn first_byte(path: &Path) -> io::Result<Option<u8>> {
    let mut first = [0];
    let read = File::open(path)?.read(&mut first)?;
    Ok((read == 1).then_some(first[0]))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        // Somebody was faster.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Whether it came to the end before the log `ends`.
fn compress(from: &Path, to: &Path, ends: &AtomicBool) -> io::Result<bool> {
    let mut plain = File::open(from)?;
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true);
    let part = options.mode(OWNER_ONLY).open(to)?;
    let mut packed = GzEncoder::new(part, Compression::fast());
    let mut block = vec![0; BLOCK];
    while !ends.load(Ordering::Relaxed) {
        let read = plain.read(&mut block)?;
        if read == 0 {
            packed.finish()?.sync_all()?;
            return Ok(true);
        }
        packed.write_all(&block[..read])?;
    }
    Ok(false)
}
