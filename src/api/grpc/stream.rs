//! Many requests on one call, in any protocol: answered in order, several of them concurrently.
//!
//! A stream holds one permit of admission control while it is open, and one for each of its requests. At most [`AT_ONCE`] requests are read
//! while the oldest answer has not been taken, so a client that does not read fills the transport's windows and nothing else. Streams are
//! not read while the requests in flight hold as many bytes as they may. The transport keeps a buffer for the largest message of a stream,
//! so as many bytes stay counted for the stream. A client that holds more than a few bytes and does not go on is disconnected, and so is one
//! that sends no message for long.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::stream::FuturesOrdered;
use http::HeaderMap;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_stream::Stream;
use tonic::{Code, Request, Status, Streaming};

use crate::api::MESSAGE_PATIENCE;
use crate::api::error_mapping::ErrorMapping;
use crate::api::predictor::Predictor;
use crate::api::status;
use crate::error::PredictError;
use crate::insight::metrics::MessageFault;
use crate::serving::admission::{AdmissionControl, RequestPermit};

/// Requests of one stream that are in progress, or answered and not taken, at one time.
const AT_ONCE: usize = 32;

/// Bytes that an open stream may hold without a time limit.
const KEPT_BYTES: usize = 16 << 10;

/// One request of a stream.
pub(super) struct Item<T> {
    /// Its position in the stream, from 0.
    pub(super) index: u64,
    pub(super) message: T,
    /// Headers of the call.
    pub(super) headers: HeaderMap,
    /// Its own permit, or why it got none.
    pub(super) permit: Result<Arc<RequestPermit>, PredictError>,
}

/// The responses of a stream.
pub(super) type Responses<R> = Pin<Box<dyn Stream<Item = Result<R, Status>> + Send>>;

/// Answers every request of a stream by `answer`, which puts errors of single requests into their responses.
///
/// # Errors
/// Returns an error if the stream is not admitted.
pub(super) fn answer_stream<T, R, A, F>(
    predictor: &Predictor,
    mut request: Request<Streaming<T>>,
    error_mapping: &'static ErrorMapping,
    answer: A,
) -> Result<Responses<R>, Status>
where
    T: Send + 'static,
    R: Send + 'static,
    A: Fn(Predictor, Item<T>) -> F + Send + 'static,
    F: Future<Output = R> + Send + 'static,
{
    let admitted = predictor.permit(request.extensions_mut());
    let staying = admitted.and_then(|permit| permit.begin_stream().map(|()| permit));
    let permit = staying.map_err(|error| status::to_status(&error, error_mapping))?;
    let (metadata, _, requests) = request.into_parts();
    let draining = Arc::clone(&permit);
    Ok(Box::pin(Running {
        predictor: predictor.clone(),
        headers: metadata.into_headers(),
        answer,
        requests: Some(requests),
        in_progress: FuturesOrdered::new(),
        next_index: 0,
        early_end: Some(Box::pin(wait_for_early_end(
            Arc::clone(&permit),
            error_mapping,
        ))),
        draining: Box::pin(async move { draining.draining().await }),
        permit,
        idle: predictor.max_stream_idle().map(IdleTimer::new),
        largest: 0,
        patience: None,
        last: None,
    }))
}

