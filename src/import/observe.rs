//! Adds what rows say to a manifest: ranges, the reference profile, and golden requests.

use std::collections::BTreeMap;
use std::path::Path;

use super::few::FewFaults;
use super::json;
use crate::faults::Faults;
use crate::model::manifest::raw::{
    EncodingKind, FormatKind, Golden, GoldenSource, OutsidePolicy, RawManifest, RawRange, Reference,
};
use crate::model::payload::{Cell, Payload, Row};
use crate::model::profile::{of_numbers, of_texts};
use crate::model::{Input, PredictionKind, Version, agrees};

/// Golden requests of one version.
const GOLDEN: usize = 8;
/// The most values in all golden requests together. A manifest has at most 16 MiB, and a value takes up to 40 bytes.
const GOLDEN_VALUES: usize = 200_000;
/// Answers of the original library that differ and are reported.
const MOST_DIFFERENCES: usize = 5;

/// Adds to `manifest` what `rows` say. `expected` are the answers of the original library, as scores, with their file.
///
/// # Errors
/// Returns the rows that `version` cannot score, or the answers that differ from those expected.
pub(super) fn add(
    manifest: &mut RawManifest,
    version: &Version,
    rows: &[Row],
    expected: Option<(&[Vec<f32>], &Path)>,
    file: &Path,
) -> Result<(), Faults> {
    let scores = score(version, rows, file)?;
    if let Some((expected, file)) = expected {
        compare(version, &scores, expected, file)?;
    }
    let expected = expected.map(|(expected, _)| expected);
    ranges(manifest, version, rows);
    manifest.reference = Some(reference(version, rows, &scores));
    manifest.golden = golden(
        version,
        rows,
        expected.unwrap_or(&scores),
        expected.is_some(),
    );
    Ok(())
}

/// Returns the scores of each row.
fn score(version: &Version, rows: &[Row], file: &Path) -> Result<Vec<Vec<f32>>, Faults> {
    let signature = version.signature();
    let mut scores = Vec::with_capacity(rows.len());
    for (part, chunk) in rows.chunks(signature.max_rows).enumerate() {
        let batch = signature.encode(&Payload::Rows(chunk.to_vec()));
        let batch = batch.map_err(|found| {
            let mut faults = FewFaults::of(file);
            for fault in found.iter() {
                let message = format!("got {}, expected {}", fault.got, fault.wanted);
                faults.add(&fault.field, message);
            }
            faults.into_result().err().unwrap_or_default()
        })?;
        let first = part * signature.max_rows;
        let pass = version.forward(&batch);
        let pass = pass.map_err(|why| {
            let last = first + chunk.len() - 1;
            Faults::one(
                file,
                format!("rows {first} to {last}, counted from 0: {why}"),
            )
        })?;
        scores.extend(pass.scores.rows().map(<[f32]>::to_vec));
    }
    Ok(scores)
}

/// Compares taper's answers with those of the original library.
fn compare(
    version: &Version,
    scores: &[Vec<f32>],
    expected: &[Vec<f32>],
    file: &Path,
) -> Result<(), Faults> {
    let largest = expected
        .iter()
        .flatten()
        .fold(0.0_f32, |most, x| most.max(x.abs()));
    let signature = version.signature();
    let differs = |(got, wanted): (&Vec<f32>, &Vec<f32>)| {
        let mut pairs = got.iter().zip(wanted);
        !pairs.all(|(got, wanted)| agrees(signature, *got, *wanted, largest))
    };
    let pairs = scores.iter().zip(expected);
    let different: Vec<usize> = pairs
        .enumerate()
        .filter_map(|(at, pair)| differs(pair).then_some(at))
        .collect();
    if different.is_empty() {
        return Ok(());
    }
    let mut message = format!(
        "{} of {} answers differ from taper's; are they of this model, and of these rows in this order?",
        different.len(),
        scores.len()
    );
    if version.manifest().format.kind == FormatKind::Xgboost {
        message.push_str(" --iterations says which trees are used after early stopping");
    }
    let mut faults = Faults::one(file, message);
    for at in different.iter().take(MOST_DIFFERENCES) {
        let (got, wanted) = (&scores[*at], &expected[*at]);
        let message = format!("expected {wanted:?}, taper answers {got:?}");
        faults.add(file, format!("row {at}, counted from 0"), message);
    }
    Err(faults)
}

/// Sets the range of each numeric input to what occurs. Values outside remain accepted.
fn ranges(manifest: &mut RawManifest, version: &Version, rows: &[Row]) {
    for (raw, input) in manifest.inputs.iter_mut().zip(version.signature().inputs()) {
        let is_numeric = raw.encoding.kind == EncodingKind::Numeric;
        if !is_numeric || input.datatype == crate::model::payload::Datatype::Bool {
            continue;
        }
        let numbers = numbers(input, rows);
        if let (Some(min), Some(max)) = (numbers.first(), numbers.last()) {
            raw.encoding.range = Some(RawRange {
                min: *min,
                max: *max,
                outside: OutsidePolicy::Accept,
            });
        }
    }
}

