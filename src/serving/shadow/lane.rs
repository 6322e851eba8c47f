//! The queue of one shadow under one policy.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
    mpsc::{self, Receiver, SyncSender, TrySendError},
};

use tokio::time::Instant;

use super::super::live::ServingVersion;
use super::super::route::Shadow;
use super::super::score::Scored;
use super::crew::Held;
use crate::ident::{ResponseId, Revision, VersionNumber};
use crate::insight::compare::About;
use crate::insight::metrics::Queued;
use crate::model::payload::Payload;

/// What the caller was told.
#[derive(Debug)]
pub struct Primary {
    /// Who was chosen to answer.
    pub version: VersionNumber,
    /// What a comparison must know of it.
    pub about: Arc<About>,
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
    pub(super) queued: Queued,
    pub(super) held: Held,
}

/// Where copies for one shadow go in. When it is dropped, what waits is dropped too, and the threads end.
#[derive(Debug)]
pub struct Lane {
    into: SyncSender<Waiting>,
    pub(super) post: Arc<Post>,
}

/// What the threads of a lane share. They hold no sender, so the queue closes with the lane.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) shadow: Shadow,
    pub(super) version: Arc<ServingVersion>,
    pub(super) inbox: Mutex<Receiver<Waiting>>,
    /// Whether threads were asked for.
    pub(super) manned: AtomicBool,
    pub(super) closed: AtomicBool,
}

impl Lane {
    /// A lane without threads: the first copy asks for them.
    #[must_use]
    pub fn new(shadow: Shadow, version: Arc<ServingVersion>) -> Self {
        let (into, inbox) = mpsc::sync_channel(shadow.max_queue());
        let post = Post {
            shadow,
            version,
            inbox: Mutex::new(inbox),
            manned: AtomicBool::new(false),
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
        match self.into.try_send(waiting) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.post.closed.store(true, Ordering::Release);
    }
}
