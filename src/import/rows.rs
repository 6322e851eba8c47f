//! Reads rows for a signature: CSV with a header, JSON lines, or a numpy archive.

use std::fs;
use std::path::Path;

use super::few::FewFaults;
use crate::faults::Faults;
use crate::model::payload::{Cell, Datatype, Row, Tensor};
use crate::model::{Input, Signature, npz};
use crate::text::without_bom;

/// The most rows that are read.
const MAX_ROWS: usize = 1_000_000;
/// Names of inputs that a message lists.
const MOST_NAMES: usize = 8;

/// Reads the rows of a file, at least one.
///
/// # Errors
/// Returns the first lines with a fault.
pub(super) fn read(file: &Path, signature: &Signature) -> Result<Vec<Row>, Faults> {
    let bytes = fs::read(file);
    let bytes = bytes.map_err(|error| Faults::one(file, format!("cannot be read: {error}")))?;
    let bytes = without_bom(&bytes);
    require_text_or_npz(file, bytes)?;
    let rows = if npz::recognises(bytes) {
        let tensors = npz::read(bytes).map_err(|why| Faults::one(file, why))?;
        of_tensors(&tensors, signature).map_err(|why| Faults::one(file, why))
    } else if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{') {
        of_lines(file, bytes)
    } else {
        of_csv(file, bytes, signature)
    }?;
    match rows.len() {
        0 => Err(Faults::one(file, "has no rows")),
        count if count > MAX_ROWS => {
            let why = format!("has {count} rows, expected at most {MAX_ROWS}");
            Err(Faults::one(file, why))
        }
        _ => Ok(rows),
    }
}

/// Returns an error if a file is neither a numpy archive nor text.
pub(super) fn require_text_or_npz(file: &Path, bytes: &[u8]) -> Result<(), Faults> {
    if npz::recognises(bytes) || std::str::from_utf8(bytes).is_ok() {
        return Ok(());
    }
    let why = "is neither text nor a numpy archive; expected CSV with a header, JSON lines or npz";
    Err(Faults::one(file, why))
}

/// Describes a line that is not JSON.
pub(super) fn not_json(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(what, _)| what);
    format!("is not JSON: {what} at column {}", error.column())
}

/// Returns a note about the inputs that no row names, which count as missing.
///
/// # Errors
/// Returns an error if the rows name no input at all: they belong to another model.
pub(super) fn absent_inputs(
    file: &Path,
    signature: &Signature,
    rows: &[Row],
) -> Result<Option<String>, Faults> {
    let is_named = |input: &Input| {
        rows.iter()
            .any(|row| row.iter().any(|(name, _)| *name == input.name))
    };
    let inputs = signature.inputs().iter();
    let absent: Vec<_> = inputs
        .filter(|input| !is_named(input))
        .map(|input| input.name.as_str())
        .collect();
    if absent.is_empty() {
        return Ok(None);
    }
    let names = list(&absent);
    if absent.len() == signature.inputs().len() {
        return Err(Faults::one(
            file,
            format!("has no values for the inputs of the model: {names}"),
        ));
    }
    Ok(Some(format!(
        "The rows have no values for {names}: missing in every row."
    )))
}

/// Returns the first names as a list.
fn list(names: &[&str]) -> String {
    let listed = names
        .iter()
        .take(MOST_NAMES)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().checked_sub(MOST_NAMES) {
        Some(more @ 1..) => format!("{listed} and {more} more"),
        _ => listed,
    }
}

/// Reads JSON lines: one object with a value for each input per line.
fn of_lines(file: &Path, bytes: &[u8]) -> Result<Vec<Row>, Faults> {
    let mut rows = Vec::new();
    let mut faults = FewFaults::of(file);
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let parsed: Result<serde_json::Map<String, serde_json::Value>, _> =
            serde_json::from_slice(line);
        match parsed {
            Ok(object) => {
                let cells = object
                    .iter()
                    .map(|(name, value)| (name.clone(), Cell::from(value)));
                rows.push(cells.collect());
            }
            Err(error) => faults.add(format!("line {}", at + 1), not_json(&error)),
        }
    }
    faults.into_result()?;
    Ok(rows)
}

/// Reads CSV. A column belongs to the input with its name; if the only input has as many values per row as there are columns, all
/// columns belong to it, in order.
fn of_csv(file: &Path, bytes: &[u8], signature: &Signature) -> Result<Vec<Row>, Faults> {
    let mut reader = csv::Reader::from_reader(bytes);
    let headers = reader.headers().cloned();
    let headers = headers.map_err(|error| Faults::one(file, format!("is not CSV: {error}")))?;
    let columns: Vec<Option<&Input>> = headers
        .iter()
        .map(|name| signature.find(name).map(|at| &signature.inputs()[at]))
        .collect();
    let vector = match signature.inputs() {
        [only]
            if only.fixed_values() == Some(headers.len())
                && columns.iter().all(Option::is_none) =>
        {
            Some(only)
        }
        _ => None,
    };
    if vector.is_none() {
        let missing: Vec<_> = signature
            .inputs()
            .iter()
            .filter(|input| !input.optional() && !headers.iter().any(|name| name == input.name))
            .map(|input| input.name.as_str())
            .collect();
        if !missing.is_empty() {
            let why = format!("has no column for {}", list(&missing));
            return Err(Faults::one(file, why));
        }
    }
    let mut rows = Vec::new();
    let mut faults = FewFaults::of(file);
    for record in reader.records() {
        let record = record.map_err(|error| Faults::one(file, format!("is not CSV: {error}")))?;
        let line = record.position().map_or(0, csv::Position::line);
        let mut cell = |input: &Input, text: &str, name: &str| {
            cell(input.datatype, text).unwrap_or_else(|wanted| {
                let message = format!("got {text:?}, expected {wanted}");
                faults.add(format!("line {line}, column `{name}`"), message);
                Cell::Missing
            })
        };
        let row = match vector {
            Some(input) => {
                let cells = record.iter().zip(&headers);
                let cells = cells.map(|(text, name)| cell(input, text, name)).collect();
                vec![(input.name.clone(), Cell::List(cells))]
            }
            None => {
                let cells = record.iter().zip(&headers).zip(&columns);
                let cells = cells.filter_map(|((text, name), input)| {
                    Some((name.to_owned(), cell((*input)?, text, name)))
                });
                cells.collect()
            }
        };
        rows.push(row);
    }
    faults.into_result()?;
    Ok(rows)
}