/// Returns the numbers of an input, ascending.
fn numbers(input: &Input, rows: &[Row]) -> Vec<f64> {
    let mut numbers = Vec::new();
    each_cell(input, rows, &mut |cell| numbers.extend(number(cell)));
    numbers.sort_by(f64::total_cmp);
    numbers
}

/// Calls `with` for each cell of an input, also for those in lists.
fn each_cell<'r>(input: &Input, rows: &'r [Row], with: &mut dyn FnMut(&'r Cell)) {
    fn visit<'r>(cell: &'r Cell, with: &mut dyn FnMut(&'r Cell)) {
        match cell {
            Cell::List(cells) => cells.iter().for_each(|cell| visit(cell, with)),
            cell => with(cell),
        }
    }
    for row in rows {
        let cell = row.iter().find(|(name, _)| *name == input.name);
        visit(cell.map_or(&Cell::Missing, |(_, cell)| cell), with);
    }
}

#[expect(clippy::cast_precision_loss, reason = "for a profile")]
fn number(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Bool(value) => Some(f64::from(u8::from(*value))),
        Cell::Integer(x) => Some(*x as f64),
        Cell::Unsigned(x) => Some(*x as f64),
        Cell::Number(x) if x.is_finite() => Some(*x),
        _ => None,
    }
}

/// Returns the number of values in a cell.
fn values(cell: &Cell) -> usize {
    match cell {
        Cell::List(cells) => cells.iter().map(values).sum(),
        _ => 1,
    }
}

/// Returns the reference profile: the distributions of the inputs and the predictions.
fn reference(version: &Version, rows: &[Row], scores: &[Vec<f32>]) -> Reference {
    let signature = version.signature();
    let mut features = BTreeMap::new();
    for input in signature.inputs() {
        let mut texts: BTreeMap<String, u64> = BTreeMap::new();
        let (mut numbers, mut missing) = (Vec::new(), 0_u64);
        let counts = input.has_categories();
        each_cell(input, rows, &mut |cell| match (cell, number(cell)) {
            (Cell::Text(text), _) => *texts.entry(text.clone()).or_default() += 1,
            (_, Some(_)) if counts => *texts.entry(cell.to_string()).or_default() += 1,
            (_, Some(number)) => numbers.push(number),
            _ => missing += 1,
        });
        let is_profiled = counts || input.fixed_values() == Some(1) || input.is_observed();
        if !is_profiled || !input.is_used() {
            continue;
        }
        let profile = if texts.is_empty() {
            numbers.sort_by(f64::total_cmp);
            of_numbers(&numbers, missing)
        } else {
            let mut texts: Vec<(&str, u64)> = texts
                .iter()
                .map(|(text, count)| (text.as_str(), *count))
                .collect();
            texts.sort_by(|(a, one), (b, other)| other.cmp(one).then(a.cmp(b)));
            of_texts(&texts, missing)
        };
        features.insert(input.name.clone(), profile);
    }
    let column = |at: usize| {
        let mut column: Vec<f64> = scores.iter().map(|row| f64::from(row[at])).collect();
        column.sort_by(f64::total_cmp);
        of_numbers(&column, 0)
    };
    let predictions = prediction_names(version);
    Reference {
        rows: rows.len() as u64,
        features,
        predictions: predictions
            .into_iter()
            .enumerate()
            .map(|(at, name)| (name, column(at)))
            .collect(),
    }
}

/// Returns the names of the predictions in a reference profile, one per column of the scores.
fn prediction_names(version: &Version) -> Vec<String> {
    let signature = version.signature();
    let (output, columns) = (&signature.judged().name, signature.prediction.columns);
    match signature.prediction.kind {
        PredictionKind::Probabilities | PredictionKind::Labels if columns > 1 => {
            signature.classes.clone()
        }
        _ if columns == 1 => vec![output.clone()],
        _ => (0..columns).map(|at| format!("{output}[{at}]")).collect(),
    }
}

/// Returns golden requests from rows that are spread evenly.
fn golden(
    version: &Version,
    rows: &[Row],
    answers: &[Vec<f32>],
    from_library: bool,
) -> Vec<Golden> {
    let inputs = version.signature().inputs();
    let largest = rows
        .iter()
        .map(|row| row.iter().map(|(_, cell)| values(cell)).sum());
    let fit = GOLDEN_VALUES / largest.max().unwrap_or(1).max(1);
    let count = GOLDEN.min(rows.len()).min(fit);
    let places = (0..count).map(|at| at * (rows.len() - 1) / (count - 1).max(1));
    let golden = places.map(|at| {
        let known = |name: &str| inputs.iter().any(|input| input.name == name);
        let cells = rows[at].iter().filter(|(name, _)| known(name));
        Golden {
            row: cells
                .filter_map(|(name, cell)| Some((name.clone(), json(cell)?)))
                .collect(),
            answer: answers[at].clone(),
            source: Some(if from_library {
                GoldenSource::Library
            } else {
                GoldenSource::Taper
            }),
        }
    });
    golden.collect()
}
