//! Responses that keep their request counted as open until the last byte is handed to the transport, and that hand over only what the
//! transport can send soon.
//!
//! The transport takes a whole part of a body as soon as its client has room for one byte, and asks for the next part at once. What the body
//! holds would be released then. So after a large part, the body waits until that part is sent before it goes on or ends.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use super::connection_state::OpenRequest;

/// The fewest bytes of a part that is waited for. Smaller ones cost the transport no more than the request itself.
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
        let request = self.request.take();
        let track = |inner| TrackedBody {
            inner,
            sent: None,
            _request: request,
        };
        Poll::Ready(Ok(response.map(track)))
    }
}

/// A part of a body, until the transport drops it.
struct Part {
    data: Bytes,
    /// Dropped with the part.
    _sent: oneshot::Sender<()>,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

/// The body of a response that holds its open request.
#[derive(Debug)]
pub(super) struct TrackedBody<B> {
    inner: B,
    /// Resolves, with an error, once the transport has sent the last part or has dropped it. `None` if that need not be waited for.
    sent: Option<oneshot::Receiver<()>>,
    _request: Option<OpenRequest>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for TrackedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        if let Some(sent) = &mut this.sent {
            // Always an error: nothing is ever sent over the channel.
            let _ = ready!(Pin::new(sent).poll(cx));
            this.sent = None;
        }
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        let watch = |data: Bytes| {
            if data.len() < LARGE {
                return data;
            }
            let (sender, sent) = oneshot::channel();
            this.sent = Some(sent);
            Bytes::from_owner(Part {
                data,
                _sent: sender,
            })
        };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(watch))))
    }

    fn is_end_stream(&self) -> bool {
        self.sent.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
