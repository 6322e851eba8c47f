//! What a version must do before it may serve: give its golden answers, and score batches.

use std::path::Path;
use std::time::Duration;

use super::Version;
use super::pace::Throttle;
use crate::faults::Faults;
use crate::model::Rows;
use crate::model::manifest::raw::Head;
use crate::priority::cpu_time;

/// Probabilities agree to this, absolutely.
const ABSOLUTE: f32 = 1e-5;
/// Predicted numbers agree to this, relatively.
const RELATIVE: f32 = 1e-4;
/// Multiply-adds that warming up may take in all: about a second of one core. A network so large that one row takes more
/// is warmed up with that row.
const WARM_UP: usize = 1 << 32;
/// Passes of one size, ...
const TRIES: usize = 4;
/// ... as long as they take no longer than this together.
const WORTH_A_SECOND_TRY: Duration = Duration::from_millis(2);

/// Holds every golden answer; `file` is the manifest.
pub(super) fn golden(
    version: &Version,
    file: &Path,
    throttle: &mut Throttle,
) -> Result<(), Faults> {
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
        throttle.rest();
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

/// Scores batches of the sizes that requests may have, so that what a network does on its first call of a size is done
/// before traffic. Tells what each took: the fastest of a few, since whatever makes one slower is not the network.
pub(super) fn warm_up(
    version: &Version,
    dir: &Path,
    throttle: &mut Throttle,
) -> Result<Vec<(usize, Duration)>, Faults> {
    let columns = version.signature().columns();
    let row = match version.manifest.golden.first() {
        Some(golden) => version.signature().encode(&golden.payload()).ok(),
        None => None,
    };
    let row = row.map_or_else(
        || vec![0.0; columns],
        |rows| rows.as_slice()[..columns].to_vec(),
    );
    let mut measured = Vec::new();
    for size in batches(
        version.signature().max_rows,
        version.cost_per_row(),
        WARM_UP,
    ) {
        let rows = Rows::new(row.repeat(size), columns, size);
        let mut fastest = Duration::MAX;
        let mut spent = Duration::ZERO;
        for _ in 0..TRIES {
            // A loader is put aside whenever anybody else wants its core, which is not what a pass takes.
            let begin = cpu_time();
            let scored = version.forward(&rows);
            let took = cpu_time().saturating_sub(begin);
            scored.map_err(|why| Faults::one(dir, format!("cannot score {size} rows: {why}")))?;
            throttle.rest();
            fastest = fastest.min(took);
            spent += took;
            if spent > WORTH_A_SECOND_TRY {
                break;
            }
        }
        measured.push((size, fastest));
    }
    Ok(measured)
}

/// The powers of two up to `most` rows and `most` itself, in order, as far as all of them together take no more than
/// `budget` multiply-adds; one row always.
fn batches(most: usize, cost_per_row: usize, budget: usize) -> Vec<usize> {
    let powers = (0..usize::BITS).map(|power| 1_usize << power);
    let sizes = powers.take_while(|size| *size < most).chain([most]);
    let mut spent = 0_usize;
    sizes
        .take_while(|size| {
            spent = spent.saturating_add(size.saturating_mul(cost_per_row));
            *size == 1 || spent <= budget
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::batches;

    #[test]
    fn every_size_that_will_be_used_is_warmed_up_within_the_budget() {
        let all: &[usize] = &[1, 2, 4, 8, 16];
        for (most, cost, budget, want, why) in [
            (16, 1, 1000, all, "a power of two is not tried twice"),
            (13, 1, 1000, &[1, 2, 4, 8, 13], "the most comes last"),
            (1, 1, 1000, &[1], "one row at a time"),
            (16, 10, 150, &[1, 2, 4, 8], "15 rows of 10 are the budget"),
            (16, 10, 149, &[1, 2, 4], "and one less is not enough"),
            (16, 1000, 10, &[1], "one row, whatever it costs"),
            (16, 0, 0, all, "what costs nothing is done"),
            (4, usize::MAX, usize::MAX, &[1, 2, 4], "no overflow"),
        ] {
            assert_eq!(batches(most, cost, budget), want, "{why}");
        }
    }
}
