//! Reads and verifies the files of a log.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Seek as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::chain::{Chain, Head, ParsedLine};

/// Name of the current file.
pub(super) const CURRENT: &str = "audit.jsonl";

/// The longest line that is read, in bytes: far more than [`Log`](super::Log) writes.
const MAX_LINE_BYTES: u64 = 1 << 20;
/// How often the folder is listed until no rotation happened meanwhile.
const MAX_LISTINGS: usize = 16;

/// The first line that breaks a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit log is broken at line {line} of {}: {why}", .file.display())]
pub struct Broken {
    /// The file.
    pub file: PathBuf,
    /// Number of the line in the file, from 1.
    pub line: u64,
    /// The fault of the line.
    pub why: String,
}

/// Returns the files of the log in `dir`, oldest first; empty if there is no log.
///
/// # Errors
/// Returns an error if the folder cannot be read.
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

/// Returns the first sequence of an old file, from its name.
pub(super) fn first_sequence(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix("audit-")?
        .strip_suffix(".jsonl")?
        .parse()
        .ok()
}

/// Verifies all lines of `files`, oldest first.
///
/// # Errors
/// Returns the first invalid line, or an error if a file cannot be read. While a gateway writes, the last line may be partial.
pub fn verify(files: &[PathBuf]) -> Result<Head, Broken> {
    verify_each(files, drop)
}

/// Verifies all lines of `files`, oldest first, and passes each valid line to `each`.
///
/// # Errors
/// Returns the errors of [`verify`].
pub fn verify_each(files: &[PathBuf], mut each: impl FnMut(ParsedLine)) -> Result<Head, Broken> {
    let mut chain = Chain::default();
    for file in files {
        let mut lines = 0;
        let partial_bytes = walk(file, &mut chain, |_, parsed| {
            lines += 1;
            each(parsed);
        })?;
        if partial_bytes > 0 {
            return Err(Broken {
                file: file.clone(),
                line: lines + 1,
                why: "the line has no end: it was not written completely".to_owned(),
            });
        }
    }
    Ok(chain.head().clone())
}

/// Verifies the lines of one file and passes each, with its size in bytes, to `each`. Returns the bytes of a partial last line.
pub(super) fn walk(
    path: &Path,
    chain: &mut Chain,
    mut each: impl FnMut(u64, ParsedLine),
) -> Result<u64, Broken> {
    let broken = |line, why| Broken {
        file: path.to_owned(),
        line,
        why,
    };
    let unreadable =
        |line| move |error: io::Error| broken(line, format!("cannot be read: {error}"));
    let mut reader = BufReader::new(File::open(path).map_err(unreadable(1))?);
    for at in 1.. {
        let line = match next_line(&mut reader).map_err(unreadable(at))? {
            Line::Complete(line) => line,
            Line::Partial(bytes) => return Ok(bytes),
            Line::None => break,
        };
        let parsed = chain.line(&line).map_err(|why| broken(at, why))?;
        let named = first_sequence(path).filter(|named| at == 1 && *named != parsed.sequence);
        if let Some(named) = named {
            let got = parsed.sequence;
            let why = format!("got sequence {got}, wants {named}, as in the name of the file");
            return Err(broken(at, why));
        }
        each(line.len() as u64 + 1, parsed);
    }
    Ok(0)
}

/// Returns the lines after `after_sequence`, oldest first, without their line ends. Only one line is in memory at a time.
///
/// The log may be read while a gateway writes: a partial last line is left out, and a file that is renamed by a rotation is read to its
/// end.
///
/// # Errors
/// Returns an error if the folder cannot be read. If a file cannot be read, the last item is an error.
pub fn read(
    dir: &Path,
    after_sequence: u64,
) -> io::Result<impl Iterator<Item = io::Result<String>> + Send + use<>> {
    let mut lines = Lines {
        dir: dir.to_owned(),
        next: after_sequence.saturating_add(1),
        reader: None,
        first: None,
    };
    lines.open_first()?;
    Ok(lines)
}

/// Iterates over the lines from sequence `next` on.
struct Lines {
    dir: PathBuf,
    next: u64,
    reader: Option<BufReader<File>>,
    /// Sequence of the first line of the current file.
    first: Option<u64>,
}

