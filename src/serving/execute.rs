//! Where a forward pass runs: on the thread that has the request while that is cheaper than a thread hop, else on the
//! blocking pool, as many at once as there are cores, so that dear models never hold up the async workers.

use std::{num::NonZero, sync::Arc, thread, time::Duration};

use tokio::{sync::Semaphore, task, time::Instant};

use super::live::ServingVersion;
use crate::error::{ForwardError, PredictError};
use crate::model::{Rows, Scores};

/// Up to this many multiply-adds run in place: about 50 µs on one slow core, which an async worker can spare.
pub const INLINE_COST: usize = 250_000;

/// Runs forward passes.
#[derive(Debug)]
pub struct Executor {
    /// Permits to compute on the blocking pool. Who waits here is bounded by the limit on requests in flight.
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
    /// Scores `rows`; also tells how long the forward pass itself took.
    ///
    /// Work whose deadline has passed is dropped before it begins; so is work whose caller has gone, because then this
    /// future is no longer polled.
    ///
    /// # Errors
    /// [`PredictError::DeadlineExceeded`] or [`PredictError::Forward`].
    pub async fn forward(
        &self,
        by: &Arc<ServingVersion>,
        rows: Rows,
        deadline: Option<Instant>,
    ) -> Result<(Scores, Duration), PredictError> {
        if by.version.cost_per_row().saturating_mul(rows.len()) <= INLINE_COST {
            return timed(by, &rows, deadline);
        }
        let Ok(permit) = Arc::clone(&self.cores).acquire_owned().await else {
            // Nobody closes the semaphore.
            return Err(failed(
                by,
                ForwardError::Failed("the compute pool is closed".into()),
            ));
        };
        let worker = Arc::clone(by);
        task::spawn_blocking(move || {
            let _permit = permit;
            timed(&worker, &rows, deadline)
        })
        .await
        .unwrap_or_else(|error| Err(failed(by, ForwardError::Panicked(error.to_string()))))
    }
}

fn timed(
    by: &Arc<ServingVersion>,
    rows: &Rows,
    deadline: Option<Instant>,
) -> Result<(Scores, Duration), PredictError> {
    let start = Instant::now();
    if deadline.is_some_and(|deadline| deadline <= start) {
        return Err(PredictError::DeadlineExceeded);
    }
    let scores = by
        .version
        .forward(rows)
        .map_err(|source| failed(by, source))?;
    Ok((scores, start.elapsed()))
}

fn failed(by: &ServingVersion, source: ForwardError) -> PredictError {
    PredictError::Forward {
        version: by.number(),
        source,
    }
}
