//! Checks that a version gives its golden answers.

use std::path::Path;

use super::throttle::Throttle;
use super::version::Version;
use crate::faults::Faults;
use crate::model::manifest::raw::Head;

/// Absolute tolerance for probabilities.
const ABSOLUTE: f32 = 1e-5;
/// Relative tolerance for predicted numbers.
const RELATIVE: f32 = 1e-4;

/// Checks every golden answer. `file` is the manifest, for faults.
///
/// # Errors
/// Returns every answer outside of its tolerance, and every golden request that cannot be scored.
pub(super) fn check(version: &Version, file: &Path, throttle: &mut Throttle) -> Result<(), Faults> {
    let mut faults = Faults::default();
    let golden = &version.manifest().golden;
    let answers = golden.iter().flat_map(|golden| &golden.answer);
    let largest = answers.fold(0.0, |largest, x| x.abs().max(largest));
    for (at, golden) in golden.iter().enumerate() {
        let path = format!("$.golden[{at}]");
        let result = match version.signature().encode(&golden.payload()) {
            Ok(rows) => version.forward(&rows).map_err(|error| error.to_string()),
            Err(refused) => Err(refused.to_string()),
        };
        throttle.rest();
        let scores = match result {
            Ok(scores) => scores.into_vec(),
            Err(why) => {
                faults.add(file, path, why);
                continue;
            }
        };
        for (column, (got, wanted)) in scores.iter().zip(&golden.answer).enumerate() {
            let tolerance = match version.manifest().head {
                Head::Sigmoid | Head::Softmax => ABSOLUTE,
                // Near zero, a sum of floats is not relatively exact. The tolerance never falls below that of a hundredth of the
                // largest answer.
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
