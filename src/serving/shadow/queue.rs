//! The queue of one shadow under one policy.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::Instant;

use super::super::route::Shadow;
use super::super::version::VersionRuntime;
use super::super::work::Prediction;
use super::memory::Reservation;
use crate::ident::{ResponseId, Revision, VersionNumber};
use crate::insight::compare::VersionInfo;
use crate::insight::metrics::{DropReason, GaugeGuard};
use crate::model::payload::Payload;
use crate::sync;

/// How long copies gather before a thread looks again: at most this, and at most this for each place in the queue, which
/// should not fill up meanwhile. No client waits for copies, and waking a thread for each of them would cost the requests on
/// the same core more than the copy does.
const GATHER: Duration = Duration::from_millis(1);
const GATHER_PER_PLACE: Duration = Duration::from_micros(10);
/// In a queue with fewer places copies do not gather: a thread that sleeps never wakes up at once.
const MIN_GATHER_PLACES: u32 = 8;

/// How the primary answered a request that is copied.
#[derive(Debug)]
pub struct PrimaryResult {
    /// The primary.
    pub version: VersionNumber,
    /// The facts about the primary that a comparison needs.
    pub info: Arc<VersionInfo>,
    /// The id of the response.
    pub response_id: ResponseId,
    /// The revision of the policy that routed the request.
    pub revision: Revision,
    /// What is judged of the answer; `None` if the version failed.
    pub answer: Option<Prediction>,
}

/// A copy of a request for a shadow.
#[derive(Clone, Debug)]
pub struct ShadowCopy {
    /// The payload to score.
    pub payload: Arc<Payload>,
    /// How the primary answered it.
    pub primary: Arc<PrimaryResult>,
    /// Bytes of the request's message, and of what is judged of the answer.
    pub bytes: usize,
}

/// A copy in the queue.
#[derive(Debug)]
pub(super) struct QueuedCopy {
    pub(super) copy: ShadowCopy,
    /// The end of the shadow's deadline.
    pub(super) expires: Instant,
    /// Counts the copy as waiting.
    pub(super) queued: GaugeGuard,
    pub(super) memory: Reservation,
}

/// The queue of one shadow. When it is dropped, queued copies are dropped too, and its threads end.
#[derive(Debug)]
pub struct ShadowQueue {
    sender: Sender<QueuedCopy>,
    pub(super) shared: Arc<QueueShared>,
}

/// The part of a queue that its threads share. It contains no sender, so the channel closes when the queue is dropped.
#[derive(Debug)]
pub(super) struct QueueShared {
    pub(super) shadow: Shadow,
    pub(super) version: Arc<VersionRuntime>,
    /// How long a thread lets copies gather before it asks to be woken.
    gather: Duration,
    /// Only the threads of this queue wait for this lock: sending to the channel takes no lock.
    receiver: Mutex<Receiver<QueuedCopy>>,
    /// Whether threads were requested.
    pub(super) threads_requested: AtomicBool,
    /// Whether a log line has reported that there are too few threads.
    pub(super) shortage_logged: AtomicBool,
    pub(super) is_closed: AtomicBool,
}

impl QueueShared {
    /// Waits for the next copy. Returns `None` once the queue is dropped and empty. `waker` wakes the calling thread.
    pub(super) fn next(&self, waker: &Waker) -> Option<QueuedCopy> {
        let mut receiver = sync::lock(&self.receiver);
        // Registers no waker. Unlike `try_recv`, this never waits for a sender, which would have to wake the thread through a
        // lock.
        match receiver.poll_recv(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(next) => return next,
            Poll::Pending => sleep(self.gather),
        }
        let mut context = Context::from_waker(waker);
        loop {
            match receiver.poll_recv(&mut context) {
                Poll::Ready(next) => return next,
                Poll::Pending => thread::park(),
            }
        }
    }

    /// Drops and counts queued copies.
    fn drain(&self, receiver: &mut Receiver<QueuedCopy>) {
        let meters = &self.version.insight.meters;
        while receiver.try_recv().is_ok() {
            meters.shadow_dropped(DropReason::Draining);
        }
    }
}

/// Blocks the calling thread for this long; returns at once if that is zero.
#[expect(
    clippy::disallowed_methods,
    reason = "the threads of shadows and of their recorder serve no request"
)]
pub(super) fn sleep(duration: Duration) {
    if !duration.is_zero() {
        thread::sleep(duration);
    }
}

/// Wakes a thread without a lock.
struct ThreadWaker(Thread);

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Returns a waker of the calling thread.
pub(super) fn thread_waker() -> Waker {
    Waker::from(Arc::new(ThreadWaker(thread::current())))
}

impl ShadowQueue {
    /// Creates a queue without threads. The first copy requests them.
    #[must_use]
    pub fn new(shadow: Shadow, version: Arc<VersionRuntime>) -> Self {
        let (sender, receiver) = mpsc::channel(shadow.max_queue());
        let places = u32::try_from(shadow.max_queue()).unwrap_or(u32::MAX);
        let gather = match places {
            ..MIN_GATHER_PLACES => Duration::ZERO,
            _ => GATHER_PER_PLACE.saturating_mul(places).min(GATHER),
        };
        let shared = QueueShared {
            gather: gather.min(shadow.deadline() / 4),
            shadow,
            version,
            receiver: Mutex::new(receiver),
            threads_requested: AtomicBool::new(false),
            shortage_logged: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        };
        Self {
            sender,
            shared: Arc::new(shared),
        }
    }

    /// Returns the version that gets the copies.
    #[must_use]
    pub fn version(&self) -> &Arc<VersionRuntime> {
        &self.shared.version
    }

    /// Queues a copy. Returns whether there was room; the copy is dropped otherwise.
    pub(super) fn push(&self, queued: QueuedCopy) -> bool {
        self.sender.try_send(queued).is_ok()
    }
}

impl Drop for ShadowQueue {
    /// Drops queued copies here if no thread waits for the next copy, because all of them compute or hang or none was ever
    /// started. Otherwise the waiting thread drops them.
    fn drop(&mut self) {
        self.shared.is_closed.store(true, Ordering::Release);
        if let Ok(mut receiver) = self.shared.receiver.try_lock() {
            self.shared.drain(&mut receiver);
        }
    }
}
