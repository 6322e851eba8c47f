//! What drives a gRPC call, which ends if the client does not read the answer. The task of the connection polls it first; a call that has to
//! wait gets a task of its own.
//!
//! The transport waits until the client has room for a part of an answer, and the next part waits until a large one has been sent. A client
//! that gives no room would keep the permit of the call, so what drives the call watches the transport: it ends, which resets the call, once a part has
//! waited too long. With admission control it also ends once the deadline of the call has passed, or once another connection needs the permit.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use super::body::OpenCall;
use pin_project_lite::pin_project;

thread_local! {
    /// The call that this thread began last, until its task takes it. The transport creates the task and knows nothing of permits.
    static OPEN: Cell<Option<Weak<dyn OpenCall>>> = const { Cell::new(None) };
}

/// Leaves a call for its task.
pub(super) fn set_open(call: &Arc<impl OpenCall>) {
    let call: Weak<dyn OpenCall> = Arc::downgrade(call) as _;
    OPEN.set(Some(call));
}

pin_project! {
    /// Drives a call that was just started on this thread. Ends early if a part of the answer is not sent in time.
    ///
    /// A struct and no async block, which would hold the large future of the transport twice and move it at the first poll.
    pub struct CallTask<F> {
        #[pin]
        call: F,
        open: Option<Weak<dyn OpenCall>>,
        send_timeout: Duration,
        unsent: Option<Unsent>,
    }
}

impl<F> CallTask<F> {
    /// Returns the task of `call`, whose parts may each wait for the client for `send_timeout`.
    pub fn new(call: F, send_timeout: Duration) -> Self {
        Self {
            call,
            open: OPEN.take(),
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
        if let Some(open) = OPEN.take() {
            // Some services are called by the first poll. What was there before is of a call that panicked.
            *this.open = Some(open);
        }
        if polled.is_ready() {
            return Poll::Ready(());
        }
        let open = this.open.as_ref().and_then(Weak::upgrade);
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
    open: Arc<dyn OpenCall>,
    send_timeout: Duration,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let part = open.unsent();
    if unsent.as_ref().is_none_or(|before| before.part != part) {
        let end = open.wait_for_end(send_timeout);
        *unsent = Some(Unsent { part, end });
    }
    unsent
        .as_mut()
        .map_or(Poll::Pending, |unsent| unsent.end.as_mut().poll(cx))
}
