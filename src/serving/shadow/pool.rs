//! The threads that score copies, and what they may take together.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Receiver, SendError, SyncSender},
    },
    thread::Builder,
};

use tokio::time::Instant;

use super::super::execute::Call;
use super::super::score;
use super::budget::Budget;
use super::queue::{Copied, QueueShared, ShadowQueue, Waiting, sleeper};
use super::recorder::{self, Computed, Done};
use crate::ident::Role;
use crate::insight::metrics::DropReason;
use crate::insight::outcomes::Outcomes;
use crate::priority::{cpu_time, set_idle_priority};

/// Lanes that may wait for their threads.
const WAITING: usize = 64;
/// A copy counts for at least this much memory.
const LEAST_BYTES: usize = 1_024;

/// What all shadows of a gateway may take together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShadowPoolSettings {
    /// Compute time, in per cent of one core: of encoding and forward passes. What is recorded of them comes on top.
    pub compute_share: u32,
    /// Threads.
    pub max_threads: usize,
    /// Bytes of the copies that wait, as they came over the wire.
    pub max_bytes: usize,
}

impl Default for ShadowPoolSettings {
    fn default() -> Self {
        Self {
            compute_share: 100,
            max_threads: 64,
            max_bytes: 16 << 20,
        }
    }
}

/// Scores copies. When it is dropped, nothing new is scored; a thread in a forward pass goes on by itself until that ends,
/// or the process does.
#[derive(Debug)]
pub struct ShadowPool {
    lanes: SyncSender<Arc<QueueShared>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: ShadowPoolSettings,
    threads: AtomicUsize,
    bytes: AtomicUsize,
    budget: Mutex<Budget>,
    ended: AtomicBool,
}

/// Bytes of a copy; given back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl ShadowPool {
    /// Starts the thread that starts the others, so that no request ever does, and the one that records. What shadows answer is remembered in
    /// `outcomes`, until its truth is reported.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        settings: ShadowPoolSettings,
        outcomes: Option<Arc<Outcomes>>,
    ) -> io::Result<Self> {
        let (lanes, inbox) = mpsc::sync_channel(WAITING);
        let shared = Arc::new(Shared {
            settings,
            threads: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            budget: Mutex::new(Budget::new(settings.compute_share, Instant::now())),
            ended: AtomicBool::new(false),
        });
        let into = recorder::start(outcomes)?;
        let all = Arc::clone(&shared);
        Builder::new()
            .name("taper-shadows".into())
            .spawn(move || man(&inbox, &all, &into))?;
        Ok(Self { lanes, shared })
    }

    /// Gives `lane` a copy, or drops and counts it. Never waits.
    pub fn offer(&self, lane: &ShadowQueue, copied: Copied) {
        let QueueShared {
            shadow, version, ..
        } = &*lane.post;
        let meters = &version.insight.meters;
        let now = Instant::now();
        let overdue = version.slots.overdue(now, || meters.shadow_overdue());
        if overdue >= shadow.max_concurrent() {
            return meters.shadow_dropped(DropReason::Stuck);
        }
        let bytes = copied.bytes.max(LEAST_BYTES);
        let before = self.shared.bytes.fetch_add(bytes, Ordering::Relaxed);
        let held = Held {
            shared: Arc::clone(&self.shared),
            bytes,
        };
        let waiting = Waiting {
            copied,
            expires: now + shadow.deadline(),
            queued: meters.shadow_queued(),
            held,
        };
        let fits = before.saturating_add(bytes) <= self.shared.settings.max_bytes;
        if !fits || !lane.push(waiting) {
            meters.shadow_dropped(DropReason::QueueFull);
        }
        // Also where the queue is full: of a lane that got no threads, nobody else takes anything out.
        let manned = &lane.post.manned;
        if !manned.load(Ordering::Relaxed)
            && !manned.swap(true, Ordering::AcqRel)
            && self.lanes.try_send(Arc::clone(&lane.post)).is_err()
        {
            manned.store(false, Ordering::Release);
        }
    }
}

impl Drop for ShadowPool {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
    }
}

/// Gives each lane its threads.
fn man(lanes: &Receiver<Arc<QueueShared>>, shared: &Arc<Shared>, into: &SyncSender<Done>) {
    for post in lanes {
        let wanted = post.shadow.max_concurrent();
        let started = (0..wanted)
            .filter(|_| start(&post, shared, into.clone()))
            .count();
        if started < wanted && !post.warned.swap(true, Ordering::Relaxed) {
            let version = post.version.number();
            tracing::warn!(%version, started, wanted, "too few threads for a shadow: see limits.max_shadow_threads");
        }
        if started == 0 {
            // The next copy asks again.
            post.manned.store(false, Ordering::Release);
        }
    }
}

fn start(post: &Arc<QueueShared>, shared: &Arc<Shared>, into: SyncSender<Done>) -> bool {
    if shared.threads.fetch_add(1, Ordering::AcqRel) >= shared.settings.max_threads {
        shared.threads.fetch_sub(1, Ordering::AcqRel);
        return false;
    }
    let (post, all) = (Arc::clone(post), Arc::clone(shared));
    let started = Builder::new().name("taper-shadow".into()).spawn(move || {
        set_idle_priority();
        let sleeper = sleeper();
        while let Some(waiting) = post.next(&sleeper) {
            let done = one(&post, &all, waiting);
            // Where the desk is behind, this thread waits for it: nothing is lost, and the queue is what fills up.
            if let Err(SendError(done)) = into.send(done) {
                done.lost();
            }
        }
        // The version first, so that whoever waits for it need not wait for this thread.
        drop(post);
        all.threads.fetch_sub(1, Ordering::AcqRel);
    });
    if started.is_err() {
        shared.threads.fetch_sub(1, Ordering::AcqRel);
    }
    started.is_ok()
}

/// Scores one copy, or drops it. Takes no lock that others than threads of shadows wait for, and frees nothing that another
/// thread made: this one may be put aside in the middle, for as long as the cores are busy.
fn one(post: &QueueShared, shared: &Shared, waiting: Waiting) -> Done {
    let meters = &post.version.insight.meters;
    let Waiting {
        copied,
        expires,
        queued,
        held,
    } = waiting;
    drop(queued);
    let dropped = |copied, held, why| {
        meters.shadow_dropped(why);
        Done::Dropped { copied, held }
    };
    let now = Instant::now();
    if post.closed.load(Ordering::Acquire) || shared.ended.load(Ordering::Acquire) {
        return dropped(copied, held, DropReason::Draining);
    }
    if expires <= now {
        return dropped(copied, held, DropReason::Deadline);
    }
    if !lock(&shared.budget).may_begin(now) {
        return dropped(copied, held, DropReason::Budget);
    }
    // Threads of an earlier policy may still compute for the same version.
    let most = post.shadow.max_concurrent();
    let Some(claim) = post.version.slots.claim(most, expires) else {
        return dropped(copied, held, DropReason::QueueFull);
    };
    let computes = meters.shadow_computes();
    let began = cpu_time();
    let call = Call {
        role: Role::Shadow,
        at: now,
        deadline: None,
    };
    let passed = score::passed(&post.version, &copied.payload, call);
    lock(&shared.budget).spend(cpu_time().saturating_sub(began));
    let late = claim.release();
    drop(computes);
    Done::Computed(Computed {
        version: Arc::clone(&post.version),
        copied,
        held,
        began: now,
        expires,
        ended: Instant::now(),
        late,
        passed,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
