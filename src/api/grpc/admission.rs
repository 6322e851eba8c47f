//! The first step of a prediction: a place in admission control before its message is read, and what ends it in time: a clock, or the
//! gateway that goes down and waits no longer.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::NamedService;
use tonic::{Code, Status};

use super::deadline;
use crate::api::MESSAGE_PATIENCE;
use crate::api::error_mapping::{ErrorMapping, NATIVE};
use crate::api::status;
use crate::error::PredictError;
use crate::insight::metrics::{MessageFault, Telemetry};
use crate::serving::admission::{AdmissionControl, RequestPermit};

/// How long a stream is not read before it is looked again whether there is room.
const PAUSE: Duration = Duration::from_millis(5);

/// A gRPC service behind admission control.
#[derive(Clone, Debug)]
pub struct Admission<S> {
    inner: S,
    admission: Arc<AdmissionControl>,
    telemetry: Arc<Telemetry>,
    error_mapping: &'static ErrorMapping,
}

impl<S> Admission<S> {
    /// `inner` behind `gate`; messages that cannot be read are counted in `telemetry`.
    pub fn new(inner: S, admission: Arc<AdmissionControl>, telemetry: Arc<Telemetry>) -> Self {
        Self {
            inner,
            admission,
            telemetry,
            error_mapping: &NATIVE,
        }
    }

    /// The same, which tells errors as clients of another protocol know them.
    #[must_use]
    pub fn speaking(self, error_mapping: &'static ErrorMapping) -> Self {
        Self {
            error_mapping,
            ..self
        }
    }
}

impl<S: NamedService> NamedService for Admission<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Admission<S>
where
    S: Service<Request<Counted>, Response = Response<Body>, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Admitted<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let at = Instant::now();
        let timeout = deadline::of(request.headers());
        let deadline = timeout.and_then(|timeout| at.checked_add(timeout));
        let (telemetry, error_mapping) = (Arc::clone(&self.telemetry), self.error_mapping);
        let permit = match self.admission.enter(at, deadline) {
            Ok(permit) => Arc::new(permit),
            Err(error) => {
                let state = State::Refused(Some(status::to_status(&error, error_mapping)));
                return Admitted {
                    state,
                    telemetry,
                    error_mapping,
                };
            }
        };
        let inner = |inner| Counted {
            inner,
            permit: Arc::clone(&permit),
            direction: Direction::In,
            error_mapping,
            pause: None,
        };
        let mut request = request.map(inner);
        request.extensions_mut().insert(Arc::clone(&permit));
        let answer = self.inner.call(request);
        Admitted {
            state: State::Running {
                answer,
                permit,
                impatience: None,
            },
            telemetry,
            error_mapping,
        }
    }
}

/// The answer of a service behind admission control.
#[derive(Debug)]
pub struct Admitted<F> {
    state: State<F>,
    telemetry: Arc<Telemetry>,
    error_mapping: &'static ErrorMapping,
}

enum State<F> {
    Refused(Option<Status>),
    Running {
        answer: F,
        permit: Arc<RequestPermit>,
        /// Begun when the answer is not there at once, which it is for most requests.
        impatience: Option<Pin<Box<dyn Future<Output = Status> + Send>>>,
    },
}

impl<F> fmt::Debug for State<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status) => f.debug_tuple("Refused").field(status).finish(),
            Self::Running { permit, .. } => f
                .debug_struct("Running")
                .field("arrival", permit)
                .finish_non_exhaustive(),
        }
    }
}

impl<F> Future for Admitted<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let error_mapping = this.error_mapping;
        let (answer, permit, impatience) = match &mut this.state {
            State::Refused(status) => {
                let status = status
                    .take()
                    .unwrap_or_else(|| Status::internal("asked twice"));
                return Poll::Ready(Ok(status.into_http()));
            }
            State::Running {
                answer,
                permit,
                impatience,
            } => (answer, permit, impatience),
        };
        if let Poll::Ready(Ok(response)) = Pin::new(answer).poll(cx) {
            if let Some(why) = unreadable(&response) {
                this.telemetry.unreadable(why);
            }
            // The place is held until the answer has left, so that answers nobody reads are bounded too.
            let permit = Arc::clone(permit);
            let sent = |inner| {
                Body::new(Counted {
                    inner,
                    permit,
                    direction: Direction::Out,
                    error_mapping,
                    pause: None,
                })
            };
            return Poll::Ready(Ok(response.map(sent)));
        }
        let begin = || {
            Box::pin(impatience_of(
                Arc::clone(permit),
                Arc::clone(&this.telemetry),
                error_mapping,
            ))
        };
        let end = impatience.get_or_insert_with(|| begin() as _);
        let status = ready!(end.as_mut().poll(cx));
        Poll::Ready(Ok(status.into_http()))
    }
}

/// Waits until the request must be answered whatever has become of it, and says how.
async fn impatience_of(
    permit: Arc<RequestPermit>,
    telemetry: Arc<Telemetry>,
    error_mapping: &'static ErrorMapping,
) -> Status {
    tokio::select! {
        () = permit.cut_off() => {
            permit.mark_interrupted();
            status::to_status(&PredictError::Draining, error_mapping)
        }
        status = clock(&permit, &telemetry, error_mapping) => status,
    }
}

async fn clock(
    permit: &RequestPermit,
    telemetry: &Telemetry,
    error_mapping: &ErrorMapping,
) -> Status {
    let patience = permit.arrived + MESSAGE_PATIENCE;
    let deadline = permit.deadline();
    sleep_until(deadline.map_or(patience, |deadline| deadline.min(patience))).await;
    let is_over = || deadline.is_some_and(|deadline| deadline <= Instant::now());
    if !is_over() && !permit.is_read() {
        telemetry.unreadable(MessageFault::TooSlow);
        let told = format!("the message did not come within {MESSAGE_PATIENCE:?}");
        return Status::deadline_exceeded(told);
    }
    // It was read in time. Without a deadline it may be computed for as long as it takes.
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
    status::to_status(&PredictError::DeadlineExceeded, error_mapping)
}

/// Whether the transport refused the message, which no handler has seen then: its errors have no details, ours have.
fn unreadable(response: &Response<Body>) -> Option<MessageFault> {
    let headers = response.headers();
    let code = Code::from_bytes(headers.get("grpc-status")?.as_bytes());
    if code == Code::Ok || headers.contains_key("grpc-status-details-bin") {
        return None;
    }
    Some(if code == Code::OutOfRange {
        MessageFault::TooLarge
    } else {
        MessageFault::Malformed
    })
}

/// A body that holds the request's place. The bytes of a request are counted as they come; a stream is not read while there is no room.
#[derive(Debug)]
pub struct Counted {
    inner: Body,
    permit: Arc<RequestPermit>,
    direction: Direction,
    error_mapping: &'static ErrorMapping,
    /// Until it is asked again whether there is room for more.
    pause: Option<Pin<Box<Sleep>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.direction == Direction::Out {
            return Pin::new(&mut self.inner).poll_frame(cx);
        }
        while self.permit.is_stream() && self.permit.bytes_exhausted() {
            let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(PAUSE)));
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                if self.permit.is_stream() {
                    self.permit.hold_unchecked(bytes);
                } else if let Err(error) = self.permit.hold(bytes) {
                    return Poll::Ready(Some(Err(status::to_status(&error, self.error_mapping))));
                }
            }
            Some(Err(_)) => {}
            None => self.permit.mark_read(),
        }
        if self.inner.is_end_stream() {
            self.permit.mark_read();
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
