//! The threads that compute, and the order in which versions have their turns.

use std::collections::VecDeque;
use std::io;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::score;
use super::super::version::VersionRuntime;
use super::super::work::{Call, Prediction, Work};
use super::form::Decision;
use super::load::PoolLoad;
use super::queue::{Batch, QueueEntry, Turn};
use crate::error::PredictError;
use crate::insight::metrics::AbandonReason;
use crate::priority::set_background;
use crate::sync;

/// The compute pool: as many threads as cores, which yield to the threads that answer requests. When it is dropped, waiting
/// requests get no result, and each thread ends after its current pass.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    schedule: Mutex<Schedule>,
    wake: Condvar,
    load: PoolLoad,
}

/// The versions that have waiting requests.
#[derive(Debug, Default)]
struct Schedule {
    /// In the order of their turns.
    ready: VecDeque<Arc<VersionRuntime>>,
    /// Versions whose turn comes at a given time.
    delayed: Vec<(Instant, Arc<VersionRuntime>)>,
    is_closed: bool,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// Returns an error if the system cannot start a thread.
    pub fn start() -> io::Result<Self> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let shared = Arc::new(Shared {
            schedule: Mutex::default(),
            wake: Condvar::new(),
            load: PoolLoad::new(threads),
        });
        // Created first: if a thread cannot start, dropping the pool ends those that did.
        let pool = Self {
            shared: Arc::clone(&shared),
        };
        for at in 0..threads {
            let shared = Arc::clone(&shared);
            Builder::new()
                .name(format!("taper-compute-{at}"))
                .spawn(move || {
                    set_background();
                    shared.work();
                })?;
        }
        Ok(pool)
    }

    /// Queues `work`, which claims so many rows, for `version`. Returns where its result will arrive. Never waits.
    ///
    /// # Errors
    /// Returns [`PredictError::Overloaded`] or [`PredictError::TooLate`] if the queue of the version refuses it.
    pub(in super::super) fn submit(
        &self,
        version: &Arc<VersionRuntime>,
        work: Work,
        call: Call,
        rows: usize,
    ) -> Result<oneshot::Receiver<Result<Prediction, PredictError>>, PredictError> {
        let (result, answered) = oneshot::channel();
        let entry = QueueEntry {
            work,
            call,
            rows,
            result,
            share: version.queue.share(rows),
            waiting: version.insight.meters.waiting(rows),
        };
        let load = &self.shared.load;
        if version.queue.push(entry, load, Instant::now())? {
            self.shared.give_turn(version);
        }
        Ok(answered)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.wake.notify_all();
    }
}

impl Shared {
    fn work(&self) {
        while let Some(version) = self.next() {
            let now = Instant::now();
            let Batch {
                computed,
                dropped,
                next_turn,
            } = version.queue.take(&self.load, now);
            match next_turn {
                Turn::None => {}
                Turn::Next => self.give_turn(&version),
                Turn::At(until) => {
                    self.lock().delayed.push((until, Arc::clone(&version)));
                    // A thread that sleeps longer than this, or without an end, must wake up earlier.
                    self.wake.notify_one();
                }
            }
            for (entry, why) in dropped {
                self.drop_entry(&version, entry, why, now);
            }
            if !computed.is_empty() {
                self.compute(version, computed);
            }
        }
    }

    /// Waits for a version that has its turn. Returns `None` once the pool is dropped.
    fn next(&self) -> Option<Arc<VersionRuntime>> {
        let mut schedule = self.lock();
        loop {
            if schedule.is_closed {
                return None;
            }
            let now = Instant::now();
            let is_due = |(until, _): &(Instant, _)| *until <= now;
            if let Some(at) = schedule.delayed.iter().position(is_due) {
                return Some(schedule.delayed.swap_remove(at).1);
            }
            if let Some(version) = schedule.ready.pop_front() {
                return Some(version);
            }
            let first = schedule.delayed.iter().map(|(until, _)| *until).min();
            schedule = match first {
                None => self
                    .wake
                    .wait(schedule)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let wait = until.saturating_duration_since(now);
                    let woken = self.wake.wait_timeout(schedule, wait);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Puts the version at the end of those whose turn is next, also if its turn was delayed.
    fn give_turn(&self, version: &Arc<VersionRuntime>) {
        let mut schedule = self.lock();
        schedule
            .delayed
            .retain(|(_, other)| !Arc::ptr_eq(version, other));
        schedule.ready.push_back(Arc::clone(version));
        drop(schedule);
        self.wake.notify_one();
    }

    /// Answers a request that is not computed, and counts it.
    fn drop_entry(
        &self,
        version: &VersionRuntime,
        entry: QueueEntry,
        decision: Decision,
        now: Instant,
    ) {
        self.load.subtract(entry.share);
        let (why, error) = match (decision, entry.call.deadline) {
            (Decision::TooLate(needs), Some(deadline)) => {
                let too_late = PredictError::TooLate {
                    left: deadline.saturating_duration_since(now),
                    needs,
                    retry_after: self.load.time_to_finish(),
                };
                (AbandonReason::Late, too_late)
            }
            (Decision::Expired, _) => (AbandonReason::Expired, PredictError::DeadlineExceeded),
            _ => (AbandonReason::Cancelled, PredictError::DeadlineExceeded),
        };
        version.insight.meters.abandoned(why);
        // Fails if the client has disconnected.
        let _ = entry.result.send(Err(error));
    }

    /// Scores a batch and answers each of its requests.
    fn compute(&self, version: Arc<VersionRuntime>, batch: Vec<QueueEntry>) {
        let (mut requests, mut clients) = (Vec::new(), Vec::new());
        let mut share = Duration::ZERO;
        for entry in batch {
            // The request no longer counts as waiting.
            drop(entry.waiting);
            share += entry.share;
            requests.push((entry.work, entry.call));
            clients.push(entry.result);
        }
        // A panic leaves only the results incomplete, and no client receives them.
        let results = catch_unwind(AssertUnwindSafe(|| score::score_batch(&version, &requests)));
        self.load.subtract(share);
        // Released before the clients are answered, so that nothing that waits for the version to be freed waits for this
        // thread.
        drop(version);
        // Without a result, each client sees that its sender is dropped.
        for (client, result) in clients.into_iter().zip(results.unwrap_or_default()) {
            let _ = client.send(result);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Schedule> {
        sync::lock(&self.schedule)
    }
}
