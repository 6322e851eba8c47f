//! Bodies that count against admission control while they are on their way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tonic::body::Body;

use crate::api::error_mapping::ErrorMapping;
use crate::api::status;
use crate::serving::admission::RequestPermit;

/// Time between two checks for room while a stream is not read.
const PAUSE: Duration = Duration::from_millis(5);

/// The body of a request, as every gRPC service receives it.
#[derive(Debug)]
pub struct RequestBody {
    inner: Body,
    /// `None` for a service without admission control.
    counter: Option<ByteCounter>,
}

impl RequestBody {
    /// Passes `inner` on as it is.
    pub(super) fn uncounted(inner: Body) -> Self {
        let counter = None;
        Self { inner, counter }
    }

    /// Counts the bytes of `inner` against `permit`. Past the limit the body ends with an error.
    pub(super) fn counted(
        inner: Body,
        permit: Arc<RequestPermit>,
        error_mapping: &'static ErrorMapping,
    ) -> Self {
        let counter = Some(ByteCounter {
            permit,
            error_mapping,
            pause: None,
        });
        Self { inner, counter }
    }
}

/// Counts the bytes of one request as they arrive.
#[derive(Debug)]
struct ByteCounter {
    permit: Arc<RequestPermit>,
    error_mapping: &'static ErrorMapping,
    /// Runs while a stream is not read because there is no room for more bytes.
    pause: Option<Pin<Box<Sleep>>>,
}

impl ByteCounter {
    /// Waits while the request is a stream and all requests together hold as many bytes as they may.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.permit.is_stream() && self.permit.bytes_exhausted() {
            let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(PAUSE)));
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        Poll::Ready(())
    }

    /// Counts `bytes` that have arrived.
    ///
    /// # Errors
    /// Returns the status of [`PredictError::Overloaded`](crate::error::PredictError::Overloaded) past the limit on bytes.
    fn count(&self, bytes: usize) -> Result<(), Status> {
        if self.permit.is_stream() {
            self.permit.hold_unchecked(bytes);
            return Ok(());
        }
        let held = self.permit.hold(bytes);
        held.map_err(|error| status::to_status(&error, self.error_mapping))
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Self { inner, counter } = &mut *self;
        let Some(counter) = counter else {
            return Pin::new(inner).poll_frame(cx);
        };
        ready!(counter.poll_room(cx));
        let frame = ready!(Pin::new(&mut *inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                if let Err(status) = counter.count(bytes) {
                    return Poll::Ready(Some(Err(status)));
                }
            }
            Some(Err(_)) => {}
            None => counter.permit.mark_read(),
        }
        if inner.is_end_stream() {
            counter.permit.mark_read();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of a response that holds the permit of its request until the last byte has left, which bounds unread responses too.
#[derive(Debug)]
pub(super) struct ResponseBody<P> {
    inner: Body,
    _permit: P,
}

impl<P> ResponseBody<P> {
    /// Holds `permit` for as long as `inner` is not sent.
    pub(super) fn new(inner: Body, permit: P) -> Self {
        Self {
            inner,
            _permit: permit,
        }
    }
}

impl<P: Unpin> HttpBody for ResponseBody<P> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