/// Waits until the stream must end whether or not its requests are answered, and returns the status to end it with.
async fn wait_for_early_end(
    permit: Arc<RequestPermit>,
    error_mapping: &'static ErrorMapping,
) -> Status {
    let deadline = async {
        match permit.deadline() {
            Some(deadline) => sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    let error = tokio::select! {
        () = permit.cut_off() => {
            permit.mark_interrupted();
            PredictError::Draining
        }
        () = deadline => PredictError::DeadlineExceeded,
    };
    status::to_status(&error, error_mapping)
}

struct Running<T, A, F: Future> {
    predictor: Predictor,
    headers: HeaderMap,
    answer: A,
    /// `None` once no more requests are read.
    requests: Option<Streaming<T>>,
    in_progress: FuturesOrdered<F>,
    next_index: u64,
    /// `None` once the stream has ended.
    early_end: Option<Pin<Box<dyn Future<Output = Status> + Send>>>,
    draining: Pin<Box<dyn Future<Output = ()> + Send>>,
    permit: Arc<RequestPermit>,
    /// `None` if a stream may be idle without a limit.
    idle: Option<IdleTimer>,
    /// Bytes of the largest message, which stay counted for the stream.
    largest: usize,
    /// Runs while the client holds more than a few bytes and must go on.
    patience: Option<Pin<Box<Sleep>>>,
    /// The error that ends the stream after its last answer, if there is one.
    last: Option<Status>,
}

impl<T, A: Fn(Predictor, Item<T>) -> F, F: Future> Running<T, A, F> {
    /// Starts the requests that have arrived, as far as there is room. Returns whether it waits for another one.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        while self.in_progress.len() < AT_ONCE
            && let Some(requests) = &mut self.requests
        {
            if self.draining.as_mut().poll(cx).is_ready() {
                let text = "the gateway is shutting down: open the stream on another replica";
                self.last = Some(status::with_reason(Code::Unavailable, "DRAINING", text));
                self.requests = None;
                return false;
            }
            match Pin::new(requests).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => self.start(message),
                Poll::Ready(Some(Err(status))) => {
                    self.last = Some(self.refuse_unreadable(status));
                    self.requests = None;
                }
                Poll::Ready(None) => self.requests = None,
                Poll::Pending => return true,
            }
        }
        false
    }

    fn start(&mut self, message: T) {
        self.patience = None;
        if let Some(idle) = &mut self.idle {
            idle.was_used = true;
        }
        let bytes = self.permit.release_bytes().saturating_sub(self.largest);
        self.largest = self.largest.max(bytes);
        self.permit.hold_unchecked(self.largest);
        let item = Item {
            index: self.next_index,
            message,
            headers: self.headers.clone(),
            permit: admit_item(self.predictor.admission(), &self.permit, bytes),
        };
        self.next_index += 1;
        let answer = (self.answer)(self.predictor.clone(), item);
        self.in_progress.push_back(answer);
    }

    /// Counts a message that the transport refused, and returns the status that ends the stream.
    fn refuse_unreadable(&self, status: Status) -> Status {
        let (why, reason) = match status.code() {
            Code::OutOfRange => (MessageFault::TooLarge, "MESSAGE_TOO_LARGE"),
            Code::InvalidArgument | Code::Unimplemented => {
                (MessageFault::Malformed, "MALFORMED_MESSAGE")
            }
            // The client or the connection is gone.
            _ => return status,
        };
        self.predictor.pipeline().unreadable(why);
        status::with_reason(status.code(), reason, status.message())
    }

    /// Returns the status that ends the stream if its client does not go on.
    fn end_of_patience(&mut self, cx: &mut Context<'_>) -> Option<Status> {
        let (why, reason, text) = if self.is_too_slow(cx) {
            let text = format!("the next message did not arrive within {MESSAGE_PATIENCE:?}");
            (MessageFault::TooSlow, "MESSAGE_TOO_SLOW", text)
        } else {
            let idle = self.idle.as_mut()?;
            if !idle.has_passed(!self.in_progress.is_empty(), cx) {
                return None;
            }
            let text = format!(
                "no message arrived within {:?} (limits.max_stream_idle_seconds); open the stream again when there are requests",
                idle.max_idle
            );
            (MessageFault::StreamIdle, "STREAM_IDLE", text)
        };
        self.predictor.pipeline().unreadable(why);
        Some(status::with_reason(Code::DeadlineExceeded, reason, &text))
    }

    /// Returns whether the client has held more than a few bytes for too long.
    fn is_too_slow(&mut self, cx: &mut Context<'_>) -> bool {
        if self.permit.bytes() <= self.largest.min(KEPT_BYTES) {
            self.patience = None;
            return false;
        }
        let patience = self
            .patience
            .get_or_insert_with(|| Box::pin(sleep(MESSAGE_PATIENCE)));
        patience.as_mut().poll(cx).is_ready()
    }
}

/// Ends a stream that gets no message.
struct IdleTimer {
    max_idle: Duration,
    timer: Pin<Box<Sleep>>,
    /// Whether a message has arrived since the timer was started. The timer is not restarted for each message, which would cost more.
    was_used: bool,
}

impl IdleTimer {
    fn new(max_idle: Duration) -> Self {
        Self {
            max_idle,
            timer: Box::pin(sleep(max_idle)),
            was_used: false,
        }
    }

    /// Returns whether no message has arrived for the whole time. `is_busy` is whether requests of the stream are in progress.
    fn has_passed(&mut self, is_busy: bool, cx: &mut Context<'_>) -> bool {
        while self.timer.as_mut().poll(cx).is_ready() {
            if !self.was_used && !is_busy {
                return true;
            }
            self.was_used = false;
            self.timer.as_mut().reset(Instant::now() + self.max_idle);
        }
        false
    }
}

/// Gets a permit for one request of the stream that holds `stream`. The message of the request has `bytes` bytes.
fn admit_item(
    admission: &Arc<AdmissionControl>,
    stream: &RequestPermit,
    bytes: usize,
) -> Result<Arc<RequestPermit>, PredictError> {
    let connection = stream.connection().cloned();
    let permit = admission.enter_from(connection, Instant::now(), stream.deadline())?;
    permit.hold(bytes)?;
    permit.mark_read();
    Ok(Arc::new(permit))
}

// No field is pinned structurally.
impl<T, A, F: Future> Unpin for Running<T, A, F> {}

impl<T, A: Fn(Predictor, Item<T>) -> F, F: Future> Stream for Running<T, A, F> {
    type Item = Result<F::Output, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(early_end) = &mut this.early_end else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(status) = early_end.as_mut().poll(cx) {
            this.early_end = None;
            return Poll::Ready(Some(Err(status)));
        }
        if this.read(cx)
            && let Some(status) = this.end_of_patience(cx)
        {
            this.early_end = None;
            return Poll::Ready(Some(Err(status)));
        }
        match Pin::new(&mut this.in_progress).poll_next(cx) {
            Poll::Ready(Some(answer)) => Poll::Ready(Some(Ok(answer))),
            Poll::Ready(None) if this.requests.is_none() => {
                this.early_end = None;
                Poll::Ready(this.last.take().map(Err))
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}
