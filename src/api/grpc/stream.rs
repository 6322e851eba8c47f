//! Many requests on one call, whatever protocol they came by: answered in their order, some of them at a time.
//!
//! A stream has a place in admission control for as long as it is open, and each of its requests one of its own. While the oldest answer is not
//! taken, no more than [`AT_ONCE`] are read, so that a caller who does not read fills the transport's windows and nothing else. While the
//! gate holds no more bytes, streams are not read. The transport keeps room for the largest message of a stream, so as many bytes stay
//! counted with it; whoever holds more than a little and does not go on is ended.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
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

/// Requests of one stream that are worked on, or answered and not taken, at one time.
const AT_ONCE: usize = 32;

/// Bytes that an open stream may hold for as long as it likes.
const KEPT: usize = 16 << 10;

/// One request of a stream.
pub(super) struct Item<T> {
    /// Its place in the stream, from 0.
    pub(super) index: u64,
    pub(super) message: T,
    /// Those of the call.
    pub(super) headers: HeaderMap,
    /// Its place in admission control, if there was one.
    pub(super) place: Result<Arc<RequestPermit>, PredictError>,
}

/// The answers to a stream.
pub(super) type Answers<R> = Pin<Box<dyn Stream<Item = Result<R, Status>> + Send>>;

/// Has every request of a stream answered by `answer`, which tells what is wrong with it in its answer.
///
/// # Errors
/// There is no place for the stream.
pub(super) fn answers<T, R, A, F>(
    predictor: &Predictor,
    mut request: Request<Streaming<T>>,
    error_mapping: &'static ErrorMapping,
    answer: A,
) -> Result<Answers<R>, Status>
where
    T: Send + 'static,
    R: Send + 'static,
    A: Fn(Predictor, Item<T>) -> F + Send + 'static,
    F: Future<Output = R> + Send + 'static,
{
    let place = predictor.place(request.extensions_mut());
    let staying = place.and_then(|place| place.begin_stream().map(|()| place));
    let place = staying.map_err(|error| status::to_status(&error, error_mapping))?;
    let (metadata, _, requests) = request.into_parts();
    let draining = Arc::clone(&place);
    Ok(Box::pin(Running {
        predictor: predictor.clone(),
        headers: metadata.into_headers(),
        answer,
        requests: Some(requests),
        working: FuturesOrdered::new(),
        index: 0,
        over: Some(Box::pin(over(Arc::clone(&place), error_mapping))),
        draining: Box::pin(async move { draining.draining().await }),
        place,
        largest: 0,
        patience: None,
        last: None,
    }))
}

/// Waits until the stream must end whatever becomes of its requests, and says how.
async fn over(place: Arc<RequestPermit>, error_mapping: &'static ErrorMapping) -> Status {
    let deadline = async {
        match place.deadline() {
            Some(deadline) => sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    let error = tokio::select! {
        () = place.cut_off() => {
            place.mark_interrupted();
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
    /// Gone when no more is read.
    requests: Option<Streaming<T>>,
    working: FuturesOrdered<F>,
    /// Of the next request.
    index: u64,
    /// Gone when the stream has ended.
    over: Option<Pin<Box<dyn Future<Output = Status> + Send>>>,
    draining: Pin<Box<dyn Future<Output = ()> + Send>>,
    place: Arc<RequestPermit>,
    /// Bytes of the largest message, which stay counted with the place.
    largest: usize,
    /// Until a caller who holds more than a little must have gone on.
    patience: Option<Pin<Box<Sleep>>>,
    /// How the stream ends after its last answer, where that is an error.
    last: Option<Status>,
}

impl<T, A: Fn(Predictor, Item<T>) -> F, F: Future> Running<T, A, F> {
    /// Begins to work on what has come, as far as there is room. Tells whether more is waited for.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        while self.working.len() < AT_ONCE
            && let Some(requests) = &mut self.requests
        {
            if self.draining.as_mut().poll(cx).is_ready() {
                let told = "the gateway is going down: open the stream at another replica";
                self.last = Some(status::plain(Code::Unavailable, "DRAINING", told));
                self.requests = None;
                return false;
            }
            match Pin::new(requests).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => self.begin(message),
                Poll::Ready(Some(Err(status))) => {
                    self.last = Some(self.unreadable(status));
                    self.requests = None;
                }
                Poll::Ready(None) => self.requests = None,
                Poll::Pending => return true,
            }
        }
        false
    }

    fn begin(&mut self, message: T) {
        self.patience = None;
        let came = self.place.release_bytes().saturating_sub(self.largest);
        self.largest = self.largest.max(came);
        self.place.hold_unchecked(self.largest);
        let item = Item {
            index: self.index,
            message,
            headers: self.headers.clone(),
            place: place(self.predictor.admission(), &self.place, came),
        };
        self.index += 1;
        let working = (self.answer)(self.predictor.clone(), item);
        self.working.push_back(working);
    }

    /// How the stream ends after a message that the transport refused.
    fn unreadable(&self, status: Status) -> Status {
        let (why, reason) = match status.code() {
            Code::OutOfRange => (MessageFault::TooLarge, "MESSAGE_TOO_LARGE"),
            Code::InvalidArgument | Code::Unimplemented => {
                (MessageFault::Malformed, "MALFORMED_MESSAGE")
            }
            // The caller has gone, or the connection.
            _ => return status,
        };
        self.predictor.pipeline().unreadable(why);
        status::plain(status.code(), reason, status.message())
    }

    /// Whether the caller holds more than a little for too long.
    fn is_too_slow(&mut self, cx: &mut Context<'_>) -> bool {
        if self.place.bytes() <= self.largest.min(KEPT) {
            self.patience = None;
            return false;
        }
        let patience = self
            .patience
            .get_or_insert_with(|| Box::pin(sleep(MESSAGE_PATIENCE)));
        patience.as_mut().poll(cx).is_ready()
    }
}

/// A place for one request of the stream that has `stream`, whose message has so many `bytes`.
fn place(
    admission: &Arc<AdmissionControl>,
    stream: &RequestPermit,
    bytes: usize,
) -> Result<Arc<RequestPermit>, PredictError> {
    let place = admission.enter(Instant::now(), stream.deadline())?;
    place.hold(bytes)?;
    place.mark_read();
    Ok(Arc::new(place))
}

// Nothing in it is pinned in place.
impl<T, A, F: Future> Unpin for Running<T, A, F> {}

impl<T, A: Fn(Predictor, Item<T>) -> F, F: Future> Stream for Running<T, A, F> {
    type Item = Result<F::Output, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(over) = &mut this.over else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(status) = over.as_mut().poll(cx) {
            this.over = None;
            return Poll::Ready(Some(Err(status)));
        }
        if this.read(cx) && this.is_too_slow(cx) {
            this.over = None;
            this.predictor.pipeline().unreadable(MessageFault::TooSlow);
            let told = format!("no further message came as a whole within {MESSAGE_PATIENCE:?}");
            let status = status::plain(Code::DeadlineExceeded, "MESSAGE_TOO_SLOW", &told);
            return Poll::Ready(Some(Err(status)));
        }
        match Pin::new(&mut this.working).poll_next(cx) {
            Poll::Ready(Some(answer)) => Poll::Ready(Some(Ok(answer))),
            Poll::Ready(None) if this.requests.is_none() => {
                this.over = None;
                Poll::Ready(this.last.take().map(Err))
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}
