//! The files of a log, and their lines.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Seek as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::CURRENT;
use super::chain::{Chain, Head, Parsed};

/// Longest line that is read: far more than one that [`Log`](super::Log) writes.
const LONGEST: u64 = 1 << 20;
/// How often the folder is looked at until no file was put aside meanwhile.
const LOOKS: usize = 16;

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
/// The first line that is not what it was, or a file that cannot be read. While a gateway writes, its last line may be there
/// in part.
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
        let mut lines = 0;
        let torn = walk(file, &mut chain, |_, parsed| {
            lines += 1;
            each(parsed);
        })?;
        if torn > 0 {
            return Err(Broken {
                file: file.clone(),
                line: lines + 1,
                why: "it has no end: writing it was cut short".to_owned(),
            });
        }
    }
    Ok(chain.head().clone())
}

/// Holds the lines of one file to the chain, and hands out each with its bytes. Gives the bytes of a last line without an end.
pub(super) fn walk(
    path: &Path,
    chain: &mut Chain,
    mut each: impl FnMut(u64, Parsed),
) -> Result<u64, Broken> {
    let broken = |line, why| Broken {
        file: path.to_owned(),
        line,
        why,
    };
    let unread = |line| move |error: io::Error| broken(line, format!("cannot be read: {error}"));
    let mut reader = BufReader::new(File::open(path).map_err(unread(1))?);
    for at in 1.. {
        let line = match next_line(&mut reader).map_err(unread(at))? {
            Line::Whole(line) => line,
            Line::Torn(bytes) => return Ok(bytes),
            Line::None => break,
        };
        let parsed = chain.line(&line).map_err(|why| broken(at, why))?;
        let named = first_sequence(path).filter(|named| at == 1 && *named != parsed.sequence);
        if let Some(named) = named {
            let got = parsed.sequence;
            let why = format!("got sequence {got}, wants {named} as the file's name says");
            return Err(broken(at, why));
        }
        each(line.len() as u64 + 1, parsed);
    }
    Ok(0)
}

/// The lines after `after_sequence`, oldest first, without their line ends. One line is in memory at a time. It may be read
/// while a gateway writes: a last line that is there in part is left out, and a file that is put aside is read to its end.
///
/// # Errors
/// The folder cannot be read; as the last item: a file cannot.
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
    lines.begin()?;
    Ok(lines)
}

/// Lines from `next` on.
struct Lines {
    dir: PathBuf,
    next: u64,
    reader: Option<BufReader<File>>,
    /// Sequence of the first line of the file that is read.
    first: Option<u64>,
}

impl Lines {
    /// Opens the file that holds `next`, or the oldest where that is gone.
    fn begin(&mut self) -> io::Result<()> {
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
            if let Some(line) = next_whole(reader)? {
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
            // Between the end that was just seen and the new file, the last one may have grown once more.
            if let Some(line) = next_whole(reader)? {
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

/// All files that have a line, oldest first, each with the sequence of its first line.
fn open_all(dir: &Path) -> io::Result<Vec<(u64, BufReader<File>)>> {
    for _ in 0..LOOKS {
        let listed = files(dir)?;
        let opened = open_each(&listed);
        // A file that was put aside in between would be missed, and its lines with it.
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
        let line = next_whole(&mut reader);
        reader.rewind()?;
        if !matches!(line, Ok(None)) {
            // A first line that says no place is come upon last.
            let said = line.ok().flatten().as_deref().and_then(sequence);
            opened.push((first_sequence(path).or(said).unwrap_or(u64::MAX), reader));
        }
    }
    Ok(opened)
}

/// The next line that is there as a whole. One that is not stays to be read.
fn next_whole(reader: &mut BufReader<File>) -> io::Result<Option<String>> {
    match next_line(reader)? {
        Line::Whole(line) => Ok(Some(line)),
        Line::Torn(bytes) => {
            reader.seek_relative(-i64::try_from(bytes).unwrap_or(0))?;
            Ok(None)
        }
        Line::None => Ok(None),
    }
}

#[derive(Deserialize)]
struct Place {
    sequence: u64,
}

/// `None` for a line that does not say its place: it is given, so that whoever verifies sees it.
fn sequence(line: &str) -> Option<u64> {
    let place = serde_json::from_str::<Place>(line).ok()?;
    Some(place.sequence)
}

/// What comes next in a file.
pub(super) enum Line {
    /// A line, without its end.
    Whole(String),
    /// So many bytes without an end.
    Torn(u64),
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
        Some(_) => Ok(Line::Torn(bytes.len() as u64 + 1)),
    }
}
