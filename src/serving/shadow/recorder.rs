//! The thread that records what shadows computed, at normal priority.
//!
//! The threads that score copies have the lowest priority. If one of them held a lock, every thread that waits for the lock
//! would wait for as long as the cores are busy. So they take none, and send their results here; recording goes through locks
//! that `Predict`, `GetStats` and the metrics take too.
//!
//! Invariants: every computed copy is recorded, or counted as dropped if this thread has ended; at most [`CAPACITY`] copies
//! wait.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, SyncSender},
    },
    thread::Builder,
    time::Duration,
};

use tokio::time::Instant;

use super::super::score::UnrecordedPrediction;
use super::super::version::VersionRuntime;
use super::super::work::Prediction;
use super::memory::Reservation;
use super::queue::{ShadowCopy, sleep};
use crate::error::{Code, PredictError};
use crate::ident::{Role, VersionNumber};
use crate::insight::attempt::Attempt;
use crate::insight::compare::{Pair, Side};
use crate::insight::metrics::DropReason;
use crate::insight::outcomes::Outcomes;

/// Copies that may wait here. Their memory stays reserved meanwhile.
const CAPACITY: usize = 256;
/// How long results gather, so that a thread that sends one need not wake this thread. A thread that finds the channel full
/// waits.
const GATHER: Duration = Duration::from_millis(1);

/// A copy that a shadow's thread is done with.
#[expect(clippy::large_enum_variant, reason = "most copies are computed")]
#[derive(Debug)]
pub(super) enum ProcessedCopy {
    /// It was computed, and is to be recorded.
    Computed(ComputedCopy),
    /// It was dropped and counted, and is to be freed: here, because the allocator has locks too.
    Dropped {
        /// The copy.
        copy: ShadowCopy,
        /// Its memory.
        memory: Reservation,
    },
}

/// A copy that was computed.
#[derive(Debug)]
pub(super) struct ComputedCopy {
    /// The shadow.
    pub(super) version: Arc<VersionRuntime>,
    pub(super) copy: ShadowCopy,
    pub(super) memory: Reservation,
    pub(super) began: Instant,
    pub(super) expires: Instant,
    pub(super) ended: Instant,
    /// Whether it was counted as overdue while it ran.
    pub(super) counted_overdue: bool,
    pub(super) result: Result<UnrecordedPrediction, PredictError>,
}

/// Starts the thread. It ends when every sender is dropped.
///
/// # Errors
/// Returns an error if the system cannot start a thread.
pub(super) fn start(outcomes: Option<Arc<Outcomes>>) -> io::Result<SyncSender<ProcessedCopy>> {
    let (sender, receiver) = mpsc::sync_channel::<ProcessedCopy>(CAPACITY);
    Builder::new()
        .name("taper-recorder".into())
        .spawn(move || {
            let record = |copy: ProcessedCopy| copy.record(outcomes.as_deref());
            while let Ok(first) = receiver.recv() {
                record(first);
                // Blocks in `recv`, and so asks to be woken, only after a pause without results.
                loop {
                    sleep(GATHER);
                    if receiver.try_iter().map(record).count() == 0 {
                        break;
                    }
                }
            }
        })?;
    Ok(sender)
}

impl ProcessedCopy {
    /// Records a computed copy, and frees the copy.
    pub(super) fn record(self, outcomes: Option<&Outcomes>) {
        match self {
            Self::Computed(computed) => computed.record(outcomes),
            Self::Dropped { copy, memory } => drop((copy, memory)),
        }
    }

    /// Counts a computed copy as dropped, unless it was counted already. For a copy that can no longer be recorded.
    pub(super) fn count_as_dropped(self) {
        if let Self::Computed(computed) = self
            && !computed.counted_overdue
        {
            let meters = &computed.version.insight.meters;
            meters.shadow_dropped(DropReason::Draining);
        }
    }
}

impl ComputedCopy {
    fn record(self, outcomes: Option<&Outcomes>) {
        let Self {
            version,
            copy,
            memory,
            began,
            expires,
            ended,
            counted_overdue,
            result: unrecorded,
        } = self;
        let insight = &*version.insight;
        let response_id = &copy.primary.response_id;
        let mut attempt = Attempt::start(insight, Role::Shadow, response_id, began, Some(expires));
        if let Some(outcomes) = outcomes {
            attempt.remember_in(outcomes);
        }
        if counted_overdue {
            attempt.set_counted();
        }
        let result = unrecorded.map(|unrecorded| unrecorded.record(&version, Role::Shadow));
        if let Err(PredictError::Forward {
            version: number,
            source,
        }) = &result
        {
            let model = &version.version.manifest().model;
            tracing::debug!(%model, version = %number, error = %source, "a shadow failed");
        }
        let code = match &result {
            _ if expires <= ended => Code::DeadlineExceeded,
            Ok(_) => Code::Ok,
            Err(error) => error.code(),
        };
        // The result of an answer past the deadline counts too: being late does not make it less correct.
        attempt.end_at(
            ended,
            code,
            result.as_ref().ok().map(Prediction::pass_result),
        );
        if let (Ok(prediction), Some(answer)) = (&result, &copy.primary.answer) {
            let pair = Pair {
                primary: side(copy.primary.version, answer),
                primary_info: &copy.primary.info,
                shadow: side(version.number(), prediction),
                response_id,
                inputs: &copy.payload,
            };
            insight.compare(&pair);
        }
        drop((copy, memory));
    }
}

fn side(version: VersionNumber, prediction: &Prediction) -> Side<'_> {
    Side {
        version,
        scores: &prediction.pass.scores,
        summarised: prediction.pass.summarised_output(),
        top: &prediction.top,
        inference: prediction.inference,
    }
}
