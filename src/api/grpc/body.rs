//! Bodies that count against admission control while they are on their way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::body::Body;
use tonic::{Code, Status};

use super::gzip::{self, GzipMessages};
use crate::api::error_mapping::ErrorMapping;
use crate::api::{MESSAGE_PATIENCE, status};
use crate::serving::admission::RequestPermit;
use crate::serving::call_limit::CallPermit;

/// Time between two checks for room while a stream is not read.
const PAUSE: Duration = Duration::from_millis(5);

/// The body of a request, as every gRPC service receives it.
#[derive(Debug)]
pub struct RequestBody {
    inner: Body,
    arrival: Arrival,
    /// `None` if the messages are not compressed.
    compressed: Option<Box<GzipMessages>>,
}

/// How the arrival of a body is limited.
#[derive(Debug)]
enum Arrival {
    /// By admission control.
    Counted(ByteCounter),
    /// By the limits on calls without admission control. The timer runs while nothing arrives.
    Limited(Arc<CallPermit>, Option<Pin<Box<Sleep>>>),
}

impl RequestBody {
    /// Passes `inner` on, whose bytes count against `permit`. Past the limit, or if nothing arrives for [`MESSAGE_PATIENCE`], the body ends
    /// with an error.
    pub(super) fn limited(inner: Body, permit: Arc<CallPermit>) -> Self {
        Self {
            inner,
            arrival: Arrival::Limited(permit, None),
            compressed: None,
        }
    }

    /// Counts the bytes of `inner` against `permit`. Past the limit the body ends with an error.
    pub(super) fn counted(
        inner: Body,
        permit: Arc<RequestPermit>,
        error_mapping: &'static ErrorMapping,
    ) -> Self {
        let counter = ByteCounter {
            permit,
            error_mapping,
            pause: None,
        };
        Self {
            inner,
            arrival: Arrival::Counted(counter),
            compressed: None,
        }
    }

    /// Inflates the messages, each to at most `max_bytes` bytes, and counts the inflated bytes.
    pub(super) fn inflated(mut self, max_bytes: usize) -> Self {
        if let Arrival::Counted(counter) = &self.arrival {
            let (permit, error_mapping) = (Arc::clone(&counter.permit), counter.error_mapping);
            let count = move |bytes| count(&permit, bytes, error_mapping);
            self.compressed = Some(Box::new(GzipMessages::new(max_bytes, count)));
        }
        self
    }
}

/// Counts `bytes` that have arrived.
///
/// # Errors
/// Returns the status of [`PredictError::Overloaded`](crate::error::PredictError::Overloaded) past the limit on bytes.
fn count(
    permit: &RequestPermit,
    bytes: usize,
    error_mapping: &'static ErrorMapping,
) -> Result<(), Status> {
    if permit.is_stream() {
        permit.hold_unchecked(bytes);
        return Ok(());
    }
    let held = permit.hold(bytes);
    held.map_err(|error| status::to_status(&error, error_mapping))
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
}

impl ByteCounter {
    /// Counts a frame of data, and returns it, or what is inflated by now.
    fn read(
        &self,
        compressed: &mut Option<Box<GzipMessages>>,
        frame: Frame<Bytes>,
    ) -> Result<Option<Frame<Bytes>>, Status> {
        let Some(messages) = compressed else {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            count(&self.permit, bytes, self.error_mapping)?;
            return Ok(Some(frame));
        };
        let inflated = messages.push(frame.into_data().unwrap_or_default())?;
        Ok((!inflated.is_empty()).then(|| Frame::data(inflated)))
    }
}

/// Polls `body`, and fails past a limit of `permit`, or if nothing of it arrives for [`MESSAGE_PATIENCE`].
fn poll_limited(
    body: &mut Body,
    permit: &CallPermit,
    timer: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
    if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
        *timer = None;
        let arrived = frame.as_ref().and_then(|frame| frame.as_ref().ok());
        let bytes = arrived.and_then(Frame::data_ref).map_or(0, Bytes::len);
        return Poll::Ready(match permit.hold(bytes) {
            Ok(()) => frame,
            Err(error) => Some(Err(status::too_many_calls(&error))),
        });
    }
    let timer = timer.get_or_insert_with(|| Box::pin(sleep(MESSAGE_PATIENCE)));
    timer.as_mut().poll(cx).map(|()| {
        let text = format!("nothing arrived for {MESSAGE_PATIENCE:?}");
        Some(Err(status::with_reason(
            Code::DeadlineExceeded,
            "MESSAGE_TOO_SLOW",
            &text,
        )))
    })
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Self {
            inner,
            arrival,
            compressed,
        } = &mut *self;
        let counter = match arrival {
            Arrival::Counted(counter) => counter,
            Arrival::Limited(permit, timer) => return poll_limited(inner, permit, timer, cx),
        };
        loop {
            ready!(counter.poll_room(cx));
            let mut frame = ready!(Pin::new(&mut *inner).poll_frame(cx));
            let is_end = frame.is_none() || inner.is_end_stream();
            if let Some(Ok(arrived)) =
                frame.take_if(|frame| frame.as_ref().is_ok_and(Frame::is_data))
            {
                match counter.read(compressed, arrived) {
                    // Nothing is inflated yet.
                    Ok(None) if !is_end => continue,
                    Ok(read) => frame = read.map(Ok),
                    Err(status) => return Poll::Ready(Some(Err(status))),
                }
            }
            if is_end {
                counter.permit.mark_read();
            }
            return Poll::Ready(frame);
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.compressed {
            Some(_) => SizeHint::default(),
            None => self.inner.size_hint(),
        }
    }
}

/// The body of a response that holds the permit of its request until the last byte has left, which bounds unread responses too.
#[derive(Debug)]
pub(super) struct ResponseBody {
    inner: Body,
    permit: Arc<RequestPermit>,
    /// Frames that the transport has taken.
    frames: usize,
    /// The fewest bytes of a message that is compressed; `None`: none is.
    compress_from: Option<usize>,
}

impl ResponseBody {
    /// Holds `permit` for as long as `inner` is not sent. Compresses messages of at least `compress_from` bytes.
    pub(super) fn new(
        inner: Body,
        permit: Arc<RequestPermit>,
        compress_from: Option<usize>,
    ) -> Self {
        Self {
            inner,
            permit,
            frames: 0,
            compress_from,
        }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let frame = Pin::new(&mut this.inner).poll_frame(cx);
        if matches!(frame, Poll::Ready(Some(_))) {
            // The transport has this frame until it asks for the next one.
            this.frames += 1;
            this.permit.set_unsent(this.frames);
        } else {
            this.permit.set_unsent(0);
        }
        match (frame, this.compress_from) {
            (Poll::Ready(Some(Ok(frame))), Some(least)) => {
                let frame = frame.map_data(|data| gzip::compress(data, least));
                Poll::Ready(Some(Ok(frame)))
            }
            (frame, _) => frame,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of a response that holds `P` until the last byte has left.
#[derive(Debug)]
pub(super) struct HeldBody<P> {
    inner: Body,
    _held: P,
}

impl<P> HeldBody<P> {
    /// Holds `held` for as long as `inner` is not sent.
    pub(super) fn new(inner: Body, held: P) -> Self {
        Self { inner, _held: held }
    }
}

impl<P: Unpin> HttpBody for HeldBody<P> {
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
