//! The threads that score copies, and the limits that all shadows share.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Receiver, SendError, SyncSender},
    },
    thread::Builder,
};

use tokio::time::Instant;
use tracing::Span;

use super::super::score;
use super::super::work::Call;
use super::budget::Budget;
use super::memory::CopyMemory;
use super::queue::{QueueShared, QueuedCopy, ShadowCopy, ShadowQueue, thread_waker};
use super::recorder::{self, ComputedCopy, ProcessedCopy};
use crate::ident::Role;
use crate::insight::metrics::DropReason;
use crate::insight::outcomes::Outcomes;
use crate::priority::{cpu_time, set_idle_priority};
use crate::sync;

/// Queues that may wait for their threads.
const WAITING_QUEUES: usize = 64;

/// The limits that all shadows of a gateway share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShadowPoolSettings {
    /// Compute time of encoding and forward passes, in per cent of one core. Recording the results comes on top.
    pub compute_share: u32,
    /// Threads.
    pub max_threads: usize,
    /// Bytes of all copies that wait or are scored, as they arrived over the wire.
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

/// Scores copies. When it is dropped, no further copy is scored; a thread in a forward pass continues until the pass or the
/// process ends.
#[derive(Debug)]
pub struct ShadowPool {
    /// Queues that need threads.
    shadow_queues: SyncSender<Arc<QueueShared>>,
    state: Arc<PoolState>,
}

/// The part of the pool that its threads share.
#[derive(Debug)]
struct PoolState {
    max_threads: usize,
    threads: AtomicUsize,
    memory: Arc<CopyMemory>,
    /// Only threads of shadows wait for this lock.
    budget: Mutex<Budget>,
    is_closed: AtomicBool,
}

impl PoolState {
    fn new(settings: ShadowPoolSettings) -> Arc<Self> {
        Arc::new(Self {
            max_threads: settings.max_threads,
            threads: AtomicUsize::new(0),
            memory: CopyMemory::new(settings.max_bytes),
            budget: Mutex::new(Budget::new(settings.compute_share, Instant::now())),
            is_closed: AtomicBool::new(false),
        })
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        sync::lock(&self.budget)
    }
}

impl ShadowPool {
    /// Starts two threads: one starts the threads of queues, so that no request ever does; the other one records. `outcomes`
    /// remembers the answers of shadows until their ground truth is reported.
    ///
    /// # Errors
    /// Returns an error if the system cannot start a thread.
    pub fn start(
        settings: ShadowPoolSettings,
        outcomes: Option<Arc<Outcomes>>,
    ) -> io::Result<Self> {
        let (shadow_queues, receiver) = mpsc::sync_channel(WAITING_QUEUES);
        let state = PoolState::new(settings);
        let recorder = recorder::start(outcomes)?;
        let starter_state = Arc::clone(&state);
        Builder::new()
            .name("taper-shadows".into())
            .spawn(move || start_threads(&receiver, &starter_state, &recorder))?;
        Ok(Self {
            shadow_queues,
            state,
        })
    }

    /// Gives `queue` a copy, or drops and counts it. Never waits.
    pub fn offer(&self, queue: &ShadowQueue, copy: ShadowCopy) {
        let shared = &queue.shared;
        let (shadow, version) = (&shared.shadow, &shared.version);
        let meters = &version.insight.meters;
        let now = Instant::now();
        let overdue = version
            .shadow_slots
            .overdue(now, || meters.shadow_overdue());
        if overdue >= shadow.max_concurrent() {
            return meters.shadow_dropped(DropReason::Stuck);
        }
        let (memory, fits) = self.state.memory.reserve(copy.bytes);
        let queued = QueuedCopy {
            copy,
            expires: now + shadow.deadline(),
            queued: meters.shadow_queued(),
            memory,
        };
        if !fits || !queue.push(queued) {
            meters.shadow_dropped(DropReason::QueueFull);
        }
        // Also if the queue is full: without threads, nothing ever empties it.
        let requested = &shared.threads_requested;
        if !requested.load(Ordering::Relaxed)
            && !requested.swap(true, Ordering::AcqRel)
            && self.shadow_queues.try_send(Arc::clone(shared)).is_err()
        {
            requested.store(false, Ordering::Release);
        }
    }
}

