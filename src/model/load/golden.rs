//! Checks that a version gives its golden answers.

use std::path::Path;

use super::throttle::Throttle;
use super::version::Version;
use crate::faults::Faults;
use crate::model::signature::Signature;

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
            Ok(pass) => pass.scores.into_vec(),
            Err(why) => {
                faults.add(file, path, why);
                continue;
            }
        };
        for (column, (got, wanted)) in scores.iter().zip(&golden.answer).enumerate() {
            let tolerance = tolerance(version.signature(), *wanted, largest);
            if (got - wanted).abs() > tolerance {
                let message = format!("got {got}, wants {wanted} within {tolerance:e}");
                faults.add(file, format!("{path}.answer[{column}]"), message);
            }
        }
    }
    faults.into_result()
}

/// Returns whether a score agrees with the expected one. `largest` is the largest absolute value of all expected scores.
#[must_use]
pub fn agrees(signature: &Signature, got: f32, expected: f32, largest: f32) -> bool {
    (got - expected).abs() <= tolerance(signature, expected, largest)
}

/// Returns how far a score may be from the expected one.
fn tolerance(signature: &Signature, expected: f32, largest: f32) -> f32 {
    if signature.prediction.kind.has_classes() {
        ABSOLUTE
    } else {
        // Near zero, a sum of floats is not relatively exact. The tolerance never falls below that of a hundredth of the largest
        // answer.
        RELATIVE * expected.abs().max(largest / 100.0)
    }
}