/// Returns a text of CSV as a cell of `datatype`, or what was expected.
pub(super) fn cell(datatype: Datatype, text: &str) -> Result<Cell, &'static str> {
    let text = if datatype == Datatype::Bytes {
        text
    } else {
        text.trim()
    };
    let gap = ["na", "nan", "null"];
    let is_gap =
        datatype != Datatype::Bytes && gap.iter().any(|gap| text.eq_ignore_ascii_case(gap));
    if text.is_empty() || is_gap {
        return Ok(Cell::Missing);
    }
    match datatype {
        Datatype::Bytes => Ok(Cell::Text(text.to_owned())),
        Datatype::Bool => match text {
            "1" | "true" | "True" | "TRUE" => Ok(Cell::Bool(true)),
            "0" | "false" | "False" | "FALSE" => Ok(Cell::Bool(false)),
            _ => Err("true, false, 1 or 0"),
        },
        _ => {
            if let Ok(whole) = text.parse::<i64>() {
                return Ok(Cell::Integer(whole));
            }
            if let Ok(whole) = text.parse::<u64>() {
                return Ok(Cell::Unsigned(whole));
            }
            text.parse().map(Cell::Number).map_err(|_| "a number")
        }
    }
}

/// Returns the rows of tensors, one per input; one tensor of another name may be the only input, or the matrix of all inputs.
fn of_tensors(tensors: &[Tensor], signature: &Signature) -> Result<Vec<Row>, String> {
    let inputs = signature.inputs();
    let count = tensors
        .first()
        .and_then(|tensor| tensor.shape.first())
        .copied();
    let count = count
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or(1);
    let count = if signature.has_rows() { count } else { 1 };
    let mut rows: Vec<Row> = vec![Vec::new(); count];
    for tensor in tensors {
        let is_only = tensors.len() == 1;
        let input = match (signature.find(&tensor.name), inputs) {
            (Some(at), _) => Some(&inputs[at]),
            (None, [only]) if is_only => Some(only),
            _ => None,
        };
        match input {
            Some(input) => {
                for (at, row) in rows.iter_mut().enumerate() {
                    let cell = nested(tensor, at, count, input.shape.batched)?;
                    row.push((input.name.clone(), cell));
                }
            }
            None if is_only && tensor.shape.len() == 2 => {
                for (at, row) in rows.iter_mut().enumerate() {
                    let Cell::List(cells) = nested(tensor, at, count, true)? else {
                        return Err(format!("`{}` is not a matrix", tensor.name));
                    };
                    if cells.len() != inputs.len() {
                        let (got, expected) = (cells.len(), inputs.len());
                        return Err(format!(
                            "`{}` has {got} columns, expected {expected}: one per input",
                            tensor.name
                        ));
                    }
                    let named = inputs.iter().map(|input| input.name.clone());
                    row.extend(named.zip(cells));
                }
            }
            None => {
                let names: Vec<_> = inputs.iter().map(|input| input.name.as_str()).collect();
                let names = list(&names);
                return Err(format!(
                    "`{}` is not an input of the model: {names}",
                    tensor.name
                ));
            }
        }
    }
    Ok(rows)
}

/// Returns row `at` of `count` as nested lists; the whole tensor if it has no rows.
fn nested(tensor: &Tensor, at: usize, count: usize, batched: bool) -> Result<Cell, String> {
    let (axes, first) = if batched {
        let rows = tensor.shape.first().copied().unwrap_or_default();
        if usize::try_from(rows) != Ok(count) {
            return Err(format!(
                "`{}` has {rows} rows, and others have {count}",
                tensor.name
            ));
        }
        let per_row = tensor.data.len() / count.max(1);
        (&tensor.shape[1..], at * per_row)
    } else {
        (&tensor.shape[..], 0)
    };
    let mut next = first;
    Ok(lists(tensor, axes, &mut next))
}

fn lists(tensor: &Tensor, axes: &[i64], next: &mut usize) -> Cell {
    let Some((axis, inner)) = axes.split_first() else {
        let cell = tensor.data.cell(*next);
        *next += 1;
        return cell;
    };
    Cell::List((0..*axis).map(|_| lists(tensor, inner, next)).collect())
}
