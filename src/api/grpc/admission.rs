//! Admission of predictions over gRPC: a permit before the message is read, and an answer in time whatever the handler does.
//!
//! Three events end a call early: its deadline, the cut-off of the remaining requests when the gateway shuts down, and another connection
//! that needs the permit while the message is incomplete.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::time::{Instant, sleep_until};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::NamedService;
use tonic::{Code, Status};

use super::body::{RequestBody, ResponseBody};
use super::call_task::set_open;
use super::deadline;
use super::gzip::{self, CallCompression, CompressionLimits};
use super::refusals::Refusals;
use crate::api::MESSAGE_PATIENCE;
use crate::api::context::RequestContext;
use crate::api::error_mapping::{ErrorMapping, NATIVE};
use crate::api::status;
use crate::error::PredictError;
use crate::insight::metrics::{MessageFault, Telemetry};
use crate::serving::admission::{AdmissionControl, RequestPermit};

/// A gRPC service behind admission control.
#[derive(Clone, Debug)]
pub struct Admission<S> {
    inner: S,
    shared: Arc<Shared>,
}

/// What the calls of one service share.
#[derive(Clone, Debug)]
struct Shared {
    admission: Arc<AdmissionControl>,
    telemetry: Arc<Telemetry>,
    error_mapping: &'static ErrorMapping,
    compression: CompressionLimits,
    refusals: Arc<Refusals>,
}

impl<S> Admission<S> {
    /// Creates a service that calls `inner` for requests that `admission` admits. Messages that cannot be read are counted in `telemetry`.
    pub fn new(inner: S, admission: Arc<AdmissionControl>, telemetry: Arc<Telemetry>) -> Self {
        let shared = Arc::new(Shared {
            admission,
            telemetry,
            error_mapping: &NATIVE,
            compression: CompressionLimits::default(),
            refusals: Arc::new(Refusals::new()),
        });
        Self { inner, shared }
    }

    /// Sets which messages are inflated and compressed.
    #[must_use]
    pub fn with_compression(mut self, compression: CompressionLimits) -> Self {
        Arc::make_mut(&mut self.shared).compression = compression;
        self
    }

    /// Sets how errors are mapped for the service's protocol; the native protocol by default.
    #[must_use]
    pub fn with_error_mapping(mut self, error_mapping: &'static ErrorMapping) -> Self {
        Arc::make_mut(&mut self.shared).error_mapping = error_mapping;
        self
    }
}

/// What the headers of a call say about its transport, found in one pass: each look-up costs more than that.
#[derive(Default)]
struct CallHeaders<'h> {
    timeout: Option<&'h HeaderValue>,
    encoding: Option<&'h HeaderValue>,
    accepted: Option<&'h HeaderValue>,
}

impl<'h> CallHeaders<'h> {
    fn of(headers: &'h HeaderMap) -> Self {
        let mut found = Self::default();
        for (name, value) in headers {
            let place = match name.as_str() {
                "grpc-timeout" => &mut found.timeout,
                "grpc-encoding" => &mut found.encoding,
                "grpc-accept-encoding" => &mut found.accepted,
                _ => continue,
            };
            // Of a repeated header, the first one counts.
            place.get_or_insert(value);
        }
        found
    }
}

impl<S: NamedService> NamedService for Admission<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Admission<S>
where
    S: Service<Request<RequestBody>, Response = Response<Body>, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = AdmissionFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        let at = Instant::now();
        let headers = CallHeaders::of(request.headers());
        let timeout = headers.timeout.and_then(deadline::parse);
        let deadline = timeout.and_then(|timeout| at.checked_add(timeout));
        let compression = CallCompression::read(
            request.headers(),
            headers.encoding,
            headers.accepted,
            shared.compression,
        );
        let usage = RequestContext::take_usage(request.extensions_mut());
        let permit = match shared.admission.enter_from(usage, at, deadline) {
            Ok(permit) => Arc::new(permit),
            Err(error) => {
                let response = shared.refusals.response(&error, shared.error_mapping);
                return AdmissionFuture {
                    state: State::Refused(Some(response)),
                    shared,
                    compress_from: None,
                };
            }
        };
        set_open(&permit);
        RequestContext::admit(request.extensions_mut(), Arc::clone(&permit));
        compression.strip(request.headers_mut());
        let response = self.inner.call(request.map(|body| {
            let counted = RequestBody::counted(body, Arc::clone(&permit), shared.error_mapping);
            if compression.is_compressed {
                counted.inflated(shared.compression.max_message_bytes)
            } else {
                counted
            }
        }));
        AdmissionFuture {
            state: State::Running {
                response,
                permit,
                early_end: None,
            },
            shared,
            compress_from: compression.compress_from,
        }
    }
}

