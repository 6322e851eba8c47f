//! Many requests on one call, whatever protocol they came by: answered in their order, some of them at a time.
//!
//! A stream has a place at the gate for as long as it is open, and each of its requests one of its own. While the oldest answer is not
//! taken, no more than [`AT_ONCE`] are read, so that a caller who does not read fills the transport's windows and nothing else.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::stream::FuturesOrdered;
use http::HeaderMap;
use tokio::time::{Instant, sleep_until};
use tokio_stream::Stream;
use tonic::{Request, Status, Streaming};

use crate::api::dialect::Dialect;
use crate::api::predictor::Predictor;
use crate::api::status;
use crate::error::PredictError;
use crate::serving::gate::{Arrival, Gate};

/// Requests of one stream that are worked on, or answered and not taken, at one time.
const AT_ONCE: usize = 32;

/// One request of a stream.
pub(super) struct Item<T> {
    /// Its place in the stream, from 0.
    pub(super) index: u64,
    pub(super) message: T,
    /// Those of the call.
    pub(super) headers: HeaderMap,
    /// Its place at the gate, if there was one.
    pub(super) place: Result<Arc<Arrival>, PredictError>,
}

/// The answers to a stream.
pub(super) type Answers<R> = Pin<Box<dyn Stream<Item = Result<R, Status>> + Send>>;

/// Has every request of a stream answered by `answer`, which tells what is wrong with it in its answer.
///
/// # Errors
/// There is no place for the stream.
pub(super) fn answers<T, R, F>(
    predictor: &Predictor,
    mut request: Request<Streaming<T>>,
    dialect: &'static Dialect,
    answer: fn(Predictor, Item<T>) -> F,
) -> Result<Answers<R>, Status>
where
    T: Send + 'static,
    R: Send + 'static,
    F: Future<Output = R> + Send + 'static,
{
    let place = predictor.place(request.extensions_mut());
    let place = place.map_err(|error| status::told(&error, dialect))?;
    let (metadata, _, requests) = request.into_parts();
    let draining = Arc::clone(&place);
    Ok(Box::pin(Running {
        predictor: predictor.clone(),
        headers: metadata.into_headers(),
        answer,
        requests: Some(requests),
        working: FuturesOrdered::new(),
        index: 0,
        over: Some(Box::pin(over(Arc::clone(&place), dialect))),
        draining: Box::pin(async move { draining.draining().await }),
        place,
        dialect,
        last: None,
    }))
}

/// Waits until the stream must end whatever becomes of its requests, and says how.
async fn over(place: Arc<Arrival>, dialect: &'static Dialect) -> Status {
    let deadline = async {
        match place.deadline() {
            Some(deadline) => sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    let error = tokio::select! {
        () = place.cut_off() => PredictError::Draining,
        () = deadline => PredictError::DeadlineExceeded,
    };
    status::told(&error, dialect)
}

struct Running<T, F: Future> {
    predictor: Predictor,
    headers: HeaderMap,
    answer: fn(Predictor, Item<T>) -> F,
    /// Gone when no more is read.
    requests: Option<Streaming<T>>,
    working: FuturesOrdered<F>,
    /// Of the next request.
    index: u64,
    /// Gone when the stream has ended.
    over: Option<Pin<Box<dyn Future<Output = Status> + Send>>>,
    draining: Pin<Box<dyn Future<Output = ()> + Send>>,
    place: Arc<Arrival>,
    dialect: &'static Dialect,
    /// How the stream ends after its last answer, where that is an error.
    last: Option<Status>,
}

impl<T, F: Future> Running<T, F> {
    /// Begins to work on what has come, as far as there is room.
    fn read(&mut self, cx: &mut Context<'_>) {
        while self.working.len() < AT_ONCE
            && let Some(requests) = &mut self.requests
        {
            if self.draining.as_mut().poll(cx).is_ready() {
                self.last = Some(status::told(&PredictError::Draining, self.dialect));
                self.requests = None;
                return;
            }
            match Pin::new(requests).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => self.begin(message),
                Poll::Ready(Some(Err(status))) => {
                    self.last = Some(status);
                    self.requests = None;
                }
                Poll::Ready(None) => self.requests = None,
                Poll::Pending => return,
            }
        }
    }

    fn begin(&mut self, message: T) {
        let item = Item {
            index: self.index,
            message,
            headers: self.headers.clone(),
            place: place(self.predictor.gate(), &self.place),
        };
        self.index += 1;
        let working = (self.answer)(self.predictor.clone(), item);
        self.working.push_back(working);
    }
}

/// A place for one request of the stream that has `stream`: what has come of it is counted there from now on.
fn place(gate: &Arc<Gate>, stream: &Arrival) -> Result<Arc<Arrival>, PredictError> {
    let bytes = stream.hand_over();
    let place = gate.enter(Instant::now(), stream.deadline())?;
    place.hold(bytes)?;
    place.read();
    Ok(Arc::new(place))
}

// Nothing in it is pinned in place.
impl<T, F: Future> Unpin for Running<T, F> {}

impl<T, F: Future> Stream for Running<T, F> {
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
        this.read(cx);
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
