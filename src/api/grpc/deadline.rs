//! The `grpc-timeout` header: at most 8 digits and a unit.
//!
//! Source: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::Either;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::time::timeout;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;

use crate::api::status;

/// A gRPC service with deadlines. A call fails with DEADLINE_EXCEEDED if its response has not started by the deadline.
/// A response stream that has started is not cut at the deadline.
#[derive(Clone, Debug)]
pub struct DeadlineService<S>(pub S);

impl<S: NamedService> NamedService for DeadlineService<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, B> Service<Request<B>> for DeadlineService<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, BoxFuture<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let limit = timeout_of(request.headers());
        let response = self.0.call(request);
        let Some(limit) = limit else {
            return Either::Left(response);
        };
        Either::Right(Box::pin(async move {
            let finished = timeout(limit, response).await;
            finished.unwrap_or_else(|_| Ok(status::deadline_exceeded().into_http()))
        }))
    }
}

/// Returns the time that the caller waits; `None` without the header, or if the header is not well formed.
fn timeout_of(headers: &HeaderMap) -> Option<Duration> {
    const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
    parse(headers.get(TIMEOUT)?)
}

/// Returns the time that a header `grpc-timeout` says; `None` if it is not well formed.
pub(super) fn parse(timeout: &HeaderValue) -> Option<Duration> {
    let text = timeout.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};
    use tonic::{Code, Status};
    use tonic_types::StatusExt;

    use super::*;

    /// Answers after a minute.
    #[derive(Clone)]
    struct Slow;

    impl Service<Request<Body>> for Slow {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = BoxFuture<Response<Body>, Infallible>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            Box::pin(async {
                sleep(Duration::from_secs(60)).await;
                Ok(Response::new(Body::empty()))
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_at_its_deadline_unless_its_response_starts_earlier() {
        for (timeout, after, code) in [
            (Some("2S"), 2, Some(Code::DeadlineExceeded)),
            (Some("2M"), 60, None),
            (None, 60, None),
        ] {
            let begin = Instant::now();
            let mut request = Request::new(Body::empty());
            if let Some(timeout) = timeout {
                let headers = request.headers_mut();
                headers.insert("grpc-timeout", timeout.parse().unwrap());
            }
            let answer = DeadlineService(Slow).call(request).await;
            let status = Status::from_header_map(answer.unwrap().headers());
            assert_eq!(status.as_ref().map(Status::code), code, "{timeout:?}");
            let details = status.and_then(|status| status.get_details_error_info());
            let reason = details.map(|info| info.reason);
            assert_eq!(reason.as_deref(), code.map(|_| "DEADLINE_EXCEEDED"));
            assert_eq!(begin.elapsed().as_secs(), after, "{timeout:?}");
        }
    }

    #[test]
    fn timeouts_are_read_as_the_protocol_says() {
        for (text, want) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("4m", Some(Duration::from_millis(4))),
            ("5u", Some(Duration::from_micros(5))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("123456789n", None),
            ("S", None),
            ("", None),
            ("5x", None),
            ("-5S", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            assert_eq!(timeout_of(&headers), want, "{text:?}");
        }
        assert_eq!(timeout_of(&HeaderMap::new()), None);
    }
}
