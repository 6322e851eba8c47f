//! The queue of one version.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::execute::{Call, Work};
use super::super::score::Scored;
use super::admit::{self, Ahead, Refusal};
use super::form::{Fate, Formed, Waits, form};
use super::{Batching, Costs};
use crate::error::PredictError;
use crate::insight::metrics::Waiting;

/// Who was turned away should not come back sooner.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// What waits for one version, and what its passes take. A queue is bounded in rows.
#[derive(Debug)]
pub struct Queue {
    rules: Batching,
    costs: Costs,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    jobs: VecDeque<Job>,
    rows: usize,
    turn: Turn,
    /// What it adds to a round while it has a turn.
    batch: Duration,
}

/// Whether the pool knows that something waits here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Turn {
    /// Nothing does.
    #[default]
    None,
    /// It has a turn.
    Next,
    /// It gets one when a delay is over.
    Later,
}

/// A request that waits.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) call: Call,
    /// As claimed; at least 1.
    pub(super) rows: usize,
    pub(super) answer: oneshot::Sender<Result<Scored, PredictError>>,
    /// What it adds to the work that lies before others.
    pub(super) share: Duration,
    pub(super) waiting: Waiting,
}

/// What the pool must do after a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// Nothing: the version has its turn.
    Quietly,
    /// Give the version a turn; a round takes this much longer.
    First(Duration),
    /// Give the version, which waited for company, a turn at once.
    Full,
}

/// What a turn brought.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// To be computed together; may be empty.
    pub(super) batch: Vec<Job>,
    /// To be dropped.
    pub(super) dropped: Vec<(Job, Fate)>,
    pub(super) next: Next,
    /// A round takes this much less from now on.
    pub(super) freed: Duration,
}

/// When the version gets its next turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Next {
    /// When another request comes.
    #[default]
    Idle,
    /// After the others.
    Soon,
    /// Not before then.
    At(Instant),
}

/// What the pool knows of all that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// One turn of every version that waits.
    pub(super) round: Duration,
    /// All that waits or runs.
    pub(super) all: Duration,
    pub(super) threads: usize,
}

impl Queue {
    /// An empty one, of a version whose passes take what `costs` says.
    #[must_use]
    pub fn new(rules: Batching, costs: Costs) -> Self {
        Self {
            rules,
            costs,
            inner: Mutex::default(),
        }
    }

    /// What its passes take.
    #[must_use]
    pub fn costs(&self) -> &Costs {
        &self.costs
    }

    /// How its requests are put together.
    #[must_use]
    pub fn rules(&self) -> &Batching {
        &self.rules
    }

    /// What a request of so many rows adds to the work that lies before others: its part of a full batch.
    pub(super) fn share(&self, rows: usize) -> Duration {
        let most = self.rules.max_batch_rows;
        if rows >= most {
            return self.costs.estimate(rows).unwrap_or_default();
        }
        let batch = self.costs.estimate(most).unwrap_or_default();
        let ratio = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        batch / ratio(most) * ratio(rows)
    }

    /// Takes a request in, unless it may not wait.
    ///
    /// # Errors
    /// [`PredictError::Overloaded`], [`PredictError::TooLate`].
    pub(super) fn push(&self, job: Job, load: Load, now: Instant) -> Result<Came, PredictError> {
        let rules = &self.rules;
        let takes = self.costs.estimate(job.rows).unwrap_or_default();
        let left = job.call.deadline;
        let left = left.map(|deadline| deadline.saturating_duration_since(now));
        let mut inner = self.lock();
        let wait = admit::wait(inner.rows, rules, load.round, load.all, load.threads);
        let rows = inner.rows;
        match admit::refusal(job.rows, Ahead { rows, wait }, takes, left, rules) {
            None => {}
            Some(Refusal::Full) => {
                return Err(PredictError::Overloaded {
                    what: "rows that wait for the version",
                    limit: rules.max_queue_rows,
                    retry_after: wait.max(LEAST_WAIT),
                });
            }
            Some(Refusal::TooLate) => {
                return Err(PredictError::TooLate {
                    left: left.unwrap_or_default(),
                    needs: wait + takes,
                });
            }
        }
        inner.rows += job.rows;
        inner.jobs.push_back(job);
        Ok(match inner.turn {
            Turn::Next => Came::Quietly,
            Turn::Later if inner.rows < rules.max_batch_rows => Came::Quietly,
            Turn::Later => {
                inner.turn = Turn::Next;
                Came::Full
            }
            Turn::None => {
                inner.turn = Turn::Next;
                inner.batch = self.share(rules.max_batch_rows);
                Came::First(inner.batch)
            }
        })
    }

    /// The next batch, and what is over.
    pub(super) fn take(&self, now: Instant) -> Taken {
        let mut inner = self.lock();
        let rows = inner.rows.clamp(1, self.rules.max_batch_rows);
        let takes = self.costs.estimate(rows).unwrap_or_default();
        let waits = inner.jobs.iter().map(|job| Waits {
            rows: job.rows,
            since: job.call.at,
            deadline: job.call.deadline,
            gone: job.answer.is_closed(),
        });
        let fates = match form(waits, now, takes, &self.rules) {
            Formed::Wait(until) => {
                inner.turn = Turn::Later;
                return Taken {
                    next: Next::At(until),
                    ..Taken::default()
                };
            }
            Formed::Batch(fates) => fates,
        };
        let mut taken = Taken::default();
        for fate in fates {
            let Some(job) = inner.jobs.pop_front() else {
                break;
            };
            inner.rows -= job.rows;
            match fate {
                Fate::Computed => taken.batch.push(job),
                over => taken.dropped.push((job, over)),
            }
        }
        if inner.jobs.is_empty() {
            inner.turn = Turn::None;
            // Taken out: a version may get a turn when nothing waits any more, and frees nothing then.
            taken.freed = std::mem::take(&mut inner.batch);
        } else {
            inner.turn = Turn::Next;
            taken.next = Next::Soon;
        }
        taken
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic between two lines above leaves a queue that is as good as before.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::Role;
    use crate::insight::metrics::{Telemetry, VersionMeters};
    use crate::model::payload::Payload;
    use crate::model::samples;

    #[tokio::test]
    async fn a_turn_that_comes_when_nothing_waits_any_more_frees_nothing() {
        let rules = Batching {
            max_batch_rows: 8,
            max_queue_rows: 64,
            max_queue_delay: Duration::ZERO,
        };
        let takes = Duration::from_millis(80);
        let queue = Queue::new(rules, Costs::of(&[(8, takes)]));
        let telemetry = Telemetry::new().unwrap();
        let manifest = samples::manifest(samples::document("m", 1));
        let meters = VersionMeters::new(&telemetry, &manifest).unwrap();
        let now = Instant::now();
        let (answer, _answered) = oneshot::channel();
        let job = Job {
            work: Work::Own(Payload::Rows(Vec::new())),
            call: Call {
                role: Role::Primary,
                at: now,
                deadline: None,
            },
            rows: 1,
            answer,
            share: queue.share(1),
            waiting: meters.waiting(1),
        };
        let load = Load {
            round: Duration::ZERO,
            all: Duration::ZERO,
            threads: 1,
        };
        let Ok(Came::First(added)) = queue.push(job, load, now) else {
            panic!("the first one gives a turn");
        };
        let first = queue.take(now);
        assert_eq!((first.batch.len(), first.freed), (1, added));
        let again = queue.take(now);
        assert_eq!((again.batch.len(), again.freed), (0, Duration::ZERO));
        assert_eq!(again.next, Next::Idle);
    }
}
