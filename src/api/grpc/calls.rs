//! The layer of services without admission control: limits on concurrent calls and on their bytes, and deadlines.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio::time::timeout;
use tonic::Code;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;

use super::body::{LimitedCall, OpenCall, RequestBody, ResponseBody};
use super::call_task::set_open;
use super::deadline::DeadlineService;
use super::gzip::{self, CallCompression, CompressionLimits};
use crate::api::MESSAGE_PATIENCE;
use crate::api::context::RequestContext;
use crate::api::status;
use crate::insight::metrics::LimitedService;
use crate::serving::call_limit::CallLimiter;

/// A gRPC service whose concurrent calls are limited. A call fails with RESOURCE_EXHAUSTED at the limit, and with DEADLINE_EXCEEDED if its
/// response has not started by the deadline, or if nothing more of its messages arrives. Its [task](super::CallTask) resets it if the client
/// does not read the answer.
#[derive(Clone, Debug)]
pub struct LimitedCalls<S> {
    inner: DeadlineService<S>,
    service: LimitedService,
    limiter: Arc<CallLimiter>,
    compression: CompressionLimits,
}

impl<S> LimitedCalls<S> {
    /// Creates a service that calls `inner` for calls that `limiter` admits as calls of `service`.
    /// `compression` says which answers are compressed.
    pub fn new(
        inner: S,
        service: LimitedService,
        limiter: Arc<CallLimiter>,
        compression: CompressionLimits,
    ) -> Self {
        Self {
            inner: DeadlineService(inner),
            service,
            limiter,
            compression,
        }
    }

    /// Returns how long the response may take to start, if that is limited without a deadline too. Health responds as soon as it has the
    /// message, so a client that sends only a part of it must not keep the connection busy.
    fn patience(&self) -> Option<Duration> {
        (self.service == LimitedService::Health).then_some(MESSAGE_PATIENCE)
    }
}

impl<S: NamedService> NamedService for LimitedCalls<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for LimitedCalls<S>
where
    S: Service<Request<RequestBody>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let connection = RequestContext::calls(request.extensions());
        let permit = match self.limiter.enter(self.service, connection) {
            Ok(permit) => permit,
            Err(error) => {
                let status = status::too_many_calls(&error);
                return Box::pin(ready(Ok(status.into_http())));
            }
        };
        let limited = Arc::new(LimitedCall::new(permit));
        set_open(&limited);
        let patience = self.patience();
        let compression = CallCompression::find(request.headers(), self.compression);
        compression.strip(request.headers_mut());
        let response = self.inner.call(request.map(|body| {
            let body = RequestBody::limited(body, Arc::clone(&limited));
            if compression.is_compressed {
                body.inflated(limited.max_message_bytes())
            } else {
                body
            }
        }));
        Box::pin(async move {
            let Ok(mut response) = match patience {
                None => response.await,
                Some(patience) => timeout(patience, response)
                    .await
                    .unwrap_or_else(|_| Ok(too_slow(patience))),
            };
            // The service has read the messages by now, or reads them while it answers.
            Ok(match limited.failure() {
                Some(failure) => failure.into_http(),
                None => {
                    let compress_from = compression.compress_from;
                    if compress_from.is_some() {
                        gzip::set_encoding(response.headers_mut());
                    }
                    response.map(|body| Body::new(ResponseBody::new(body, limited, compress_from)))
                }
            })
        })
    }
}

fn too_slow(patience: Duration) -> Response<Body> {
    let text = format!("the message did not arrive within {patience:?}");
    status::with_reason(Code::DeadlineExceeded, "MESSAGE_TOO_SLOW", &text).into_http()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body::Frame;
    use http_body_util::{BodyExt, StreamBody};
    use tokio::time::Instant;
    use tokio_stream::StreamExt as _;
    use tonic::Status;

    use super::*;
    use crate::insight::metrics::Telemetry;
    use crate::serving::call_limit::{CallLimit, CallLimits};

    /// Waits for a message that does not come.
    #[derive(Clone)]
    struct Waiting;

    impl Service<Request<RequestBody>> for Waiting {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = BoxFuture<Response<Body>, Infallible>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<RequestBody>) -> Self::Future {
            Box::pin(std::future::pending())
        }
    }

    /// Waits for the end of the message, and answers with the error that ends it.
    #[derive(Clone)]
    struct Reading;

    impl Service<Request<RequestBody>> for Reading {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = BoxFuture<Response<Body>, Infallible>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
            Box::pin(async {
                let status = request.collect().await.expect_err("the message has no end");
                Ok(status.into_http())
            })
        }
    }

    /// Calls `inner` as `service`, which may have one open call, with a message that has no end, twice. Both must end in time.
    async fn check_end<S>(inner: S, service: LimitedService)
    where
        S: Service<Request<RequestBody>, Response = Response<Body>, Error = Infallible>,
        S::Future: Send + 'static,
    {
        let limit = CallLimit {
            total: 1,
            per_connection: 1,
        };
        let limits = CallLimits {
            health: limit,
            reflection: limit,
            admin: limit,
            max_message_bytes: 1 << 20,
        };
        let limiter = CallLimiter::new(limits, Telemetry::new().unwrap());
        let mut service = LimitedCalls::new(inner, service, limiter, CompressionLimits::default());
        let connection = Arc::default();
        for _ in 0..2 {
            let begin = Instant::now();
            let begun = tokio_stream::once(Ok::<_, Status>(Bytes::from_static(b"half")));
            let body = StreamBody::new(
                begun
                    .chain(tokio_stream::pending())
                    .map(|data| data.map(Frame::data)),
            );
            let mut request = Request::new(Body::new(body));
            let context = RequestContext::new(None).with_calls(Arc::clone(&connection));
            context.attach(request.extensions_mut());
            let response = service.call(request).await.unwrap();
            let status = Status::from_header_map(response.headers()).unwrap();
            assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
            assert_eq!(begin.elapsed(), MESSAGE_PATIENCE);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_health_call_without_its_message_ends_and_frees_its_place() {
        check_end(Waiting, LimitedService::Health).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_sends_nothing_more_ends_and_frees_its_place() {
        for service in LimitedService::ALL {
            check_end(Reading, service).await;
        }
    }
}
