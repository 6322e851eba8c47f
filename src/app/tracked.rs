//! Responses that keep their request counted as open until the last byte is handed to the transport, and that hand over only what the
//! transport can send soon.
//!
//! The transport takes a whole part of a body as soon as its client has room for one byte, and asks for the next part at once. What the body
//! holds would be released then. So each part counts until the transport has sent it. Once a connection has more unsent parts than its
//! share, or after a large part, the body waits until its own part is sent before it goes on or ends. It holds its permit meanwhile.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::Response;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use super::connection_state::{OpenRequest, UnsentPart};

/// The fewest bytes of a part that is always waited for.
const LARGE: usize = 4096;

/// A response in progress that holds its open request.
#[derive(Debug)]
pub(super) struct TrackedFuture<F> {
    response: F,
    /// `None` once the response has begun.
    request: Option<OpenRequest>,
}

impl<F> TrackedFuture<F> {
    /// Holds `request` until `response` has begun, and then in its body.
    pub(super) fn new(response: F, request: OpenRequest) -> Self {
        let request = Some(request);
        Self { response, request }
    }
}

impl<F, B> Future for TrackedFuture<F>
where
    F: Future<Output = Result<Response<B>, Infallible>> + Unpin,
{
    type Output = Result<Response<TrackedBody<B>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(response) = ready!(Pin::new(&mut self.response).poll(cx));
        let mut request = self.request.take();
        if let Some(request) = &mut request {
            request.begin_answer();
        }
        let track = |inner| TrackedBody {
            inner,
            sent: None,
            request,
        };
        Poll::Ready(Ok(response.map(track)))
    }
}

/// A part of a body, until the transport has sent or dropped it.
#[derive(Debug)]
pub(super) struct Part {
    data: Bytes,
    _unsent: Option<UnsentPart>,
    /// Dropped with the part. `None` if the body does not wait.
    _sent: Option<oneshot::Sender<()>>,
}

impl Buf for Part {
    fn remaining(&self) -> usize {
        self.data.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.data
    }

    fn advance(&mut self, count: usize) {
        self.data.advance(count);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        self.data.copy_to_bytes(length)
    }
}

/// The body of a response that holds its open request.
#[derive(Debug)]
pub(super) struct TrackedBody<B> {
    inner: B,
    /// Resolves, with an error, once the transport has sent the last part or has dropped it. `None` if that need not be waited for.
    sent: Option<oneshot::Receiver<()>>,
    request: Option<OpenRequest>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for TrackedBody<B> {
    type Data = Part;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Part>, B::Error>>> {
        let this = &mut *self;
        if let Some(sent) = &mut this.sent {
            // Always an error: nothing is ever sent over the channel.
            let _ = ready!(Pin::new(sent).poll(cx));
            this.sent = None;
        }
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        let track = |data: Bytes| {
            let unsent = this
                .request
                .as_ref()
                .map(|request| request.part(data.len()));
            let is_above_share = unsent.as_ref().is_some_and(UnsentPart::is_above_share);
            let sender = (data.len() >= LARGE || is_above_share).then(|| {
                let (sender, sent) = oneshot::channel();
                this.sent = Some(sent);
                sender
            });
            Part {
                data,
                _unsent: unsent,
                _sent: sender,
            }
        };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(track))))
    }

    fn is_end_stream(&self) -> bool {
        self.sent.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
