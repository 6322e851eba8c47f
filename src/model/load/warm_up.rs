//! Scores batches of every size before a version serves, and measures how long they take.

use std::path::Path;
use std::time::Duration;

use super::throttle::Throttle;
use super::version::Version;
use crate::faults::Faults;
use crate::model::scoring::Rows;
use crate::priority::cpu_time;

/// Multiply-adds of all warm-up batches together: about a second of one core. A network with a larger cost per row is warmed up with
/// one row.
const BUDGET: usize = 1 << 32;
/// The most forward passes per batch size.
const MAX_TRIES: usize = 4;
/// Total duration of the passes of one batch size after which no further pass is tried.
const MAX_DURATION_OF_TRIES: Duration = Duration::from_millis(2);

/// Scores batches of the sizes that requests may have, so that the work of a network's first call with a size is done before it
/// serves. Returns each size in rows with the CPU time of its fastest pass, because anything that makes a pass slower is not the
/// network.
///
/// # Errors
/// Returns an error if a batch cannot be scored. `dir` is the version's folder.
pub(super) fn run(
    version: &Version,
    dir: &Path,
    throttle: &mut Throttle,
) -> Result<Vec<(usize, Duration)>, Faults> {
    let columns = version.signature().columns();
    let golden = version.manifest().golden.first();
    let encoded = golden.and_then(|golden| version.signature().encode(&golden.payload()).ok());
    let row = encoded.map_or_else(
        || vec![0.0; columns],
        |rows| rows.as_slice()[..columns].to_vec(),
    );
    let mut measured = Vec::new();
    for size in batch_sizes(version.signature().max_rows, version.cost_per_row(), BUDGET) {
        let rows = Rows::new(row.repeat(size), columns, size);
        let mut fastest = Duration::MAX;
        let mut spent = Duration::ZERO;
        for _ in 0..MAX_TRIES {
            // CPU time, because other threads may preempt the loader during a pass.
            let begin = cpu_time();
            let scored = version.forward(&rows);
            let took = cpu_time().saturating_sub(begin);
            scored.map_err(|why| Faults::one(dir, format!("cannot score {size} rows: {why}")))?;
            throttle.rest();
            fastest = fastest.min(took);
            spent += took;
            if spent > MAX_DURATION_OF_TRIES {
                break;
            }
        }
        measured.push((size, fastest));
    }
    Ok(measured)
}

/// Returns the powers of two below `max_rows` and `max_rows` itself, ascending, as long as all of them together cost no more than
/// `budget` multiply-adds. The size 1 is always included.
fn batch_sizes(max_rows: usize, cost_per_row: usize, budget: usize) -> Vec<usize> {
    let powers = (0..usize::BITS).map(|power| 1_usize << power);
    let sizes = powers.take_while(|size| *size < max_rows).chain([max_rows]);
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
    use super::batch_sizes;

    #[test]
    fn batches_of_all_sizes_are_scored_within_the_budget() {
        let all: &[usize] = &[1, 2, 4, 8, 16];
        for (max_rows, cost, budget, want, why) in [
            (16, 1, 1000, all, "a power of two is not repeated"),
            (13, 1, 1000, &[1, 2, 4, 8, 13], "the largest size is last"),
            (1, 1, 1000, &[1], "one row"),
            (
                16,
                10,
                150,
                &[1, 2, 4, 8],
                "15 rows of 10 use up the budget",
            ),
            (16, 10, 149, &[1, 2, 4], "one less is not enough"),
            (16, 1000, 10, &[1], "one row at any cost"),
            (16, 0, 0, all, "no cost"),
            (4, usize::MAX, usize::MAX, &[1, 2, 4], "no overflow"),
        ] {
            assert_eq!(batch_sizes(max_rows, cost, budget), want, "{why}");
        }
    }
}
