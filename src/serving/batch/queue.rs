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
use crate::insight::metrics::GaugeGuard;

/// Who was turned away should not come back sooner.
pub(super) const LEAST_WAIT: Duration = Duration::from_millis(1);

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
    pub(super) waiting: GaugeGuard,
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
    pub(super) jobs: Vec<Job>,
    /// To be dropped.
    pub(super) dropped: Vec<(Job, Fate)>,
    pub(super) next: Next,
    /// What the version added to a round until now, and what it adds from now on.
    pub(super) batch: Changed,
}

/// What was and what is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) from: Duration,
    pub(super) to: Duration,
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
        let left = job.call.deadline;
        let left = left.map(|deadline| deadline.saturating_duration_since(now));
        let mut inner = self.lock();
        let rows = inner.rows;
        let wait = admit::wait(rows, rules, load.round, load.all, load.threads);
        // It ends with the pass of all that it will be computed with.
        let together = rows.saturating_add(job.rows).min(rules.max_batch_rows);
        let takes = self.costs.estimate(together.max(job.rows));
        let takes = takes.unwrap_or_default();
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
                    needs: admit::careful(wait).saturating_add(takes),
                    retry_after: wait.max(LEAST_WAIT),
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
        let takes = |rows| self.costs.estimate(rows).unwrap_or_default();
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
                Fate::Computed => taken.jobs.push(job),
                over => taken.dropped.push((job, over)),
            }
        }
        taken.batch.from = inner.batch;
        if inner.jobs.is_empty() {
            inner.turn = Turn::None;
            // A version may get a turn when nothing waits any more, and gives nothing back then.
            inner.batch = Duration::ZERO;
        } else {
            inner.turn = Turn::Next;
            taken.next = Next::Soon;
            // A queue may never be empty, and passes take longer when much else is to be done.
            inner.batch = self.share(self.rules.max_batch_rows);
        }
        taken.batch.to = inner.batch;
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
    use crate::insight::{VersionInsight, metrics::Telemetry, stats};
    use crate::model::payload::Payload;
    use crate::model::samples;

    const EIGHT: Duration = Duration::from_millis(80);

    /// Of batches of 8 rows, which take [`EIGHT`].
    fn queue() -> Queue {
        let rules = Batching {
            max_batch_rows: 8,
            max_queue_rows: 64,
            max_queue_delay: Duration::ZERO,
        };
        Queue::new(rules, Costs::of(&[(8, EIGHT)]))
    }

    type Answered = oneshot::Receiver<Result<Scored, PredictError>>;

    /// A request of one row, which comes now and has so long, and who waits for it.
    fn push_one(queue: &Queue, left: Option<Duration>) -> (Result<Came, PredictError>, Answered) {
        let telemetry = Telemetry::new().unwrap();
        let manifest = samples::manifest(samples::document("m", 1));
        let insight =
            VersionInsight::new(&telemetry, &manifest, stats::Settings::default()).unwrap();
        let now = Instant::now();
        let load = Load {
            round: Duration::ZERO,
            all: Duration::ZERO,
            threads: 1,
        };
        let (answer, answered) = oneshot::channel();
        let job = Job {
            work: Work::Own(Payload::Rows(Vec::new())),
            call: Call {
                role: Role::Primary,
                at: now,
                deadline: left.map(|left| now + left),
            },
            rows: 1,
            answer,
            share: queue.share(1),
            waiting: insight.meters.waiting(1),
        };
        (queue.push(job, load, now), answered)
    }

    /// Requests that have for ever.
    fn push(queue: &Queue, number: usize) -> (Vec<Came>, Vec<Answered>) {
        let push = |_| {
            let (came, answered) = push_one(queue, None);
            (came.unwrap(), answered)
        };
        (0..number).map(push).unzip()
    }

    #[tokio::test]
    async fn who_would_end_too_late_with_those_before_it_is_refused() {
        let queue = queue();
        queue.costs().learn(1, EIGHT / 8);
        let left = Some(EIGHT / 2);
        let (_, _callers) = push(&queue, 2);
        let (third, _caller) = push_one(&queue, left);
        assert_eq!(third.unwrap(), Came::Quietly, "three rows take less");
        let (_, _more) = push(&queue, 4);
        let (eighth, _) = push_one(&queue, left);
        let needed = match eighth {
            Err(PredictError::TooLate { needs, .. }) => needs,
            other => panic!("{other:?}"),
        };
        assert!(needed.abs_diff(EIGHT) < EIGHT / 100, "{needed:?}");
        let (_, _more) = push(&queue, 20);
        let (last, _caller) = push_one(&queue, Some(EIGHT * 2));
        assert_eq!(last.unwrap(), Came::Quietly, "no batch has more than 8");
    }

    #[tokio::test]
    async fn a_turn_that_comes_when_nothing_waits_any_more_gives_nothing_back() {
        let queue = queue();
        let (came, _callers) = push(&queue, 1);
        assert_eq!(came, [Came::First(EIGHT)], "the first one gives a turn");
        let (from, to) = (EIGHT, Duration::ZERO);
        let first = queue.take(Instant::now());
        assert_eq!((first.jobs.len(), first.batch), (1, Changed { from, to }));
        let again = queue.take(Instant::now());
        assert_eq!((again.jobs.len(), again.batch), (0, Changed::default()));
        assert_eq!(again.next, Next::Idle);
    }

    #[tokio::test]
    async fn what_a_turn_takes_follows_what_passes_take_while_the_queue_is_never_empty() {
        let queue = queue();
        let (_, _callers) = push(&queue, 20);
        (0..100).for_each(|_| queue.costs().learn(8, EIGHT * 2));
        let turn = queue.take(Instant::now());
        assert_eq!((turn.jobs.len(), turn.next), (8, Next::Soon));
        assert_eq!(turn.batch.from, EIGHT);
        assert!(turn.batch.to > EIGHT * 3 / 2, "{:?}", turn.batch);
        let next = queue.take(Instant::now());
        assert_eq!(
            next.batch.from, turn.batch.to,
            "what was added is what goes"
        );
    }
}
