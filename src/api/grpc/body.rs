//! Bodies that count against admission control while they are on their way.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
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

/// The most bytes of a part of an answer. A client must take one within `send_seconds`.
const MOST_PART: usize = 64 << 10;

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
    Limited(Arc<LimitedCall>, Option<Pin<Box<Sleep>>>),
}

impl RequestBody {
    /// Passes `inner` on, whose bytes count as those of `call`. Past the limit, or if nothing arrives for [`MESSAGE_PATIENCE`], the body ends
    /// with an error, which is also the failure of `call`.
    pub(super) fn limited(inner: Body, call: Arc<LimitedCall>) -> Self {
        Self {
            inner,
            arrival: Arrival::Limited(call, None),
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
            Arrival::Limited(call, timer) => {
                let polled = ready!(poll_limited(inner, &call.permit, timer, cx));
                if let Some(Err(status)) = &polled {
                    call.fail(status);
                }
                return Poll::Ready(polled);
            }
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
///
/// The connection asks for the next part once a large part before it has been sent, see `app/tracked.rs`.
#[derive(Debug)]
pub(super) struct ResponseBody {
    inner: Body,
    permit: Arc<RequestPermit>,
    /// What is left of a part that is sent in several, so that a slow client makes progress with each.
    rest: Bytes,
    /// Parts that the transport has taken.
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
            rest: Bytes::new(),
            frames: 0,
            compress_from,
        }
    }
}

impl ResponseBody {
    /// Returns the first part of `data`, and keeps the rest. Messages are compressed whole, and only once: what is left of one is compressed
    /// already.
    fn first_part(&mut self, data: Bytes, is_new: bool) -> Bytes {
        let mut data = match self.compress_from {
            Some(least) if is_new => gzip::compress(data, least),
            _ => data,
        };
        if data.len() > MOST_PART {
            self.rest = data.split_off(MOST_PART);
        }
        data
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
        let is_new = this.rest.is_empty();
        let frame = if is_new {
            Pin::new(&mut this.inner).poll_frame(cx)
        } else {
            Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.rest)))))
        };
        if matches!(frame, Poll::Ready(Some(_))) {
            // The transport has this part until it asks for the next one.
            this.frames += 1;
            this.permit.set_unsent(this.frames);
        } else {
            this.permit.set_unsent(0);
        }
        frame.map_ok(|frame| frame.map_data(|data| this.first_part(data, is_new)))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.rest.is_empty() && self.compress_from.is_none() {
            self.inner.size_hint()
        } else {
            SizeHint::default()
        }
    }
}

/// A call without admission control, as its request and its response share it.
#[derive(Debug)]
pub(super) struct LimitedCall {
    permit: CallPermit,
    /// Why its messages could not be read.
    failure: OnceLock<Status>,
}

impl LimitedCall {
    /// Creates a call that holds `permit`.
    pub(super) fn new(permit: CallPermit) -> Self {
        Self {
            permit,
            failure: OnceLock::new(),
        }
    }

    fn fail(&self, why: &Status) {
        // Only the first failure counts.
        let _ = self.failure.set(why.clone());
    }

    /// Returns the status to end the call with, whatever its service makes of it; `None` if its messages were read.
    pub(super) fn failure(&self) -> Option<Status> {
        self.failure.get().cloned()
    }
}

/// The body of a response that holds its call until the last byte has left.
#[derive(Debug)]
pub(super) struct HeldBody {
    inner: Body,
    call: Arc<LimitedCall>,
}

impl HeldBody {
    /// Holds `call` for as long as `inner` is not sent. If the call fails, `inner` ends with its failure.
    pub(super) fn new(inner: Body, call: Arc<LimitedCall>) -> Self {
        Self { inner, call }
    }
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if !matches!(&frame, Some(Ok(frame)) if frame.is_trailers()) {
            return Poll::Ready(frame);
        }
        // Some services end their answers without an error if they cannot read a message.
        let failed = self.call.failure().map(|failure| {
            let mut trailers = HeaderMap::new();
            failure
                .add_header(&mut trailers)
                .map(|()| Frame::trailers(trailers))
        });
        Poll::Ready(failed.or(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};
    use tokio::time::Instant;

    use super::*;
    use crate::insight::metrics::Telemetry;
    use crate::serving::admission::{AdmissionControl, Limits};

    fn permit() -> Arc<RequestPermit> {
        let limits = Limits {
            max_in_flight: 1,
            max_in_flight_bytes: 1,
        };
        let admission = AdmissionControl::new(limits, Telemetry::new().unwrap());
        Arc::new(admission.enter(Instant::now(), None).unwrap())
    }

    #[tokio::test]
    async fn a_large_answer_has_many_parts_each_of_which_is_progress() {
        let permit = permit();
        let answer: Bytes = (0..3 * MOST_PART + 7).map(|at| (at % 251) as u8).collect();
        let inner = Body::new(Full::new(answer.clone()));
        let mut body = ResponseBody::new(inner, Arc::clone(&permit), None);
        let mut sent = Vec::new();
        for number in 1..=4 {
            assert!(!body.is_end_stream(), "part {number}");
            let part = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(part.len() <= MOST_PART);
            assert_eq!(permit.unsent(), number);
            sent.extend_from_slice(&part);
        }
        assert!(body.is_end_stream() && body.frame().await.is_none());
        assert_eq!((sent, permit.unsent()), (answer.to_vec(), 0));
    }
}
