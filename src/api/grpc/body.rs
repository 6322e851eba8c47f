//! Bodies that count against admission control, or against the limits on other calls, while they are on their way.

use std::future::pending;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep, sleep_until};
use tonic::body::Body;
use tonic::{Code, Status};

use super::gzip::{self, GzipMessages};
use crate::api::error_mapping::ErrorMapping;
use crate::api::{MESSAGE_PATIENCE, status};
use crate::insight::metrics::UnsentReason;
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
    /// What was read and is read again next.
    unread: Option<Option<Result<Frame<Bytes>, Status>>>,
}

/// How the arrival of a body is limited.
#[derive(Debug)]
enum Arrival {
    /// By admission control.
    Counted(ByteCounter),
    /// By the limits on calls without admission control. The timer runs while nothing arrives.
    Limited(Arc<LimitedCall>, Option<Pin<Box<Sleep>>>),
}

impl Arrival {
    /// Polls `body`, once there is room for more of it.
    fn poll_body(
        &mut self,
        body: &mut Body,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self {
            Self::Counted(counter) => {
                ready!(counter.poll_room(cx));
                Pin::new(body).poll_frame(cx)
            }
            Self::Limited(call, timer) => poll_patiently(body, call, timer, cx),
        }
    }

    /// Counts `bytes` that have arrived.
    ///
    /// # Errors
    /// Returns the status to end the call with past the limit on bytes.
    fn count(&self, bytes: usize) -> Result<(), Status> {
        match self {
            Self::Counted(counter) => count(&counter.permit, bytes, counter.error_mapping),
            Self::Limited(call, _) => call.count(bytes),
        }
    }

    /// Ends the arrival if it has failed, or if all has arrived.
    fn end_if(&self, failure: Option<&Status>, is_end: bool) {
        match (self, failure) {
            (Self::Counted(counter), None) if is_end => counter.permit.mark_read(),
            (Self::Limited(call, _), Some(status)) => call.fail(status),
            (Self::Counted(_) | Self::Limited(..), _) => {}
        }
    }
}

impl RequestBody {
    fn new(inner: Body, arrival: Arrival) -> Self {
        Self {
            inner,
            arrival,
            compressed: None,
            unread: None,
        }
    }

    /// Makes the next read return `frame` again, which the last one has returned.
    pub(super) fn unread(&mut self, frame: Option<Result<Frame<Bytes>, Status>>) {
        self.unread = Some(frame);
    }

    /// Passes `inner` on, whose bytes count as those of `call`. Past the limit, or if nothing arrives for [`MESSAGE_PATIENCE`], the body ends
    /// with an error, which is also the failure of `call`.
    pub(super) fn limited(inner: Body, call: Arc<LimitedCall>) -> Self {
        Self::new(inner, Arrival::Limited(call, None))
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
        Self::new(inner, Arrival::Counted(counter))
    }

    /// Inflates the messages, each to at most `max_bytes` bytes, and counts the inflated bytes.
    pub(super) fn inflated(mut self, max_bytes: usize) -> Self {
        let messages = match &self.arrival {
            Arrival::Counted(counter) => {
                let (permit, error_mapping) = (Arc::clone(&counter.permit), counter.error_mapping);
                GzipMessages::new(max_bytes, move |bytes| count(&permit, bytes, error_mapping))
            }
            Arrival::Limited(call, _) => {
                let call = Arc::clone(call);
                GzipMessages::new(max_bytes, move |bytes| call.count(bytes))
            }
        };
        self.compressed = Some(Box::new(messages));
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

/// Polls `body`, and fails if nothing of it arrives for [`MESSAGE_PATIENCE`], or once the client has not read the answer of `call` in time.
fn poll_patiently(
    body: &mut Body,
    call: &LimitedCall,
    timer: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
    call.reader.register(cx.waker());
    if call.is_unread.load(Ordering::Relaxed) {
        let status = Status::cancelled("the answer was not read");
        return Poll::Ready(Some(Err(status)));
    }
    if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
        *timer = None;
        return Poll::Ready(frame);
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
        let this = &mut *self;
        if let Some(frame) = this.unread.take() {
            return Poll::Ready(frame);
        }
        loop {
            if let Some(messages) = &mut this.compressed {
                if let Some(read) = messages.read().transpose() {
                    this.arrival.end_if(read.as_ref().err(), false);
                    return Poll::Ready(Some(read.map(Frame::data)));
                }
                if messages.has_more() {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
            let frame = ready!(this.arrival.poll_body(&mut this.inner, cx));
            let is_end = frame.is_none() || this.inner.is_end_stream();
            let frame = match (frame, &mut this.compressed) {
                (Some(Ok(frame)), Some(messages)) if frame.is_data() => {
                    messages.push(frame.into_data().unwrap_or_default());
                    this.arrival.end_if(None, is_end);
                    continue;
                }
                (None, Some(messages)) if !messages.is_complete() => {
                    let text = "the request ended within a message";
                    Some(Err(Status::invalid_argument(text)))
                }
                (Some(Ok(frame)), None) => {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    Some(this.arrival.count(bytes).map(|()| frame))
                }
                (frame, _) => frame,
            };
            let failure = frame.as_ref().and_then(|frame| frame.as_ref().err());
            this.arrival.end_if(failure, is_end);
            return Poll::Ready(frame);
        }
    }

    fn is_end_stream(&self) -> bool {
        let is_read = |messages: &GzipMessages| messages.is_complete();
        self.unread.is_none()
            && self.inner.is_end_stream()
            && self.compressed.as_deref().is_none_or(is_read)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.compressed, &self.unread) {
            (None, None) => self.inner.size_hint(),
            _ => SizeHint::default(),
        }
    }
}

/// A call that is open until its answer has been sent.
pub(super) trait OpenCall: Send + Sync + 'static {
    /// Marks part `number` of the answer as handed to the transport, which has not sent it; 0: there is nothing to send.
    fn set_unsent(&self, number: usize);

    /// Returns the number of the part of the answer that has not been sent; 0 if there is none.
    fn unsent(&self) -> usize;

    /// Returns the status to end the call with, whatever its service makes of it; `None` if its messages were read.
    fn failure(&self) -> Option<Status>;

    /// Waits until the answer need not be sent any more, at most for `send_timeout`, and counts it.
    fn wait_for_end(self: Arc<Self>, send_timeout: Duration) -> BoxFuture<'static, ()>;
}

impl OpenCall for RequestPermit {
    fn set_unsent(&self, number: usize) {
        self.set_unsent(number);
    }

