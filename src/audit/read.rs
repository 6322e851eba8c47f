//! The files of a log, and their lines.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::CURRENT;
use super::chain::{Chain, Head, Parsed};

/// Longest line that is read: far more than one that [`Log`](super::Log) writes.
const LONGEST: u64 = 1 << 20;

/// The first line that breaks a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit log is broken at line {line} of {}: {why}", .file.display())]
pub struct Broken {
    /// Its file.
    pub file: PathBuf,
    /// Its place in the file, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: String,
}

/// The files of the log in `dir`, oldest first; none where there is no log.
///
/// # Errors
/// The folder cannot be read.
pub fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut old = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if first_sequence(&path).is_some() {
            old.push(path);
        }
    }
    old.sort_by_key(|path| first_sequence(path));
    let current = dir.join(CURRENT);
    if current.exists() {
        old.push(current);
    }
    Ok(old)
}

/// The first sequence in an old file, as its name says.
pub(super) fn first_sequence(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix("audit-")?
        .strip_suffix(".jsonl")?
        .parse()
        .ok()
}

/// Holds all lines of `files`, oldest first, to their chain.
///
/// # Errors
/// The first line that is not what it was, or a file that cannot be read, as its line 0.
pub fn verify(files: &[PathBuf]) -> Result<Head, Broken> {
    verify_each(files, drop)
}

/// As [`verify`], and gives `each` line that held, oldest first.
///
/// # Errors
/// As [`verify`].
pub fn verify_each(files: &[PathBuf], mut each: impl FnMut(Parsed)) -> Result<Head, Broken> {
    let mut chain = Chain::default();
    for file in files {
        let broken = |line, why: String| Broken {
            file: file.clone(),
            line,
            why,
        };
        let opened =
            File::open(file).map_err(|error| broken(0, format!("cannot be read: {error}")))?;
        let mut reader = BufReader::new(opened);
        for at in 1.. {
            match next_line(&mut reader) {
                Ok(Line::Whole(line)) => each(chain.line(&line).map_err(|why| broken(at, why))?),
                Ok(Line::Torn) => {
                    return Err(broken(at, "it has no end: writing it was cut short".into()));
                }
                Ok(Line::None) => break,
                Err(error) => return Err(broken(at, format!("cannot be read: {error}"))),
            }
        }
    }
    Ok(chain.head().clone())
}

/// The lines after `after_sequence`, oldest first, without their line ends. One line is in memory at a time. A last line
/// that is just being written is left out.
///
/// # Errors
/// The folder cannot be read; as an item: a file cannot.
pub fn read(
    dir: &Path,
    after_sequence: u64,
) -> io::Result<impl Iterator<Item = io::Result<String>> + Send + use<>> {
    let files = files(dir)?;
    // A file whose successor begins at or below the wanted line has nothing that is asked for.
    let begin = files
        .iter()
        .rposition(|file| first_sequence(file).is_some_and(|first| first <= after_sequence));
    let files = files.into_iter().skip(begin.unwrap_or(0));
    let lines = files.flat_map(|file| {
        let (mut reader, error) = match File::open(file) {
            Ok(file) => (Some(BufReader::new(file)), None),
            Err(error) => (None, Some(Err(error))),
        };
        error.into_iter().chain(std::iter::from_fn(move || {
            match reader.as_mut().map(next_line)? {
                Ok(Line::Whole(line)) => Some(Ok(line)),
                Ok(Line::Torn | Line::None) => None,
                Err(error) => {
                    reader = None;
                    Some(Err(error))
                }
            }
        }))
    });
    Ok(lines.filter(move |line| {
        line.as_ref()
            .map_or(true, |line| sequence(line) > after_sequence)
    }))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Place {
    sequence: u64,
}

/// A line that does not say its place is given, so that whoever verifies sees it.
fn sequence(line: &str) -> u64 {
    serde_json::from_str::<Place>(line).map_or(u64::MAX, |place| place.sequence)
}

/// What comes next in a file.
pub(super) enum Line {
    /// A line, without its end.
    Whole(String),
    /// A line without an end.
    Torn,
    /// Nothing.
    None,
}

pub(super) fn next_line(reader: &mut impl BufRead) -> io::Result<Line> {
    let mut bytes = Vec::new();
    io::Read::take(&mut *reader, LONGEST).read_until(b'\n', &mut bytes)?;
    match bytes.pop() {
        None => Ok(Line::None),
        Some(b'\n') => {
            let line = String::from_utf8(bytes);
            line.map(Line::Whole)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no UTF-8 text"))
        }
        Some(_) if bytes.len() as u64 + 1 >= LONGEST => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is longer than any line that is written",
        )),
        Some(_) => Ok(Line::Torn),
    }
}
