//! What a version must do before it may serve: give its golden answers, and score batches.

use std::path::Path;

use super::Version;
use crate::faults::Faults;
use crate::model::Rows;
use crate::model::manifest::raw::Head;

/// Probabilities agree to this, absolutely.
const ABSOLUTE: f32 = 1e-5;
/// Predicted numbers agree to this, relatively.
const RELATIVE: f32 = 1e-4;
/// Batch sizes that are tried, as far as requests may have them.
const BATCHES: [usize; 3] = [1, 8, 64];

/// Holds every golden answer; `file` is the manifest.
pub(super) fn golden(version: &Version, file: &Path) -> Result<(), Faults> {
    let mut faults = Faults::default();
    let golden = &version.manifest.golden;
    let answers = golden.iter().flat_map(|golden| &golden.answer);
    let largest = answers.fold(0.0, |largest, x| x.abs().max(largest));
    for (at, golden) in golden.iter().enumerate() {
        let path = format!("$.golden[{at}]");
        let scores = match version.signature().encode(&golden.payload()) {
            Ok(rows) => version.forward(&rows).map_err(|error| error.to_string()),
            Err(refused) => Err(refused.to_string()),
        };
        let scores = match scores {
            Ok(scores) => scores.into_vec(),
            Err(why) => {
                faults.add(file, path, why);
                continue;
            }
        };
        for (column, (got, wanted)) in scores.iter().zip(&golden.answer).enumerate() {
            let tolerance = match version.manifest.head {
                Head::Sigmoid | Head::Softmax => ABSOLUTE,
                // Near zero no sum of floats is relatively exact: a hundredth of the largest answer counts as such.
                Head::Identity => RELATIVE * wanted.abs().max(largest / 100.0),
            };
            if (got - wanted).abs() > tolerance {
                let message = format!("got {got}, wants {wanted} within {tolerance:e}");
                faults.add(file, format!("{path}.answer[{column}]"), message);
            }
        }
    }
    faults.into_result()
}

/// Scores batches of several sizes, so that what a network does on its first call of a size is done before traffic.
pub(super) fn warm_up(version: &Version, dir: &Path) -> Result<(), Faults> {
    let columns = version.signature().columns();
    let row = match version.manifest.golden.first() {
        Some(golden) => version.signature().encode(&golden.payload()).ok(),
        None => None,
    };
    let row = row.map_or_else(|| vec![0.0; columns], |rows| rows.as_slice().to_vec());
    for size in BATCHES {
        if size <= version.signature().max_rows {
            let rows = Rows::new(row.repeat(size), columns, size);
            let scored = version.forward(&rows);
            scored.map_err(|why| Faults::one(dir, format!("cannot score {size} rows: {why}")))?;
        }
    }
    Ok(())
}
