//! The batch queue of one version.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::work::{Call, Prediction, Work};
use super::admit::{self, Refusal};
use super::cost::Costs;
use super::form::{Candidate, Decision, Plan, form};
use super::load::{MIN_RETRY_AFTER, PoolLoad};
use super::settings::Batching;
use crate::error::PredictError;
use crate::insight::metrics::GaugeGuard;
use crate::sync;

/// The requests that wait for one version, and the estimated cost of its passes. Bounded in rows.
#[derive(Debug)]
pub struct BatchQueue {
    rules: Batching,
    costs: Costs,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: VecDeque<QueueEntry>,
    rows: usize,
    turn: Turn,
    /// What the version adds to a round of the pool while it has a turn.
    turn_cost: Duration,
}

/// When the pool takes the next batch of a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Turn {
    /// The queue is empty. The next request brings a turn.
    #[default]
    None,
    /// As soon as a thread is free, after the versions whose turn comes first.
    Next,
    /// At this time, or as soon as a batch is full.
    At(Instant),
}

/// A request that waits.
#[derive(Debug)]
pub(super) struct QueueEntry {
    pub(super) work: Work,
    pub(super) call: Call,
    /// As the payload claims; at least 1.
    pub(super) rows: usize,
    pub(super) result: oneshot::Sender<Result<Prediction, PredictError>>,
    /// Its part of the pool's load.
    pub(super) share: Duration,
    /// Counts its rows as waiting.
    pub(super) waiting: GaugeGuard,
}

/// The requests that leave a queue in one turn.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// To be computed together; may be empty.
    pub(super) computed: Vec<QueueEntry>,
    /// To be answered with an error, and why.
    pub(super) dropped: Vec<(QueueEntry, Decision)>,
    /// When the version has its next turn.
    pub(super) next_turn: Turn,
}

impl BatchQueue {
    /// Creates an empty queue of a version whose passes cost what `costs` estimates.
    #[must_use]
    pub fn new(rules: Batching, costs: Costs) -> Self {
        Self {
            rules,
            costs,
            inner: Mutex::default(),
        }
    }

    /// Returns the estimated cost of the version's passes.
    #[must_use]
    pub fn costs(&self) -> &Costs {
        &self.costs
    }

    /// Returns the batching settings of the version.
    #[must_use]
    pub fn rules(&self) -> &Batching {
        &self.rules
    }

    /// Returns the part of the pool's load that a request of so many rows makes up: its part of a full batch.
    pub(super) fn share(&self, rows: usize) -> Duration {
        let max_rows = self.rules.max_batch_rows;
        if rows >= max_rows {
            return self.costs.estimate(rows).unwrap_or_default();
        }
        let batch = self.costs.estimate(max_rows).unwrap_or_default();
        let factor = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        batch / factor(max_rows) * factor(rows)
    }

    /// Queues a request and adds it to `load`. Returns whether the version needs a turn now that it does not have yet.
    ///
    /// # Errors
    /// Returns [`PredictError::Overloaded`] if the queue is full, and [`PredictError::TooLate`] if the request cannot be
    /// answered before its deadline.
    pub(super) fn push(
        &self,
        entry: QueueEntry,
        load: &PoolLoad,
        now: Instant,
    ) -> Result<bool, PredictError> {
        let rules = &self.rules;
        let mut inner = self.lock();
        self.admit(inner.rows, &entry, load, now)?;
        // Added before a thread can take the entry and subtract its share.
        load.add(entry.share);
        inner.rows += entry.rows;
        inner.entries.push_back(entry);
        let needs_turn = match inner.turn {
            Turn::None => {
                inner.turn_cost = self.share(rules.max_batch_rows);
                load.replace_turn(Duration::ZERO, inner.turn_cost);
                true
            }
            Turn::Next => false,
            Turn::At(_) => inner.rows >= rules.max_batch_rows,
        };
        if needs_turn {
            inner.turn = Turn::Next;
        }
        Ok(needs_turn)
    }

