//! Encodes samples with the version's own signature.

use std::path::Path;

use super::optimise::Examples;
use super::spec::Spec;
use super::table::{self, Sample};
use crate::error::InputFault;
use crate::faults::Faults;
use crate::model::Signature;
use crate::model::payload::{Payload, Row};

/// Encodes `samples`, with their targets.
///
/// # Errors
/// Returns every value that a request could not contain either, by line and column of `file`.
pub(super) fn examples(
    signature: &Signature,
    samples: &[Sample],
    spec: &Spec,
    file: &Path,
) -> Result<Examples, Faults> {
    let mut rows = Vec::with_capacity(samples.len() * signature.columns());
    let mut faults = Faults::default();
    for chunk in samples.chunks(signature.max_rows) {
        let cells: Vec<Row> = chunk.iter().map(|sample| sample.cells.clone()).collect();
        match signature.encode(&Payload::Rows(cells)) {
            Ok(encoded) => rows.extend_from_slice(encoded.as_slice()),
            Err(refused) => {
                for fault in refused.iter() {
                    let message = format!("got {}, wants {}", fault.got, fault.wanted);
                    faults.add(file, place(fault, chunk, spec), message);
                }
            }
        }
    }
    faults.into_result()?;
    Ok(Examples {
        rows,
        columns: signature.columns(),
        targets: samples.iter().map(|sample| narrow(sample.target)).collect(),
    })
}

/// Returns line and column of a fault, whose field is a path in a request such as `rows[3].temp`.
fn place(fault: &InputFault, chunk: &[Sample], spec: &Spec) -> String {
    let parts = fault
        .field
        .strip_prefix("rows[")
        .and_then(|rest| rest.split_once("]."));
    let found = parts.and_then(|(row, name)| {
        let sample = chunk.get(row.parse::<usize>().ok()?)?;
        let feature = spec.features.iter().find(|feature| feature.name == name)?;
        Some(table::place(sample.line, &feature.column))
    });
    found.unwrap_or_else(|| fault.field.clone())
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the network computes in f32"
)]
/// Rounds a value to f32.
pub(super) fn narrow(x: f64) -> f32 {
    x as f32
}
