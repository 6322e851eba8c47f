//! Where a request is computed: on the thread that has it while that is cheaper than a change of threads, else in the pool of
//! `batch/`, so that dear requests never hold up the async workers; beside a fallback, apart from both.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    task,
    time::{self, Instant},
};

use super::batch::Pool;
use super::live::ServingVersion;
use super::score::{self, Scored, failed};
use crate::error::{ForwardError, PredictError};
use crate::ident::Role;
use crate::model::payload::Payload;

/// Up to this a request is worked on in place: an async worker can spare it, and going to another thread and back costs a
/// good part of it.
pub const INLINE: Duration = Duration::from_micros(50);

/// Encoding one named cell: it is found by name and checked. This and the next two are what `benches/pipeline.rs` gave for
/// the flights; what matters is the order of magnitude.
const PER_CELL: Duration = Duration::from_nanos(80);
/// Encoding one element of a tensor.
const PER_ELEMENT: Duration = Duration::from_nanos(14);
/// One row beside its encoding and its network: most probable class, recording.
const PER_ROW: Duration = Duration::from_nanos(500);
/// Multiply-adds of one slow core in a nanosecond, where no pass was measured yet.
const ADDS_PER_NANO: usize = 5;

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
pub struct FallbackIsolation {
    permits: Arc<Semaphore>,
    /// Passes that nobody waits for any more and that have not ended.
    left_behind: AtomicUsize,
}

impl Default for FallbackIsolation {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(APART)),
            left_behind: AtomicUsize::new(0),
        }
    }
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
    pool: Pool,
}

impl Executor {
    /// Dear passes run in `pool`.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// Encodes and scores `payload`, and records what was seen where that went well: on this thread where that costs less than
    /// a change of threads, else in the pool.
    ///
    /// Work whose deadline has passed is dropped before it begins; so is work whose caller has gone, because then this
    /// future is no longer polled, or its queue sees it.
    ///
    /// # Errors
    /// [`PredictError::InvalidInput`], [`PredictError::DeadlineExceeded`] or [`PredictError::Forward`]; where it would have
    /// to wait, [`PredictError::Overloaded`] and [`PredictError::TooLate`].
    pub async fn run(
        &self,
        by: &Arc<ServingVersion>,
        payload: Work,
        call: Call,
    ) -> Result<Scored, PredictError> {
        let rows = claimed(&payload);
        let forward = by.queue.costs().estimate(rows).unwrap_or_else(|| {
            let adds = by.version.cost_per_row().saturating_mul(rows);
            Duration::from_nanos(u64::try_from(adds / ADDS_PER_NANO).unwrap_or(u64::MAX))
        });
        if forward.saturating_add(around(&payload, rows)) <= INLINE {
            return score::alone(by, &payload, call);
        }
        let answered = self.pool.submit(by, payload, call, rows)?;
        answered.await.unwrap_or_else(|_| {
            let lost = "the compute pool gave no answer".to_owned();
            Err(failed(&by.version, ForwardError::Panicked(lost)))
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
                let scored = score::alone(&there.by, &payload, call);
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

/// The rows that `payload` claims, at least 1, before it is known to be well-formed: what it claims counts, and is refused
/// later if untrue.
fn claimed(payload: &Payload) -> usize {
    let rows = match payload {
        Payload::Rows(rows) => rows.len(),
        Payload::Tensors(tensors) => tensors.first().map_or(0, |tensor| {
            let rows = tensor.shape.first().copied().unwrap_or(0);
            usize::try_from(rows).unwrap_or(0).min(tensor.data.len())
        }),
    };
    rows.max(1)
}

/// What `payload` costs beside the network.
fn around(payload: &Payload, rows: usize) -> Duration {
    let times =
        |each: Duration, n: usize| each.saturating_mul(u32::try_from(n).unwrap_or(u32::MAX));
    let encoding = match payload {
        Payload::Rows(rows) => times(PER_CELL, rows.iter().map(Vec::len).sum()),
        Payload::Tensors(tensors) => times(
            PER_ELEMENT,
            tensors.iter().map(|tensor| tensor.data.len()).sum(),
        ),
    };
    encoding.saturating_add(times(PER_ROW, rows))
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
            around(&rows(1), 1) < INLINE / 10,
            "one row stays on its thread"
        );
        assert!(around(&rows(1_000), 1_000) > INLINE, "a thousand do not");
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
        for (rows, elements, want, why) in [
            (8, 240, 8, "as it says"),
            (i64::MAX, 10, 10, "a lie about rows is cut to the data"),
            (-1, 30, 1, "a negative axis is refused at once"),
            (0, 0, 1, "and so is nothing"),
        ] {
            assert_eq!(claimed(&tensor(rows, elements)), want, "{why}");
        }
        let wanted = PER_ELEMENT * 240 + PER_ROW * 8;
        assert_eq!(around(&tensor(8, 240), 8), wanted);
    }
}
