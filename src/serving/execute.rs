//! From a payload to scores, on the thread that has the request while that is cheaper than a thread hop, else on the
//! blocking pool, as many at once as there are cores, so that dear requests never hold up the async workers.

use std::{
    num::NonZero,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    task,
    time::{self, Instant},
};

use super::live::ServingVersion;
use crate::error::{ForwardError, PredictError};
use crate::ident::Role;
use crate::insight::stats::Scoring;
use crate::model::payload::Payload;
use crate::model::{Scores, TopClass, Version};

/// Up to this cost a request is worked on in place. The unit is one multiply-add, about 0.2 ns on one slow core, so this
/// is about 50 µs, which an async worker can spare.
pub const INLINE_COST: usize = 250_000;

/// Cost of encoding one named cell: it is found by name and checked. This and the next two are what `benches/pipeline.rs`
/// and `benches/dense.rs` gave for the flights (about 80, 14 and 500 ns); what matters is the order of magnitude.
const PER_CELL: usize = 400;
/// Cost of encoding one element of a tensor.
const PER_ELEMENT: usize = 70;
/// Cost of one row beside its encoding and its network: most probable class, recording.
const PER_ROW: usize = 2_500;

/// Forward passes of one version that may run at one time while a fallback stands by. Those that hang are among them.
const APART: usize = 16;

/// What is to be scored: for one version only, or for others too.
#[derive(Debug)]
pub enum Work {
    /// For one.
    Own(Payload),
    /// For several.
    Shared(Arc<Payload>),
}

impl Deref for Work {
    type Target = Payload;

    fn deref(&self) -> &Payload {
        match self {
            Self::Own(payload) => payload,
            Self::Shared(payload) => payload,
        }
    }
}

/// Where one version computes while a fallback stands by: apart from all others, because it may never come back.
#[derive(Debug)]
pub struct Apart {
    permits: Arc<Semaphore>,
    /// Passes that nobody waits for any more and that have not ended.
    left_behind: AtomicUsize,
}

impl Default for Apart {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(APART)),
            left_behind: AtomicUsize::new(0),
        }
    }
}

/// What a request gets from its version.
#[derive(Clone, Debug)]
pub struct Scored {
    /// One row per row of the request.
    pub scores: Scores,
    /// The most probable class of each row; empty without classes.
    pub top: Vec<TopClass>,
    /// How long the forward pass itself took.
    pub inference: Duration,
}

/// What the executor must know of a request beside its payload.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The part that the version plays.
    pub role: Role,
    /// When the request came.
    pub at: Instant,
    /// When its caller stops waiting.
    pub deadline: Option<Instant>,
}

/// Runs forward passes.
#[derive(Debug)]
pub struct Executor {
    /// Permits to compute on the blocking pool. Who waits here is bounded by the gate.
    cores: Arc<Semaphore>,
}

impl Default for Executor {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            cores: Arc::new(Semaphore::new(cores)),
        }
    }
}

impl Executor {
    /// Encodes and scores `payload`, and records what was seen where that went well.
    ///
    /// Work whose deadline has passed is dropped before it begins; so is work whose caller has gone, because then this
    /// future is no longer polled.
    ///
    /// # Errors
    /// [`PredictError::InvalidInput`], [`PredictError::DeadlineExceeded`] or [`PredictError::Forward`].
    pub async fn run(
        &self,
        by: &Arc<ServingVersion>,
        payload: Work,
        call: Call,
    ) -> Result<Scored, PredictError> {
        if cost(&payload, by.version.cost_per_row()) <= INLINE_COST {
            return score(by, &payload, call);
        }
        let Ok(permit) = Arc::clone(&self.cores).acquire_owned().await else {
            // Nobody closes the semaphore.
            return Err(failed(
                &by.version,
                ForwardError::Failed("the compute pool is closed".into()),
            ));
        };
        let worker = Arc::clone(by);
        task::spawn_blocking(move || {
            let _permit = permit;
            score(&worker, &payload, call)
        })
        .await
        .unwrap_or_else(|error| {
            Err(failed(
                &by.version,
                ForwardError::Panicked(error.to_string()),
            ))
        })
    }

    /// As [`run`](Self::run), but never on the calling thread, and given up after `limit`: then the pass is left behind, and
    /// ends when it does. At most 16 passes of a version run like this; where all of them were left behind, it is
    /// given up at once.
    ///
    /// # Errors
    /// As [`run`](Self::run); [`PredictError::DeadlineExceeded`] past the limit.
    pub async fn run_within(
        &self,
        by: &Arc<ServingVersion>,
        payload: Work,
        call: Call,
        limit: Duration,
    ) -> Result<Scored, PredictError> {
        let apart = &by.apart;
        if apart.left_behind.load(Ordering::Acquire) >= APART {
            return Err(PredictError::DeadlineExceeded);
        }
        let pass = async {
            let Ok(permit) = Arc::clone(&apart.permits).acquire_owned().await else {
                // Nobody closes the semaphore.
                return Err(PredictError::DeadlineExceeded);
            };
            let here = Arc::new(Pass::of(by));
            let there = Arc::clone(&here);
            let _waits = Waits(&here);
            let pass = task::spawn_blocking(move || {
                let _permit = permit;
                let scored = score(&there.by, &payload, call);
                there.ended();
                scored
            });
            pass.await.unwrap_or_else(|error| {
                let panicked = ForwardError::Panicked(error.to_string());
                Err(failed(&by.version, panicked))
            })
        };
        let answered = time::timeout(limit, pass).await;
        answered.unwrap_or(Err(PredictError::DeadlineExceeded))
    }
}

