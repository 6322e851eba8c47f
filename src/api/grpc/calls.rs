//! The layer of services without admission control: a limit on concurrent calls, and deadlines.

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

use super::body::{HeldBody, RequestBody};
use super::deadline::DeadlineService;
use crate::api::MESSAGE_PATIENCE;
use crate::api::context::RequestContext;
use crate::api::status;
use crate::insight::metrics::LimitedService;
use crate::serving::call_limit::CallLimiter;

/// A gRPC service whose concurrent calls are limited. A call fails with RESOURCE_EXHAUSTED at the limit, and with DEADLINE_EXCEEDED if its
/// response has not started by the deadline.
#[derive(Clone, Debug)]
pub struct LimitedCalls<S> {
    inner: DeadlineService<S>,
    service: LimitedService,
    limiter: Arc<CallLimiter>,
}

impl<S> LimitedCalls<S> {
    /// Creates a service that calls `inner` for calls that `limiter` admits as calls of `service`.
    pub fn new(inner: S, service: LimitedService, limiter: Arc<CallLimiter>) -> Self {
        Self {
            inner: DeadlineService(inner),
            service,
            limiter,
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

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let connection = RequestContext::calls(request.extensions());
        let permit = match self.limiter.enter(self.service, connection) {
            Ok(permit) => permit,
            Err(error) => {
                let text = error.to_string();
                let status = status::with_reason(Code::ResourceExhausted, "TOO_MANY_CALLS", &text);
                return Box::pin(ready(Ok(status.into_http())));
            }
        };
        let patience = self.patience();
        let response = self.inner.call(request);
        Box::pin(async move {
            let Ok(response) = match patience {
                None => response.await,
                Some(patience) => timeout(patience, response)
                    .await
                    .unwrap_or_else(|_| Ok(too_slow(patience))),
            };
            Ok(response.map(|body| Body::new(HeldBody::new(body, permit))))
        })
    }
}

fn too_slow(patience: Duration) -> Response<Body> {
    let text = format!("the message did not arrive within {patience:?}");
    status::with_reason(Code::DeadlineExceeded, "MESSAGE_TOO_SLOW", &text).into_http()
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;
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

    #[tokio::test(start_paused = true)]
    async fn a_health_call_without_its_message_ends_and_frees_its_place() {
        let limit = CallLimit {
            total: 1,
            per_connection: 1,
        };
        let limits = CallLimits {
            health: limit,
            reflection: limit,
            admin: limit,
        };
        let limiter = CallLimiter::new(limits, Telemetry::new().unwrap());
        let mut service = LimitedCalls::new(Waiting, LimitedService::Health, limiter);
        let connection = Arc::default();
        for _ in 0..2 {
            let begin = Instant::now();
            let mut request = Request::new(Body::empty());
            let context = RequestContext::new(None).with_calls(Arc::clone(&connection));
            context.attach(request.extensions_mut());
            let response = service.call(request).await.unwrap();
            let status = Status::from_header_map(response.headers()).unwrap();
            assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
            assert_eq!(begin.elapsed(), MESSAGE_PATIENCE);
        }
    }
}