    /// Returns an error if `entry` may not wait behind `queued_rows` rows.
    fn admit(
        &self,
        queued_rows: usize,
        entry: &QueueEntry,
        load: &PoolLoad,
        now: Instant,
    ) -> Result<(), PredictError> {
        let rules = &self.rules;
        let deadline = entry.call.deadline;
        let time_left = deadline.map(|deadline| deadline.saturating_duration_since(now));
        let (round, total) = (load.round(), load.total());
        let wait = admit::wait(queued_rows, rules, round, total, load.threads());
        // The request ends with the pass of all requests that it is computed with.
        let joint_rows = queued_rows.saturating_add(entry.rows);
        let pass_rows = joint_rows.min(rules.max_batch_rows).max(entry.rows);
        let pass = self.costs.estimate(pass_rows).unwrap_or_default();
        match admit::refusal(entry.rows, queued_rows, wait, pass, time_left, rules) {
            None => Ok(()),
            Some(Refusal::Full) => Err(PredictError::Overloaded {
                what: "rows that wait for the version",
                limit: rules.max_queue_rows,
                retry_after: wait.max(MIN_RETRY_AFTER),
            }),
            Some(Refusal::TooLate) => Err(PredictError::TooLate {
                left: time_left.unwrap_or_default(),
                needs: admit::with_margin(wait).saturating_add(pass),
                retry_after: wait.max(MIN_RETRY_AFTER),
            }),
        }
    }

    /// Takes the next batch and every request that is to be dropped, and updates in `load` what the version adds to a round.
    /// The shares of the entries stay in `load`.
    pub(super) fn take(&self, load: &PoolLoad, now: Instant) -> Batch {
        let mut inner = self.lock();
        let pass_time = |rows| self.costs.estimate(rows).unwrap_or_default();
        let candidates = inner.entries.iter().map(|entry| Candidate {
            rows: entry.rows,
            arrived: entry.call.arrived,
            deadline: entry.call.deadline,
            cancelled: entry.result.is_closed(),
        });
        let decisions = match form(candidates, now, pass_time, &self.rules) {
            Plan::WaitUntil(until) => {
                inner.turn = Turn::At(until);
                return Batch {
                    next_turn: inner.turn,
                    ..Batch::default()
                };
            }
            Plan::Batch(decisions) => decisions,
        };
        let mut batch = Batch::default();
        for decision in decisions {
            let Some(entry) = inner.entries.pop_front() else {
                break;
            };
            inner.rows -= entry.rows;
            match decision {
                Decision::Compute => batch.computed.push(entry),
                why => batch.dropped.push((entry, why)),
            }
        }
        let (turn, turn_cost) = if inner.entries.is_empty() {
            (Turn::None, Duration::ZERO)
        } else {
            // Estimated again: a queue may never be empty, and passes take longer under load.
            (Turn::Next, self.share(self.rules.max_batch_rows))
        };
        // A version may have a turn when its queue is already empty; both are zero then.
        load.replace_turn(inner.turn_cost, turn_cost);
        (inner.turn, inner.turn_cost) = (turn, turn_cost);
        batch.next_turn = turn;
        batch
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic between two lines above leaves a usable queue.
        sync::lock(&self.inner)
    }
}

#[cfg(test)]
mod tests {
    use tracing::Span;

    use super::*;
    use crate::ident::Role;
    use crate::insight::metrics::{Telemetry, VersionMeters};
    use crate::model::payload::Payload;
    use crate::model::samples;

    const EIGHT: Duration = Duration::from_millis(80);

    /// A queue with batches of 8 rows, which take [`EIGHT`].
    fn queue() -> BatchQueue {
        let rules = Batching {
            max_batch_rows: 8,
            max_queue_rows: 64,
            max_queue_delay: Duration::ZERO,
        };
        BatchQueue::new(rules, Costs::of(&[(8, EIGHT)]))
    }

    type Answered = oneshot::Receiver<Result<Prediction, PredictError>>;

