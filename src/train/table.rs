//! Reads CSV files as samples: typed cells, the target, and the time.
//!
//! Every fault names the file, the line and the column. An empty cell is a missing value. So are `NA`, `NaN` and `null` in columns of
//! numbers and booleans.

use std::fmt::Display;
use std::io::Read;
use std::path::Path;

use data_encoding::HEXLOWER;
use flate2::read::MultiGzDecoder;
use jiff::civil::{Date, DateTime};
use sha2::{Digest, Sha256};

use super::spec::{Feature, Spec};
use crate::faults::Faults;
use crate::model::payload::{Cell, Datatype, Row};
use crate::text::ellipsize;

/// One row of a file.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Its line in the file, for messages.
    pub(super) line: u64,
    /// Its time, if the spec names a date column.
    pub(super) when: Option<DateTime>,
    /// The index of the class, or the value of a regression. Finite.
    pub(super) target: f64,
    /// One cell per feature of the spec, in the same order.
    pub(super) cells: Row,
}

/// The samples of a file and the digest of the file.
#[derive(Debug)]
pub(super) struct Table {
    /// In order of time; samples with equal times in the order of the file.
    pub(super) samples: Vec<Sample>,
    /// SHA-256 digest of the file on disk, in hexadecimal.
    pub(super) sha256: String,
}

/// Reads `file` and keeps the rows of the days `from` to `to`, both included.
pub(super) fn read(
    file: &Path,
    spec: &Spec,
    from: Option<Date>,
    to: Option<Date>,
) -> Result<Table, Faults> {
    let bytes = std::fs::read(file)
        .map_err(|error| Faults::one(file, format!("cannot be read: {error}")))?;
    let sha256 = HEXLOWER.encode(&Sha256::digest(&bytes));
    let packed = file.extension().is_some_and(|extension| extension == "gz");
    let mut samples = if packed {
        samples(MultiGzDecoder::new(bytes.as_slice()), file, spec)?
    } else {
        samples(bytes.as_slice(), file, spec)?
    };
    samples.retain(|sample| {
        let day = sample.when.map(DateTime::date);
        day.is_none_or(|day| from.is_none_or(|from| from <= day) && to.is_none_or(|to| day <= to))
    });
    samples.sort_by_key(|sample| sample.when);
    Ok(Table { samples, sha256 })
}

fn samples(source: impl Read, file: &Path, spec: &Spec) -> Result<Vec<Sample>, Faults> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(source);
    let header = reader
        .headers()
        .map_err(|error| invalid(file, &error))?
        .clone();
    if header.iter().all(str::is_empty) {
        let message = "has no header, wants the names of the columns in the first line";
        return Err(Faults::one(file, message));
    }
    let places = Places::find(&header, file, spec)?;
    let mut samples = Vec::new();
    let mut faults = Faults::default();
    for record in reader.records() {
        match record {
            Ok(record) => samples.extend(sample(&record, &places, file, spec, &mut faults)),
            Err(error) => {
                faults.extend(invalid(file, &error));
                break;
            }
        }
    }
    faults.into_result()?;
    Ok(samples)
}

/// Index of each needed column.
struct Places {
    features: Vec<usize>,
    target: usize,
    date: Option<usize>,
}

impl Places {
    fn find(header: &csv::StringRecord, file: &Path, spec: &Spec) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let mut place = |column: &str| {
            let mut found = header
                .iter()
                .enumerate()
                .filter(|(_, name)| *name == column);
            let (first, second) = (found.next(), found.next());
            if first.is_none() {
                let columns = header.iter().collect::<Vec<_>>().join(", ");
                let message = format!("no such column; the file has {columns}");
                faults.add(file, format!("column `{column}`"), message);
            } else if second.is_some() {
                faults.add(file, format!("column `{column}`"), "is repeated");
            }
            first.map_or(0, |(at, _)| at)
        };
        let places = Self {
            features: spec.features.iter().map(|f| place(&f.column)).collect(),
            target: place(&spec.target.column),
            date: spec.data.date.as_deref().map(place),
        };
        faults.into_result()?;
        Ok(places)
    }
}

