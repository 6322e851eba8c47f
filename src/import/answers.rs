//! Reads the answers of the original library to the rows of an import, as the scores that taper judges.

use std::fs;
use std::path::Path;

use super::few::FewFaults;
use super::rows::{self, cell};
use crate::faults::Faults;
use crate::model::payload::{Cell, Datatype};
use crate::model::{PredictionKind, Signature, npz};
use crate::text::{truncate, without_bom};

/// Reads one answer per row: CSV, JSON lines or a numpy archive. An answer is the row of the output that is judged. For two classes it
/// may be the probability of the second; for labels it is the label.
///
/// # Errors
/// Returns what does not fit.
pub(super) fn read(
    file: &Path,
    signature: &Signature,
    rows: usize,
) -> Result<Vec<Vec<f32>>, Faults> {
    let bytes = fs::read(file);
    let bytes = bytes.map_err(|error| Faults::one(file, format!("cannot be read: {error}")))?;
    let bytes = without_bom(&bytes);
    rows::require_text_or_npz(file, bytes)?;
    let answers = if npz::recognises(bytes) {
        of_tensors(bytes, signature).map_err(|why| Faults::one(file, why))?
    } else if bytes.trim_ascii_start().starts_with(b"{")
        || bytes.trim_ascii_start().starts_with(b"[")
    {
        of_lines(file, bytes, signature)?
    } else {
        of_csv(file, bytes, signature)?
    };
    if answers.len() != rows {
        let got = answers.len();
        let why = format!("has {got} answers, expected {rows}, one for each row");
        return Err(Faults::one(file, why));
    }
    let mut faults = FewFaults::of(file);
    let mut scores = Vec::with_capacity(rows);
    for (at, answer) in answers.into_iter().enumerate() {
        match to_scores(&answer, signature) {
            Ok(row) => scores.push(row),
            Err(why) => faults.add(format!("answer {at}, counted from 0"), why),
        }
    }
    faults.into_result()?;
    Ok(scores)
}

/// Reads JSON lines: a number, a label, a list of numbers, or an object with one of these under the name of the output.
fn of_lines(file: &Path, bytes: &[u8], signature: &Signature) -> Result<Vec<Vec<Cell>>, Faults> {
    let name = &signature.judged().name;
    let mut answers = Vec::new();
    let mut faults = FewFaults::of(file);
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let place = format!("line {}", at + 1);
        let value: serde_json::Value = match serde_json::from_slice(line) {
            Ok(value) => value,
            Err(error) => {
                faults.add(place, rows::not_json(&error));
                continue;
            }
        };
        let found = match &value {
            serde_json::Value::Object(object) => object.get(name),
            other => Some(other),
        };
        match found.map(Cell::from) {
            None => faults.add(place, format!("has no `{name}`, the output that is judged")),
            Some(Cell::List(cells)) => answers.push(cells),
            Some(cell) => answers.push(vec![cell]),
        }
    }
    faults.into_result()?;
    Ok(answers)
}

/// Reads CSV with a header: all columns are one answer, or only the column with the name of the output if there is one.
fn of_csv(file: &Path, bytes: &[u8], signature: &Signature) -> Result<Vec<Vec<Cell>>, Faults> {
    let is_label = signature.prediction.kind == PredictionKind::Labels;
    let datatype = if is_label {
        Datatype::Bytes
    } else {
        Datatype::Fp64
    };
    let mut reader = csv::Reader::from_reader(bytes);
    let invalid = |error: csv::Error| Faults::one(file, format!("is not CSV: {error}"));
    let headers = reader.headers().cloned().map_err(invalid)?;
    let named = headers
        .iter()
        .position(|header| header == signature.judged().name);
    let mut answers = Vec::new();
    let mut faults = FewFaults::of(file);
    for record in reader.records() {
        let record = record.map_err(invalid)?;
        let line = record.position().map_or(0, csv::Position::line);
        let taken = record.iter().enumerate();
        let taken = taken.filter(|(at, _)| named.is_none_or(|named| named == *at));
        let cells: Result<Vec<Cell>, _> = taken.map(|(_, text)| cell(datatype, text)).collect();
        match cells {
            Ok(cells) => answers.push(cells),
            Err(wanted) => faults.add(
                format!("line {line}"),
                format!("expected {wanted} in each column"),
            ),
        }
    }
    faults.into_result()?;
    Ok(answers)
}

/// Reads the array with the name of the output, or the only array.
fn of_tensors(bytes: &[u8], signature: &Signature) -> Result<Vec<Vec<Cell>>, String> {
    let tensors = npz::read(bytes)?;
    let name = &signature.judged().name;
    let tensor = match &tensors[..] {
        [only] => only,
        many => many
            .iter()
            .find(|tensor| tensor.name == *name)
            .ok_or_else(|| format!("has no array `{name}`, the output that is judged"))?,
    };
    let rows = tensor.shape.first().copied().unwrap_or(1);
    let rows = usize::try_from(rows).unwrap_or_default().max(1);
    let width = tensor.data.len() / rows;
    let row = |at: usize| {
        (at * width..(at + 1) * width)
            .map(|at| tensor.data.cell(at))
            .collect()
    };
    Ok((0..rows).map(row).collect())
}

/// Returns an answer as the scores that are judged.
fn to_scores(answer: &[Cell], signature: &Signature) -> Result<Vec<f32>, String> {
    let columns = signature.prediction.columns;
    if signature.prediction.kind == PredictionKind::Labels {
        let [label] = answer else {
            return Err(format!("got {} values, expected one label", answer.len()));
        };
        let text = match label {
            Cell::Text(text) => text.clone(),
            // A library may write the number of a class as a float.
            Cell::Number(x) if x.fract() == 0.0 => format!("{x:.0}"),
            other => other.to_string(),
        };
        let text = text.strip_suffix(".0").unwrap_or(&text);
        let class = signature.classes.iter().position(|class| class == text);
        let class = class.ok_or_else(|| {
            let classes = signature.classes.join(", ");
            format!(
                "got {text:?}, expected one of the classes {}",
                truncate(&classes, 100)
            )
        })?;
        return Ok((0..columns)
            .map(|at| if at == class { 1.0 } else { 0.0 })
            .collect());
    }
    let numbers: Option<Vec<f64>> = answer.iter().map(number).collect();
    let numbers = numbers.ok_or("got a value that is not a number")?;
    let is_probability = signature.prediction.kind == PredictionKind::Probabilities;
    let numbers = match (&numbers[..], columns) {
        ([p], 2) if is_probability => vec![1.0 - p, *p],
        ([_, p], 1) if is_probability => vec![*p],
        (_, 1) if matches!(signature.prediction.kind, PredictionKind::Embedding(_)) => {
            vec![numbers.iter().map(|x| x * x).sum::<f64>().sqrt()]
        }
        _ => numbers,
    };
    if numbers.len() != columns {
        return Err(format!("got {} numbers, expected {columns}", numbers.len()));
    }
    Ok(numbers.into_iter().map(narrowed).collect())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "an answer is compared within a tolerance"
)]
fn number(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Integer(x) => Some(*x as f64),
        Cell::Unsigned(x) => Some(*x as f64),
        Cell::Number(x) => Some(*x),
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
fn narrowed(x: f64) -> f32 {
    x as f32
}
