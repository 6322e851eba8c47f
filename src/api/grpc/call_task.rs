//! The task of a gRPC call, which ends if the client does not read the answer.
//!
//! The transport waits until the client has room for a part of an answer, and the next part waits until a large one has been sent. A client
//! that gives no room would keep the permit of the call, so the task watches the transport: it ends, which resets the call, once a part has
//! waited too long. With admission control it also ends once the deadline of the call has passed, or once another connection needs the permit.

use std::cell::Cell;
use std::future::pending;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{sleep, sleep_until};

use super::body::LimitedCall;
use crate::insight::metrics::UnsentReason;
use crate::serving::admission::RequestPermit;

thread_local! {
    /// The call that this thread admitted last, until its task takes it. The transport creates the task and knows nothing of permits.
    static ADMITTED: Cell<Option<Watched>> = const { Cell::new(None) };
}

/// Leaves the permit of a call for its task.
pub(super) fn set_admitted(permit: &Arc<RequestPermit>) {
    ADMITTED.set(Some(Watched::Permit(Arc::downgrade(permit))));
}

/// Leaves a call without admission control for its task.
pub(super) fn set_limited(call: &Arc<LimitedCall>) {
    ADMITTED.set(Some(Watched::Call(Arc::downgrade(call))));
}

/// What a task watches, until the call has ended.
#[derive(Debug)]
enum Watched {
    Permit(Weak<RequestPermit>),
    Call(Weak<LimitedCall>),
}

impl Watched {
    fn upgrade(&self) -> Option<Open> {
        match self {
            Self::Permit(permit) => permit.upgrade().map(Open::Permit),
            Self::Call(call) => call.upgrade().map(Open::Call),
        }
    }
}

/// A call that has not ended.
enum Open {
    Permit(Arc<RequestPermit>),
    Call(Arc<LimitedCall>),
}

impl Open {
    /// Returns the number of the part of the answer that has not been sent; 0 if there is none.
    fn unsent(&self) -> usize {
        match self {
            Self::Permit(permit) => permit.unsent(),
            Self::Call(call) => call.unsent(),
        }
    }

    /// Waits until the answer need not be sent any more, and counts it.
    async fn wait_for_end(self, send_timeout: Duration) {
        match self {
            Self::Permit(permit) => wait_for_end(permit, send_timeout).await,
            Self::Call(call) => {
                sleep(send_timeout).await;
                call.end_unread();
            }
        }
    }
}

pin_project! {
    /// Drives a call that was just started on this thread. Ends early if a part of the answer is not sent in time.
    ///
    /// A struct and no async block, which would hold the large future of the transport twice and move it at the first poll.
    pub struct CallTask<F> {
        #[pin]
        call: F,
        watched: Option<Watched>,
        send_timeout: Duration,
        unsent: Option<Unsent>,
    }
}

impl<F> CallTask<F> {
    /// Returns the task of `call`, whose parts may each wait for the client for `send_timeout`.
    pub fn new(call: F, send_timeout: Duration) -> Self {
        Self {
            call,
            watched: ADMITTED.take(),
            send_timeout,
            unsent: None,
        }
    }
}

impl<F: Future<Output = ()>> Future for CallTask<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let polled = this.call.poll(cx);
        if let Some(admitted) = ADMITTED.take() {
            // Some services are called by the first poll. What was there before is of a call that panicked.
            *this.watched = Some(admitted);
        }
        if polled.is_ready() {
            return Poll::Ready(());
        }
        let open = this.watched.as_ref().and_then(Watched::upgrade);
        let Some(open) = open.filter(|open| open.unsent() > 0) else {
            *this.unsent = None;
            return Poll::Pending;
        };
        poll_unsent(this.unsent, open, *this.send_timeout, cx)
    }
}

/// A part of an answer that the transport cannot send.
struct Unsent {
    /// The number of the part.
    part: usize,
    /// Resolves once the call must end.
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Waits until the call must end because of the part that is not sent now.
fn poll_unsent(
    unsent: &mut Option<Unsent>,
    open: Open,
    send_timeout: Duration,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let part = open.unsent();
    if unsent.as_ref().is_none_or(|before| before.part != part) {
        let end = Box::pin(open.wait_for_end(send_timeout));
        *unsent = Some(Unsent { part, end });
    }
    unsent
        .as_mut()
        .map_or(Poll::Pending, |unsent| unsent.end.as_mut().poll(cx))
}

/// Waits until an answer with a permit need not be sent any more, and counts it.
async fn wait_for_end(permit: Arc<RequestPermit>, send_timeout: Duration) {
    let deadline = async {
        match permit.deadline() {
            Some(deadline) => sleep_until(deadline).await,
            None => pending().await,
        }
    };
    let reason = tokio::select! {
        () = sleep(send_timeout) => UnsentReason::Unread,
        () = deadline => UnsentReason::Deadline,
        () = permit.evicted() => UnsentReason::Evicted,
    };
    permit.count_unsent(reason);
}