/// Reads one line. Returns `None` if it has a fault.
fn sample(
    record: &csv::StringRecord,
    places: &Places,
    file: &Path,
    spec: &Spec,
    faults: &mut Faults,
) -> Option<Sample> {
    let line = record.position().map_or(0, csv::Position::line);
    let mut fault = |column: &str, got: &dyn Display, wanted: &str| {
        faults.add(
            file,
            place(line, column),
            format!("got {got}, wants {wanted}"),
        );
    };
    let text = |at: usize| record.get(at).unwrap_or_default();
    let mut cells_are_valid = true;

    let cell = |(feature, at): (&Feature, &usize)| {
        let cell = cell(feature.datatype, text(*at)).unwrap_or_else(|wanted| {
            let shown = if feature.sensitive.is_sensitive() {
                "a value that is not shown"
            } else {
                text(*at)
            };
            fault(&feature.column, &quoted(shown), wanted);
            cells_are_valid = false;
            Cell::Missing
        });
        (feature.name.clone(), cell)
    };
    let cells = spec
        .features
        .iter()
        .zip(&places.features)
        .map(cell)
        .collect();

    let raw = text(places.target);
    let target = if spec.target.classes.is_empty() {
        let number = raw.parse::<f64>().ok().filter(|x| x.is_finite());
        number.ok_or_else(|| String::from("a number"))
    } else {
        let class = spec.target.values.iter().position(|value| value == raw);
        let wanted = || format!("one of {}", spec.target.values.join(", "));
        class.map(index).ok_or_else(wanted)
    };
    let target = target.map_err(|wanted| fault(&spec.target.column, &quoted(raw), &wanted));

    let when = match (places.date, spec.data.date.as_deref()) {
        (Some(at), Some(column)) => {
            let when = text(at).parse::<DateTime>();
            let wanted = "a date or a time such as 2013-01-31 or 2013-01-31T14:05";
            Some(when.map_err(|_| fault(column, &quoted(text(at)), wanted)))
        }
        _ => None,
    };
    Some(Sample {
        line,
        when: when.transpose().ok()?,
        target: target.ok().filter(|_| cells_are_valid)?,
        cells,
    })
}

/// Returns `text` as a cell of `datatype`, or a description of what was expected.
fn cell(datatype: Datatype, text: &str) -> Result<Cell, &'static str> {
    let gap = ["na", "nan", "null"]
        .iter()
        .any(|gap| text.eq_ignore_ascii_case(gap));
    if text.is_empty() || (gap && datatype != Datatype::Bytes) {
        return Ok(Cell::Missing);
    }
    match datatype {
        Datatype::Bytes => Ok(Cell::Text(text.into())),
        Datatype::Bool => match text {
            "1" | "true" | "True" | "TRUE" => Ok(Cell::Bool(true)),
            "0" | "false" | "False" | "FALSE" => Ok(Cell::Bool(false)),
            _ => Err("true, false, 1 or 0"),
        },
        _ if datatype.is_float() => match text.parse::<f64>() {
            Ok(x) if x.is_finite() => Ok(Cell::Number(x)),
            _ => Err("a finite number"),
        },
        _ => {
            let (least, most) = match datatype {
                Datatype::Int8 => (i8::MIN.into(), i8::MAX.into()),
                Datatype::Int16 => (i16::MIN.into(), i16::MAX.into()),
                Datatype::Int32 => (-i64::from(i32::MAX), i32::MAX.into()),
                Datatype::Uint8 => (0, u8::MAX.into()),
                Datatype::Uint16 => (0, u16::MAX.into()),
                Datatype::Uint32 => (0, u32::MAX.into()),
                Datatype::Uint64 => (0, EXACT),
                _ => (-EXACT, EXACT),
            };
            match text.parse::<i64>() {
                Ok(x) if (least..=most).contains(&x) => Ok(Cell::Number(whole(x))),
                _ => Err("a whole number"),
            }
        }
    }
}

/// Up to this integer, f64 represents every integer exactly.
const EXACT: i64 = 1 << 53;

#[expect(
    clippy::cast_precision_loss,
    reason = "within EXACT, where f64 represents every integer"
)]
fn whole(x: i64) -> f64 {
    x as f64
}

#[expect(clippy::cast_precision_loss, reason = "classes are few")]
fn index(class: usize) -> f64 {
    class as f64
}

/// Returns the place of a value: ``line 3, column `temp` ``.
pub(super) fn place(line: u64, column: &str) -> String {
    format!("line {line}, column `{column}`")
}

/// Returns `text` in quotes, shortened to fit one line.
fn quoted(text: &str) -> String {
    format!("\"{}\"", ellipsize(text, 64))
}

/// Returns the fault of a file that is not valid CSV.
fn invalid(file: &Path, error: &csv::Error) -> Faults {
    let place = error
        .position()
        .map_or_else(String::new, |at| format!("line {}", at.line()));
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            format!("got {len} values, wants {expected_len}, like the header")
        }
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8 text".into(),
        csv::ErrorKind::Io(error) => format!("cannot be read: {error}"),
        _ => error.to_string(),
    };
    let mut faults = Faults::default();
    faults.add(file, place, message);
    faults
}

#[cfg(test)]
mod tests;