    /// Pushes a request of one row that arrives now, while the pool is idle. Returns also the receiver of its result.
    fn push_one(
        queue: &BatchQueue,
        load: &PoolLoad,
        time_left: Option<Duration>,
    ) -> (Result<bool, PredictError>, Answered) {
        let telemetry = Telemetry::new().unwrap();
        let manifest = samples::manifest(samples::document("m", 1));
        let meters = VersionMeters::new(&telemetry, &manifest).unwrap();
        let now = Instant::now();
        let (result, answered) = oneshot::channel();
        let entry = QueueEntry {
            work: Work::Own(Payload::Rows(Vec::new())),
            call: Call {
                role: Role::Primary,
                arrived: now,
                deadline: time_left.map(|time_left| now + time_left),
                span: Span::none(),
            },
            rows: 1,
            result,
            share: queue.share(1),
            waiting: meters.waiting(1),
        };
        (queue.push(entry, load, now), answered)
    }

    /// Pushes requests without a deadline.
    fn push(queue: &BatchQueue, load: &PoolLoad, number: usize) -> (Vec<bool>, Vec<Answered>) {
        let push = |_| {
            let (pushed, answered) = push_one(queue, load, None);
            (pushed.unwrap(), answered)
        };
        (0..number).map(push).unzip()
    }

    #[tokio::test]
    async fn a_request_that_would_end_too_late_with_those_before_it_is_refused() {
        let queue = queue();
        queue.costs().learn(1, EIGHT / 8);
        let time_left = Some(EIGHT / 2);
        // An idle pool: the wait is zero, and what counts is the pass.
        let idle = || PoolLoad::new(1);
        let (_, _clients) = push(&queue, &idle(), 2);
        let (third, _client) = push_one(&queue, &idle(), time_left);
        assert!(!third.unwrap(), "three rows take less");
        let (_, _more) = push(&queue, &idle(), 4);
        let (eighth, _) = push_one(&queue, &idle(), time_left);
        let needed = match eighth {
            Err(PredictError::TooLate { needs, .. }) => needs,
            other => panic!("{other:?}"),
        };
        assert!(needed.abs_diff(EIGHT) < EIGHT / 100, "{needed:?}");
        let (_, _more) = push(&queue, &idle(), 20);
        let (last, _client) = push_one(&queue, &idle(), Some(EIGHT * 2));
        assert!(!last.unwrap(), "no batch has more than 8 rows");
    }

    #[tokio::test]
    async fn a_turn_with_an_empty_queue_subtracts_nothing_from_the_round() {
        let (queue, load) = (queue(), PoolLoad::new(1));
        let (needs_turn, _clients) = push(&queue, &load, 1);
        assert_eq!(needs_turn, [true], "the first request brings a turn");
        assert_eq!(load.round(), EIGHT);
        let first = queue.take(&load, Instant::now());
        assert_eq!((first.computed.len(), load.round()), (1, Duration::ZERO));
        let again = queue.take(&load, Instant::now());
        assert_eq!((again.computed.len(), load.round()), (0, Duration::ZERO));
        assert_eq!(again.next_turn, Turn::None);
    }

    #[tokio::test]
    async fn the_cost_of_a_turn_follows_the_cost_of_passes_while_the_queue_is_never_empty() {
        let (queue, load) = (queue(), PoolLoad::new(1));
        let (_, _clients) = push(&queue, &load, 20);
        (0..100).for_each(|_| queue.costs().learn(8, EIGHT * 2));
        assert_eq!(load.round(), EIGHT);
        let batch = queue.take(&load, Instant::now());
        assert_eq!((batch.computed.len(), batch.next_turn), (8, Turn::Next));
        let round = load.round();
        assert!(round > EIGHT * 3 / 2, "{round:?}");
        queue.take(&load, Instant::now());
        queue.take(&load, Instant::now());
        assert_eq!(load.round(), Duration::ZERO, "what was added is subtracted");
    }
}