    fn unsent(&self) -> usize {
        self.unsent()
    }

    fn failure(&self) -> Option<Status> {
        None
    }

    fn wait_for_end(self: Arc<Self>, send_timeout: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let deadline = async {
                match self.deadline() {
                    Some(deadline) => sleep_until(deadline).await,
                    None => pending().await,
                }
            };
            let reason = tokio::select! {
                () = sleep(send_timeout) => UnsentReason::Unread,
                () = deadline => UnsentReason::Deadline,
                () = self.evicted() => UnsentReason::Evicted,
            };
            self.count_unsent(reason);
        })
    }
}

/// The body of a response that holds its call open until the last byte has left, which bounds unread responses too.
///
/// The connection asks for the next part once a large part before it has been sent, see `app/tracked.rs`.
#[derive(Debug)]
pub(super) struct ResponseBody<C> {
    inner: Body,
    call: Arc<C>,
    /// What is left of a part that is sent in several, so that a slow client makes progress with each.
    rest: Bytes,
    /// Parts that the transport has taken.
    frames: usize,
    /// The fewest bytes of a message that is compressed; `None`: none is.
    compress_from: Option<usize>,
}

impl<C: OpenCall> ResponseBody<C> {
    /// Holds `call` for as long as `inner` is not sent. Compresses messages of at least `compress_from` bytes. If the call fails, the body
    /// ends with its failure.
    pub(super) fn new(inner: Body, call: Arc<C>, compress_from: Option<usize>) -> Self {
        Self {
            inner,
            call,
            rest: Bytes::new(),
            frames: 0,
            compress_from,
        }
    }

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

    /// Returns `frame`, or the failure of the call instead of its last frame: some services end their answers without an error if they
    /// cannot read a message.
    fn or_failure(&self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Status> {
        if !frame.is_trailers() {
            return Ok(frame);
        }
        let Some(failure) = self.call.failure() else {
            return Ok(frame);
        };
        let mut trailers = HeaderMap::new();
        failure.add_header(&mut trailers)?;
        Ok(Frame::trailers(trailers))
    }
}

impl<C: OpenCall> HttpBody for ResponseBody<C> {
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
            this.call.set_unsent(this.frames);
        } else {
            this.call.set_unsent(0);
        }
        let frame = frame.map_ok(|frame| frame.map_data(|data| this.first_part(data, is_new)));
        frame.map(|frame| frame.map(|frame| frame.and_then(|frame| this.or_failure(frame))))
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

/// A call without admission control, as its request, its response and its task share it.
#[derive(Debug)]
pub(super) struct LimitedCall {
    permit: CallPermit,
    /// Why its messages could not be read.
    failure: OnceLock<Status>,
    /// The number of the part of the answer that has not been sent; 0: none.
    unsent: AtomicUsize,
    /// Whether the answer was not read in time. The transport resets the call only once its messages are not waited for either.
    is_unread: AtomicBool,
    /// Wakes the reader of its messages.
    reader: AtomicWaker,
}

impl LimitedCall {
    /// Creates a call that holds `permit`.
    pub(super) fn new(permit: CallPermit) -> Self {
        Self {
            permit,
            failure: OnceLock::new(),
            unsent: AtomicUsize::new(0),
            is_unread: AtomicBool::new(false),
            reader: AtomicWaker::new(),
        }
    }

    /// Returns the most bytes of a message, inflated.
    pub(super) fn max_message_bytes(&self) -> usize {
        self.permit.max_message_bytes()
    }

    fn count(&self, bytes: usize) -> Result<(), Status> {
        let held = self.permit.hold(bytes);
        held.map_err(|error| status::too_many_calls(&error))
    }

    fn fail(&self, why: &Status) {
        // Only the first failure counts.
        let _ = self.failure.set(why.clone());
    }
}

impl OpenCall for LimitedCall {
    fn set_unsent(&self, number: usize) {
        self.unsent.store(number, Ordering::Relaxed);
    }

    fn unsent(&self) -> usize {
        self.unsent.load(Ordering::Relaxed)
    }

    fn failure(&self) -> Option<Status> {
        self.failure.get().cloned()
    }

    fn wait_for_end(self: Arc<Self>, send_timeout: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            sleep(send_timeout).await;
            self.permit.count_unsent();
            self.is_unread.store(true, Ordering::Relaxed);
            self.reader.wake();
        })
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