impl Drop for ShadowPool {
    fn drop(&mut self) {
        self.state.is_closed.store(true, Ordering::Release);
    }
}

/// Starts the threads of each queue that is received.
fn start_threads(
    shadow_queues: &Receiver<Arc<QueueShared>>,
    state: &Arc<PoolState>,
    recorder: &SyncSender<ProcessedCopy>,
) {
    for queue in shadow_queues {
        let wanted = queue.shadow.max_concurrent();
        let started = (0..wanted)
            .filter(|_| start_thread(&queue, state, recorder.clone()))
            .count();
        if started < wanted && !queue.shortage_logged.swap(true, Ordering::Relaxed) {
            let model = &queue.version.version.manifest().model;
            let version = queue.version.number();
            tracing::warn!(%model, %version, started, wanted, "too few threads for a shadow: raise limits.max_shadow_threads");
        }
        if started == 0 {
            // The next copy requests threads again.
            queue.threads_requested.store(false, Ordering::Release);
        }
    }
}

/// Starts one thread for `queue`. Returns whether it started: the limit on threads may be reached.
fn start_thread(
    queue: &Arc<QueueShared>,
    state: &Arc<PoolState>,
    recorder: SyncSender<ProcessedCopy>,
) -> bool {
    if state.threads.fetch_add(1, Ordering::AcqRel) >= state.max_threads {
        state.threads.fetch_sub(1, Ordering::AcqRel);
        return false;
    }
    let (queue, thread_state) = (Arc::clone(queue), Arc::clone(state));
    let started = Builder::new().name("taper-shadow".into()).spawn(move || {
        set_idle_priority();
        let waker = thread_waker();
        while let Some(queued) = queue.next(&waker) {
            let processed = process(&queue, &thread_state, queued);
            // If the recorder is behind, this thread waits for it: no result is lost, and the queue fills up instead.
            if let Err(SendError(lost)) = recorder.send(processed) {
                lost.count_as_dropped();
            }
        }
        // The version first, so that nothing that waits for the version to be freed waits for this thread.
        drop(queue);
        thread_state.threads.fetch_sub(1, Ordering::AcqRel);
    });
    if started.is_err() {
        state.threads.fetch_sub(1, Ordering::AcqRel);
    }
    started.is_ok()
}

/// Scores one copy, or drops it.
///
/// Takes no lock that any other than a shadow's thread waits for, and frees no memory that another thread allocated: this
/// thread may be preempted at any point, for as long as the cores are busy.
fn process(queue: &QueueShared, state: &PoolState, queued: QueuedCopy) -> ProcessedCopy {
    let meters = &queue.version.insight.meters;
    let QueuedCopy {
        copy,
        expires,
        queued,
        memory,
    } = queued;
    drop(queued);
    let dropped = |copy, memory, why| {
        meters.shadow_dropped(why);
        ProcessedCopy::Dropped { copy, memory }
    };
    let now = Instant::now();
    if queue.is_closed.load(Ordering::Acquire) || state.is_closed.load(Ordering::Acquire) {
        return dropped(copy, memory, DropReason::Draining);
    }
    if expires <= now {
        return dropped(copy, memory, DropReason::Deadline);
    }
    if !state.budget().may_begin(now) {
        return dropped(copy, memory, DropReason::Budget);
    }
    // Threads of an earlier policy may still compute for the same version.
    let limit = queue.shadow.max_concurrent();
    let Some(claim) = queue.version.shadow_slots.claim(limit, expires) else {
        return dropped(copy, memory, DropReason::QueueFull);
    };
    let in_flight = meters.shadow_computes();
    let cpu_before = cpu_time();
    let call = Call {
        role: Role::Shadow,
        arrived: now,
        deadline: None,
        // A log line would take a lock.
        span: Span::none(),
    };
    let result = score::score_unrecorded(&queue.version, &copy.payload, &call);
    state.budget().spend(cpu_time().saturating_sub(cpu_before));
    let counted_overdue = claim.release();
    drop(in_flight);
    ProcessedCopy::Computed(ComputedCopy {
        version: Arc::clone(&queue.version),
        copy,
        memory,
        began: now,
        expires,
        ended: Instant::now(),
        counted_overdue,
        result,
    })
}

#[cfg(test)]
mod tests;
