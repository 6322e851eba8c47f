//! The queue of one shadow under one policy.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::Instant;

use super::super::live::ServingVersion;
use super::super::route::Shadow;
use super::super::score::Scored;
use super::pool::Held;
use crate::ident::{ResponseId, Revision, VersionNumber};
use crate::insight::compare::VersionInfo;
use crate::insight::metrics::{DropReason, GaugeGuard};
use crate::model::payload::Payload;

/// How long copies are let gather, at most, and for each that fits into the queue, which should not fill up meanwhile. Nobody waits
/// for what becomes of them, and to wake a thread for each costs the requests on the same core more than the copy does.
const GATHER: Duration = Duration::from_millis(1);
const GATHER_PER_PLACE: Duration = Duration::from_micros(10);
/// A queue with fewer places is not let gather at all: a thread that sleeps never comes back at once.
const FEWEST_PLACES: u32 = 8;

/// What the caller was told.
#[derive(Debug)]
pub struct Primary {
    /// Who was chosen to answer.
    pub version: VersionNumber,
    /// What a comparison must know of it.
    pub about: Arc<VersionInfo>,
    /// Names the response.
    pub response_id: ResponseId,
    /// The policy that routed it.
    pub revision: Revision,
    /// The answer; `None` where the version failed.
    pub answer: Option<Scored>,
}

/// A request for a shadow.
#[derive(Clone, Debug)]
pub struct Copied {
    /// What is to be scored.
    pub payload: Arc<Payload>,
    /// What the caller was told.
    pub primary: Arc<Primary>,
    /// Bytes that it counts for.
    pub bytes: usize,
}

/// A copy in the queue.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) copied: Copied,
    /// From then on it is worth nothing.
    pub(super) expires: Instant,
    pub(super) queued: GaugeGuard,
    pub(super) held: Held,
}

/// Where copies for one shadow go in. When it is dropped, what waits is dropped too, and the threads end.
#[derive(Debug)]
pub struct ShadowQueue {
    into: Sender<Waiting>,
    pub(super) post: Arc<QueueShared>,
}

/// What the threads of a lane share. They hold no sender, so the queue closes with the lane.
#[derive(Debug)]
pub(super) struct QueueShared {
    pub(super) shadow: Shadow,
    pub(super) version: Arc<ServingVersion>,
    /// How long the next ones are waited for without asking to be woken.
    gather: Duration,
    /// The threads of the lane wait for each other here, and nobody else for them: this channel takes no lock to send.
    inbox: Mutex<Receiver<Waiting>>,
    /// Whether threads were asked for.
    pub(super) manned: AtomicBool,
    /// Whether it was told that there are too few.
    pub(super) warned: AtomicBool,
    pub(super) closed: AtomicBool,
}

impl QueueShared {
    /// The next copy, for which the calling thread waits; `None` once the lane has gone and nothing waits any more.
    /// `sleeper` wakes this thread.
    pub(super) fn next(&self, sleeper: &Waker) -> Option<Waiting> {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        // Asks nobody to wake it, and unlike `try_recv` never waits for a sender, who would have to wake it through a lock then.
        match inbox.poll_recv(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(next) => return next,
            Poll::Pending => rest(self.gather),
        }
        let mut context = Context::from_waker(sleeper);
        loop {
            match inbox.poll_recv(&mut context) {
                Poll::Ready(next) => return next,
                Poll::Pending => thread::park(),
            }
        }
    }

    /// Drops and counts what waits.
    fn drain(&self, inbox: &mut Receiver<Waiting>) {
        while inbox.try_recv().is_ok() {
            self.version
                .insight
                .meters
                .shadow_dropped(DropReason::Draining);
        }
    }
}

/// Sleeps, where there is anything to sleep for.
#[expect(
    clippy::disallowed_methods,
    reason = "threads of shadows and of their desk serve no request"
)]
pub(super) fn rest(length: Duration) {
    if !length.is_zero() {
        thread::sleep(length);
    }
}

/// Wakes a thread without a lock.
struct Sleeper(Thread);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// What wakes the calling thread.
pub(super) fn sleeper() -> Waker {
    Waker::from(Arc::new(Sleeper(thread::current())))
}

impl ShadowQueue {
    /// A lane without threads: the first copy asks for them.
    #[must_use]
    pub fn new(shadow: Shadow, version: Arc<ServingVersion>) -> Self {
        let (into, inbox) = mpsc::channel(shadow.max_queue());
        let places = u32::try_from(shadow.max_queue()).unwrap_or(u32::MAX);
        let gather = match places {
            ..FEWEST_PLACES => Duration::ZERO,
            _ => GATHER_PER_PLACE.saturating_mul(places).min(GATHER),
        };
        let post = QueueShared {
            gather: gather.min(shadow.deadline() / 4),
            shadow,
            version,
            inbox: Mutex::new(inbox),
            manned: AtomicBool::new(false),
            warned: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        };
        Self {
            into,
            post: Arc::new(post),
        }
    }

    /// Who gets the copies.
    #[must_use]
    pub fn version(&self) -> &Arc<ServingVersion> {
        &self.post.version
    }

    /// Whether there was room.
    pub(super) fn push(&self, waiting: Waiting) -> bool {
        self.into.try_send(waiting).is_ok()
    }
}

impl Drop for ShadowQueue {
    /// A thread that waits for the next copy drops what waits. Where none does, because all compute, or hang, or there were
    /// never any, it is dropped here.
    fn drop(&mut self) {
        self.post.closed.store(true, Ordering::Release);
        if let Ok(mut inbox) = self.post.inbox.try_lock() {
            self.post.drain(&mut inbox);
        }
    }
}
