//! Scores batches of every size before a version serves, and measures how long they take.

use std::path::Path;
use std::time::Duration;

use super::throttle::Throttle;
use super::version::Version;
use crate::error::ForwardError;
use crate::faults::Faults;
use crate::model::batch::Batch;
use crate::model::signature::{Input, Signature};
use crate::priority::cpu_time;

/// CPU time of all warm-up batches together. A model that takes longer for one row is warmed up with one row.
const BUDGET: Duration = Duration::from_secs(1);
/// The most forward passes per batch size.
const MAX_TRIES: u32 = 4;
/// Total duration of the passes of one batch size after which no further pass is tried.
const MAX_DURATION_OF_TRIES: Duration = Duration::from_millis(2);

/// Scores batches of the sizes that requests may have, so that the work of a model's first call with a size is done before it
/// serves. Returns each size in rows with the CPU time of its fastest pass, because anything that makes a pass slower is not the
/// model. The rows are copies of the first golden request. If there is none, they are made up: zeros or ones, and empty texts, which
/// the model may refuse; then it is not warmed up.
///
/// # Errors
/// Returns an error if a batch cannot be scored. `dir` is the version's folder.
pub(super) fn run(
    version: &Version,
    dir: &Path,
    throttle: &mut Throttle,
) -> Result<Vec<(usize, Duration)>, Faults> {
    let signature = version.signature();
    let golden = version.manifest().golden.first();
    let golden = golden.and_then(|golden| signature.encode(&golden.payload()).ok());
    let is_made_up = golden.is_none();
    let example = golden.unwrap_or_else(|| made_up(version));
    let used: Vec<&Input> = signature
        .inputs()
        .iter()
        .filter(|input| input.is_used())
        .collect();
    let has_rows = |at: usize| used[at].shape.batched;
    let most = if signature.may_have_rows() {
        signature.max_rows
    } else {
        1
    };
    let mut measured: Vec<(usize, Duration)> = Vec::new();
    let mut spent = Duration::ZERO;
    for size in batch_sizes(most) {
        // A row of a larger batch takes as long as one of the batch before, or less.
        let expected = measured.last().map_or(Duration::ZERO, |(before, took)| {
            took.saturating_mul(u32::try_from(size.div_ceil(*before)).unwrap_or(u32::MAX))
        });
        if spent.saturating_add(expected.saturating_mul(MAX_TRIES)) > BUDGET {
            break;
        }
        let batch = example.repeated(size, has_rows);
        let mut fastest = Duration::MAX;
        let mut of_size = Duration::ZERO;
        for _ in 0..MAX_TRIES {
            // CPU time, because other threads may preempt the loader during a pass.
            let begin = cpu_time();
            let scored = version.forward(&batch);
            let took = cpu_time().saturating_sub(begin);
            match scored {
                Err(why) if is_made_up && is_fault_of_example(&why, signature) => {
                    return Ok(measured);
                }
                scored => {
                    let fault = |why| Faults::one(dir, format!("cannot score {size} rows: {why}"));
                    scored.map_err(fault)?;
                }
            }
            throttle.rest();
            fastest = fastest.min(took);
            of_size += took;
            if of_size > MAX_DURATION_OF_TRIES {
                break;
            }
        }
        spent += of_size;
        measured.push((size, fastest));
    }
    Ok(measured)
}

/// Returns a row of zeros; of ones if the model answers zeros with a number that is not finite, as one that divides by the length of a
/// vector does.
fn made_up(version: &Version) -> Batch {
    let zeros = version.signature().example(0);
    match version.forward(&zeros) {
        Err(ForwardError::NotFinite { .. }) => version.signature().example(1),
        _ => zeros,
    }
}

/// Returns whether a made-up row cannot be scored only because it is made up: the model refuses a value, or an axis of any length is too
/// short at 1.
fn is_fault_of_example(why: &ForwardError, signature: &Signature) -> bool {
    match why {
        ForwardError::Unsuited(_) => true,
        ForwardError::Failed(_) => signature.inputs().iter().any(|input| input.shape.is_open()),
        _ => false,
    }
}

/// Returns the powers of two below `max_rows` and `max_rows` itself, ascending.
fn batch_sizes(max_rows: usize) -> impl Iterator<Item = usize> {
    let powers = (0..usize::BITS).map(|power| 1_usize << power);
    powers
        .take_while(move |size| *size < max_rows)
        .chain([max_rows])
}

#[cfg(test)]
mod tests {
    use super::batch_sizes;

    #[test]
    fn batches_of_all_sizes_are_scored() {
        for (max_rows, want, why) in [
            (16, &[1, 2, 4, 8, 16][..], "a power of two is not repeated"),
            (13, &[1, 2, 4, 8, 13], "the largest size is last"),
            (1, &[1], "one row"),
        ] {
            let sizes: Vec<usize> = batch_sizes(max_rows).collect();
            assert_eq!(sizes, want, "{why}");
        }
    }
}
