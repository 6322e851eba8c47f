//! Responses that keep their request counted as open until the last byte is handed to the transport.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use http_body::{Body, Frame, SizeHint};

use super::connection_state::OpenRequest;

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
            _request: request,
        };
        Poll::Ready(Ok(response.map(track)))
    }
}

/// The body of a response that holds its open request.
#[derive(Debug)]
pub(super) struct TrackedBody<B> {
    inner: B,
    _request: Option<OpenRequest>,
}

impl<B: Body + Unpin> Body for TrackedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
