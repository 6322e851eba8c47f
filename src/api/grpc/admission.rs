//! The first step of a prediction: a place at the gate before its message is read, and a clock that ends it in time.
//!
//! The transport has a clock of its own, which ends a call without saying anything that a program could read. This one
//! begins with the headers too, is asked first, and so ends the call with the details that every other error has.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::NamedService;

use super::deadline;
use crate::api::status;
use crate::error::PredictError;
use crate::insight::metrics::{Telemetry, Unreadable};
use crate::serving::gate::{Arrival, Gate};

/// A gRPC service behind the gate.
#[derive(Clone, Debug)]
pub struct Admission<S> {
    inner: S,
    gate: Arc<Gate>,
    telemetry: Arc<Telemetry>,
}

impl<S> Admission<S> {
    /// `inner` behind `gate`; messages that cannot be read are counted in `telemetry`.
    pub fn new(inner: S, gate: Arc<Gate>, telemetry: Arc<Telemetry>) -> Self {
        Self {
            inner,
            gate,
            telemetry,
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
        let telemetry = Arc::clone(&self.telemetry);
        let arrival = match self.gate.enter(at, deadline) {
            Ok(arrival) => Arc::new(arrival),
            Err(error) => {
                let state = State::Refused(Some(status::from_predict(&error)));
                return Admitted { state, telemetry };
            }
        };
        let mut request = request.map(|inner| Counted {
            inner,
            arrival: Arc::clone(&arrival),
        });
        request.extensions_mut().insert(arrival);
        let clock = deadline.map(|deadline| Box::pin(sleep_until(deadline)));
        let answer = self.inner.call(request);
        Admitted {
            state: State::Running { answer, clock },
            telemetry,
        }
    }
}

/// The answer of a service behind the gate.
#[derive(Debug)]
pub struct Admitted<F> {
    state: State<F>,
    telemetry: Arc<Telemetry>,
}

#[derive(Debug)]
enum State<F> {
    Refused(Option<Status>),
    Running {
        answer: F,
        clock: Option<Pin<Box<Sleep>>>,
    },
}

impl<F> Future for Admitted<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let (answer, clock) = match &mut this.state {
            State::Refused(status) => {
                let status = status
                    .take()
                    .unwrap_or_else(|| Status::internal("asked twice"));
                return Poll::Ready(Ok(status.into_http()));
            }
            State::Running { answer, clock } => (answer, clock),
        };
        if let Poll::Ready(answer) = Pin::new(answer).poll(cx) {
            if let Ok(response) = &answer
                && let Some(why) = unreadable(response)
            {
                this.telemetry.unreadable(why);
            }
            return Poll::Ready(answer);
        }
        let Some(clock) = clock else {
            return Poll::Pending;
        };
        let () = std::task::ready!(clock.as_mut().poll(cx));
        Poll::Ready(Ok(
            status::from_predict(&PredictError::DeadlineExceeded).into_http()
        ))
    }
}

/// Whether the transport refused the message, which no handler has seen then: its errors have no details, ours have.
fn unreadable(response: &Response<Body>) -> Option<Unreadable> {
    let headers = response.headers();
    let code = headers.get("grpc-status").filter(|code| *code != "0")?;
    if headers.contains_key("grpc-status-details-bin") {
        return None;
    }
    let too_large = (tonic::Code::OutOfRange as i32).to_string();
    Some(if code.as_bytes() == too_large.as_bytes() {
        Unreadable::TooLarge
    } else {
        Unreadable::Malformed
    })
}

/// A request's body, whose bytes are counted as they come.
#[derive(Debug)]
pub struct Counted {
    inner: Body,
    arrival: Arc<Arrival>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(error) = self.arrival.hold(data.len())
        {
            return Poll::Ready(Some(Err(status::from_predict(&error))));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
