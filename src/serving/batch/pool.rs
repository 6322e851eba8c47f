//! The threads that compute, and whose turn it is.

use std::collections::VecDeque;
use std::io;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::execute::{Call, Work};
use super::super::live::ServingVersion;
use super::super::score::{self, Scored};
use super::form::Fate;
use super::queue::{Came, Job, LEAST_WAIT, Load, Next, Taken};
use crate::error::PredictError;
use crate::insight::metrics::AbandonReason;
use crate::priority::set_background;

/// As many threads as there are cores, which let those that answer go first. When it is dropped, what waits gets no answer, and
/// a thread in a forward pass ends after that.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    line: Mutex<Line>,
    wake: Condvar,
    threads: usize,
    /// Nanoseconds of all that waits or runs, as estimated.
    all: AtomicU64,
    /// Nanoseconds of one batch of each version that waits.
    round: AtomicU64,
}

/// The versions for which something waits.
#[derive(Debug, Default)]
struct Line {
    /// In the order of their turns.
    ready: VecDeque<Arc<ServingVersion>>,
    /// Those that wait for company, and until when.
    later: Vec<(Instant, Arc<ServingVersion>)>,
    ended: bool,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system gives none.
    pub fn start() -> io::Result<Self> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let shared = Arc::new(Shared {
            line: Mutex::default(),
            wake: Condvar::new(),
            threads,
            all: AtomicU64::new(0),
            round: AtomicU64::new(0),
        });
        // Made first, so that those that did start end where a later one does not.
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

    /// Has `work`, which claims so many rows, scored by `by` when its turn comes. Never waits.
    ///
    /// # Errors
    /// [`PredictError::Overloaded`] and [`PredictError::TooLate`]: it may not wait.
    pub(in super::super) fn submit(
        &self,
        by: &Arc<ServingVersion>,
        work: Work,
        call: Call,
        rows: usize,
    ) -> Result<oneshot::Receiver<Result<Scored, PredictError>>, PredictError> {
        let shared = &*self.shared;
        let (answer, answered) = oneshot::channel();
        let share = by.queue.share(rows);
        let job = Job {
            work,
            call,
            rows,
            answer,
            share,
            waiting: by.insight.meters.waiting(rows),
        };
        let load = Load {
            round: Duration::from_nanos(shared.round.load(Ordering::Relaxed)),
            all: Duration::from_nanos(shared.all.load(Ordering::Relaxed)),
            threads: shared.threads,
        };
        // Counted before a thread can have done it.
        add(&shared.all, share);
        match by.queue.push(job, load, Instant::now()) {
            Err(refused) => {
                subtract(&shared.all, share);
                return Err(refused);
            }
            Ok(Came::Quietly) => {}
            Ok(Came::First(batch)) => {
                add(&shared.round, batch);
                shared.give_turn(by);
            }
            Ok(Came::Full) => {
                let is_same = |other: &Arc<ServingVersion>| Arc::ptr_eq(by, other);
                shared.lock().later.retain(|(_, other)| !is_same(other));
                shared.give_turn(by);
            }
        }
        Ok(answered)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.wake.notify_all();
    }
}

impl Shared {
    fn work(&self) {
        while let Some(by) = self.next() {
            let now = Instant::now();
            let Taken {
                jobs,
                dropped,
                next,
                batch,
            } = by.queue.take(now);
            if batch.from != batch.to {
                add(&self.round, batch.to);
                subtract(&self.round, batch.from);
            }
            match next {
                Next::Idle => {}
                Next::Soon => self.give_turn(&by),
                Next::At(until) => {
                    self.lock().later.push((until, Arc::clone(&by)));
                    // Who sleeps without an end, or until a later moment, must hear of it.
                    self.wake.notify_one();
                }
            }
            for (job, fate) in dropped {
                self.drop_one(&by, job, fate, now);
            }
            if !jobs.is_empty() {
                self.compute(by, jobs);
            }
        }
    }

    /// Whose turn it is. Sleeps until there is one; `None` at the end.
    fn next(&self) -> Option<Arc<ServingVersion>> {
        let mut line = self.lock();
        loop {
            if line.ended {
                return None;
            }
            let now = Instant::now();
            if let Some(at) = line.later.iter().position(|(until, _)| *until <= now) {
                return Some(line.later.swap_remove(at).1);
            }
            if let Some(by) = line.ready.pop_front() {
                return Some(by);
            }
            let first = line.later.iter().map(|(until, _)| *until).min();
            line = match first {
                None => self.wake.wait(line).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let wait = until.saturating_duration_since(now);
                    let woken = self.wake.wait_timeout(line, wait);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn give_turn(&self, by: &Arc<ServingVersion>) {
        self.lock().ready.push_back(Arc::clone(by));
        self.wake.notify_one();
    }

    fn drop_one(&self, by: &ServingVersion, job: Job, fate: Fate, now: Instant) {
        subtract(&self.all, job.share);
        let (why, error) = match (fate, job.call.deadline) {
            (Fate::Late(needs), Some(deadline)) => {
                let late = PredictError::TooLate {
                    left: deadline.saturating_duration_since(now),
                    needs,
                    retry_after: self.all_done_after(),
                };
                (AbandonReason::Late, late)
            }
            (Fate::Expired, _) => (AbandonReason::Expired, PredictError::DeadlineExceeded),
            _ => (AbandonReason::Cancelled, PredictError::DeadlineExceeded),
        };
        by.insight.meters.abandoned(why);
        // Where nobody waits any more, nobody is told.
        let _ = job.answer.send(Err(error));
    }

    /// How long all takes that waits or runs now.
    fn all_done_after(&self) -> Duration {
        let all = Duration::from_nanos(self.all.load(Ordering::Relaxed));
        let threads = u32::try_from(self.threads).unwrap_or(u32::MAX).max(1);
        (all / threads).max(LEAST_WAIT)
    }

    /// Scores a batch and answers each of its requests.
    fn compute(&self, by: Arc<ServingVersion>, batch: Vec<Job>) {
        let (mut asked, mut callers) = (Vec::new(), Vec::new());
        let mut share = Duration::ZERO;
        for job in batch {
            // It waits no longer.
            drop(job.waiting);
            share += job.share;
            asked.push((job.work, job.call));
            callers.push(job.answer);
        }
        // What a panic leaves half done is the answers, and nobody gets them.
        let scored = catch_unwind(AssertUnwindSafe(|| score::together(&by, &asked)));
        subtract(&self.all, share);
        // Before anybody is answered, so that whoever waits for the version's end need not wait for this thread.
        drop(by);
        // Without an answer each caller hears that its sender has gone.
        for (caller, answer) in callers.into_iter().zip(scored.unwrap_or_default()) {
            let _ = caller.send(answer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(sum: &AtomicU64, part: Duration) {
    sum.fetch_add(nanos(part), Ordering::Relaxed);
}

fn subtract(sum: &AtomicU64, part: Duration) {
    sum.fetch_sub(nanos(part), Ordering::Relaxed);
}

fn nanos(part: Duration) -> u64 {
    u64::try_from(part.as_nanos()).unwrap_or(u64::MAX / 2)
}