/// A pass apart: who waits for it and who computes it tell each other which of them was first to go.
#[derive(Debug)]
struct Pass {
    by: Arc<ServingVersion>,
    /// How many of the two have gone.
    gone: AtomicUsize,
}

impl Pass {
    fn of(by: &Arc<ServingVersion>) -> Self {
        Self {
            by: Arc::clone(by),
            gone: AtomicUsize::new(0),
        }
    }

    /// It has been computed.
    fn ended(&self) {
        if self.gone.fetch_add(1, Ordering::AcqRel) == 1 {
            self.by.apart.left_behind.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Somebody waits for a pass; dropped when nobody does any more.
struct Waits<'a>(&'a Pass);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        // Counted first, so that the other side never takes away what was not added yet.
        let left_behind = &self.0.by.apart.left_behind;
        left_behind.fetch_add(1, Ordering::AcqRel);
        if self.0.gone.fetch_add(1, Ordering::AcqRel) == 1 {
            left_behind.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// What `payload` will cost, before it is known to be well-formed: what it claims counts, and is refused later if untrue.
fn cost(payload: &Payload, network: usize) -> usize {
    let (rows, encoding) = match payload {
        Payload::Rows(rows) => {
            let cells: usize = rows.iter().map(Vec::len).sum();
            (rows.len(), cells.saturating_mul(PER_CELL))
        }
        Payload::Tensors(tensors) => {
            let elements: usize = tensors.iter().map(|tensor| tensor.data.len()).sum();
            let rows = tensors.first().map_or(0, |tensor| {
                let claimed = tensor
                    .shape
                    .first()
                    .and_then(|rows| usize::try_from(*rows).ok());
                claimed.unwrap_or(0).min(tensor.data.len())
            });
            (rows, elements.saturating_mul(PER_ELEMENT))
        }
    };
    rows.saturating_mul(network.saturating_add(PER_ROW))
        .saturating_add(encoding)
}

pub(super) fn score(
    by: &ServingVersion,
    payload: &Payload,
    call: Call,
) -> Result<Scored, PredictError> {
    let (version, stats) = (&by.version, &by.meters.stats);
    let begin = Instant::now();
    if call.deadline.is_some_and(|deadline| deadline <= begin) {
        return Err(PredictError::DeadlineExceeded);
    }
    let mut seen = stats.watch();
    let rows = version.signature().encode_with(payload, &mut seen)?;
    let start = Instant::now();
    let scores = version
        .forward(&rows)
        .map_err(|source| failed(version, source))?;
    let inference = start.elapsed();
    let top: Vec<_> = scores
        .rows()
        .filter_map(|row| version.top_class(row))
        .collect();
    let scoring = Scoring {
        queue: begin.saturating_duration_since(call.at),
        inference,
        scores: &scores,
        top: &top,
    };
    stats.scored(call.role, &seen, scoring);
    Ok(Scored {
        scores,
        top,
        inference,
    })
}

fn failed(version: &Version, source: ForwardError) -> PredictError {
    PredictError::Forward {
        version: version.manifest().version,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::payload::{Cell, Tensor, TensorData};

    #[test]
    fn a_cheap_network_over_many_named_rows_is_dear_all_the_same() {
        let row = || {
            (0..12)
                .map(|at| (at.to_string(), Cell::Number(0.0)))
                .collect()
        };
        let rows = |n| Payload::Rows((0..n).map(|_| row()).collect());
        assert!(
            cost(&rows(1), 4_000) <= INLINE_COST,
            "one row stays on its thread"
        );
        assert!(cost(&rows(1_000), 4) > INLINE_COST, "a thousand do not");
    }

    #[test]
    fn tensors_cost_by_their_elements_and_the_rows_they_claim() {
        let tensor = |rows: i64, elements| {
            let data = TensorData::Fp32(vec![0.0; elements]);
            Payload::Tensors(vec![Tensor {
                name: "x".into(),
                shape: vec![rows, 30],
                data,
            }])
        };
        assert_eq!(
            cost(&tensor(8, 240), 6_144),
            8 * (6_144 + PER_ROW) + 240 * PER_ELEMENT
        );
        assert!(
            cost(&tensor(i64::MAX, 10), 6_144) <= INLINE_COST,
            "a lie about rows is cut to the data"
        );
        assert!(
            cost(&tensor(-1, 30), usize::MAX) <= INLINE_COST,
            "a negative axis is refused at once"
        );
    }
}