/// The response of a service behind admission control.
#[derive(Debug)]
pub struct AdmissionFuture<F> {
    state: State<F>,
    shared: Arc<Shared>,
    /// The fewest bytes of an answer that is compressed; `None` if the client does not accept that.
    compress_from: Option<usize>,
}

enum State<F> {
    Refused(Option<Response<Body>>),
    Running {
        response: F,
        permit: Arc<RequestPermit>,
        /// Resolves when the call must end early. Created only if the response is not ready at once, as it is for most requests.
        early_end: Option<Pin<Box<dyn Future<Output = Status> + Send>>>,
    },
}

impl<F> fmt::Debug for State<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(response) => f.debug_tuple("Refused").field(response).finish(),
            Self::Running { permit, .. } => f
                .debug_struct("Running")
                .field("permit", permit)
                .finish_non_exhaustive(),
        }
    }
}

impl<F> Future for AdmissionFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Shared {
            telemetry,
            error_mapping,
            ..
        } = &*this.shared;
        let (response, permit, early_end) = match &mut this.state {
            State::Refused(response) => {
                let again = || Status::internal("polled after completion").into_http();
                return Poll::Ready(Ok(response.take().unwrap_or_else(again)));
            }
            State::Running {
                response,
                permit,
                early_end,
            } => (response, permit, early_end),
        };
        if let Poll::Ready(Ok(mut response)) = Pin::new(response).poll(cx) {
            if let Some(why) = classify_unreadable(&response) {
                telemetry.unreadable(why);
            }
            let compress_from = this.compress_from;
            if compress_from.is_some() {
                gzip::set_encoding(response.headers_mut());
            }
            let permit = Arc::clone(permit);
            let held = |body| Body::new(ResponseBody::new(body, permit, compress_from));
            return Poll::Ready(Ok(response.map(held)));
        }
        let begin = || {
            Box::pin(wait_for_early_end(
                Arc::clone(permit),
                Arc::clone(telemetry),
                error_mapping,
            ))
        };
        let early_end = early_end.get_or_insert_with(|| begin() as _);
        let status = ready!(early_end.as_mut().poll(cx));
        Poll::Ready(Ok(status.into_http()))
    }
}

/// Waits until the call must end whether or not its handler has finished, and returns the status to end it with.
async fn wait_for_early_end(
    permit: Arc<RequestPermit>,
    telemetry: Arc<Telemetry>,
    error_mapping: &'static ErrorMapping,
) -> Status {
    tokio::select! {
        () = permit.cut_off() => {
            permit.mark_interrupted();
            status::to_status(&PredictError::Draining, error_mapping)
        }
        () = permit.evicted() => status::to_status(&permit.eviction(), error_mapping),
        status = wait_for_timeout(&permit, &telemetry, error_mapping) => status,
    }
}

/// Waits until the call's deadline passes or its message has taken too long to arrive.
async fn wait_for_timeout(
    permit: &RequestPermit,
    telemetry: &Telemetry,
    error_mapping: &ErrorMapping,
) -> Status {
    let patience = permit.arrived + MESSAGE_PATIENCE;
    let deadline = permit.deadline();
    sleep_until(deadline.map_or(patience, |deadline| deadline.min(patience))).await;
    let has_passed = || deadline.is_some_and(|deadline| deadline <= Instant::now());
    if !has_passed() && !permit.is_read() {
        telemetry.unreadable(MessageFault::TooSlow);
        let text = format!("the message did not arrive within {MESSAGE_PATIENCE:?}");
        return Status::deadline_exceeded(text);
    }
    // The message arrived in time. Without a deadline the handler may take as long as it needs.
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
    status::to_status(&PredictError::DeadlineExceeded, error_mapping)
}

/// Returns why the transport refused the message before a handler saw it; `None` if it did not. Its errors have no details, while
/// every error of a handler has.
fn classify_unreadable(response: &Response<Body>) -> Option<MessageFault> {
    const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
    let headers = response.headers();
    // A pass over the few headers costs less than a look-up. Most responses have the status in their trailers.
    let mut names = headers.iter();
    let (_, status) = names.find(|(name, _)| name.as_str() == "grpc-status")?;
    let code = Code::from_bytes(status.as_bytes());
    if code == Code::Ok || headers.contains_key(DETAILS) {
        return None;
    }
    Some(if code == Code::OutOfRange {
        MessageFault::TooLarge
    } else {
        MessageFault::Malformed
    })
}