impl Lines {
    /// Opens the file that contains `next`, or the oldest file if that one was removed.
    fn open_first(&mut self) -> io::Result<()> {
        let opened = open_all(&self.dir)?;
        let at = opened.iter().rposition(|(first, _)| *first <= self.next);
        if let Some((first, reader)) = opened.into_iter().nth(at.unwrap_or(0)) {
            (self.first, self.reader) = (Some(first), Some(reader));
        }
        Ok(())
    }

    fn try_next(&mut self) -> io::Result<Option<String>> {
        loop {
            let Some(reader) = &mut self.reader else {
                return Ok(None);
            };
            if let Some(line) = next_complete(reader)? {
                if let Some(sequence) = sequence(&line) {
                    if sequence < self.next {
                        continue;
                    }
                    self.next = sequence.saturating_add(1);
                }
                return Ok(Some(line));
            }
            let mut later = open_all(&self.dir)?;
            later.retain(|(first, _)| Some(*first) > self.first);
            if later.is_empty() {
                self.reader = None;
                return Ok(None);
            }
            // The current file may have grown after its end was read and before the rotation.
            if let Some(line) = next_complete(reader)? {
                self.next =
                    sequence(&line).map_or(self.next, |sequence| sequence.saturating_add(1));
                return Ok(Some(line));
            }
            let (first, reader) = later.swap_remove(0);
            (self.first, self.reader) = (Some(first), Some(reader));
        }
    }
}

impl Iterator for Lines {
    type Item = io::Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.try_next();
        if next.is_err() {
            self.reader = None;
        }
        next.transpose()
    }
}

/// Opens all files that have a line, oldest first, each with the sequence of its first line.
fn open_all(dir: &Path) -> io::Result<Vec<(u64, BufReader<File>)>> {
    for _ in 0..MAX_LISTINGS {
        let listed = files(dir)?;
        let opened = open_each(&listed);
        // A file that was renamed in between would be missing, with its lines.
        if files(dir)? == listed {
            return opened;
        }
    }
    Err(io::Error::other(
        "the files of the audit log change faster than they can be opened",
    ))
}

fn open_each(listed: &[PathBuf]) -> io::Result<Vec<(u64, BufReader<File>)>> {
    let mut opened = Vec::new();
    for path in listed {
        let mut reader = BufReader::new(File::open(path)?);
        let line = next_complete(&mut reader);
        reader.rewind()?;
        if !matches!(line, Ok(None)) {
            // A file without a valid sequence sorts last.
            let in_line = line.ok().flatten().as_deref().and_then(sequence);
            let first = first_sequence(path).or(in_line).unwrap_or(u64::MAX);
            opened.push((first, reader));
        }
    }
    Ok(opened)
}

/// Reads the next complete line. A partial line is not consumed.
fn next_complete(reader: &mut BufReader<File>) -> io::Result<Option<String>> {
    match next_line(reader)? {
        Line::Complete(line) => Ok(Some(line)),
        Line::Partial(bytes) => {
            reader.seek_relative(-i64::try_from(bytes).unwrap_or(0))?;
            Ok(None)
        }
        Line::None => Ok(None),
    }
}

#[derive(Deserialize)]
struct SequenceOnly {
    sequence: u64,
}

/// Returns the sequence of a line. A line without one is still returned by [`read`], so that verification can report it.
fn sequence(line: &str) -> Option<u64> {
    let parsed = serde_json::from_str::<SequenceOnly>(line).ok()?;
    Some(parsed.sequence)
}

/// The next part of a file.
pub(super) enum Line {
    /// A line, without its line end.
    Complete(String),
    /// The number of bytes without a line end.
    Partial(u64),
    /// The end of the file.
    None,
}

pub(super) fn next_line(reader: &mut impl BufRead) -> io::Result<Line> {
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut bytes = Vec::new();
    io::Read::take(&mut *reader, MAX_LINE_BYTES).read_until(b'\n', &mut bytes)?;
    match bytes.pop() {
        None => Ok(Line::None),
        Some(b'\n') => String::from_utf8(bytes)
            .map(Line::Complete)
            .map_err(|_| invalid("the line is not UTF-8")),
        Some(_) if bytes.len() as u64 + 1 >= MAX_LINE_BYTES => {
            Err(invalid("the line is longer than any that taper writes"))
        }
        Some(_) => Ok(Line::Partial(bytes.len() as u64 + 1)),
    }
}
