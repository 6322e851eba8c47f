//! The gRPC services of one port, and the choice of the one that a call names.
//!
//! The services that are called most are compared before the general router, which moves a request several times and boxes its path
//! parameters.

use std::convert::Infallible;

use futures_util::future::Either;
use http::{Request, Response};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;
use tonic::service::Routes;

use crate::api::grpc::Stack;

/// A gRPC service behind its layers, which is always ready, as the services that tonic generates are.
pub(super) trait Call: NamedService + Clone + Send + Sync + 'static {
    /// The response in progress.
    type Future: Future<Output = Result<Response<Body>, Infallible>> + Send + Unpin + 'static;

    /// Starts a call. It only starts it: a panic here would end the whole connection, a panic in the returned future ends this call only.
    fn start(&self, request: Request<Body>) -> Self::Future;
}

impl<S> Call for Stack<S>
where
    Self: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    Self: NamedService + Clone + Send + Sync + 'static,
    <Self as Service<Request<Body>>>::Future: Send + Unpin + 'static,
{
    type Future = <Self as Service<Request<Body>>>::Future;

    fn start(&self, request: Request<Body>) -> Self::Future {
        self.clone().call(request)
    }
}

/// The response of a router.
pub(super) type RouterFuture<N, O> =
    Either<<N as Call>::Future, Either<<O as Call>::Future, BoxFuture<Response<Body>, Infallible>>>;

/// The services of one port.
#[derive(Clone, Debug)]
pub(super) struct GrpcRouter<N, O> {
    /// The native protocol.
    pub(super) native: N,
    /// The Open Inference Protocol.
    pub(super) open_inference: O,
    /// All other services.
    pub(super) others: Routes,
}

impl<N: Call, O: Call> GrpcRouter<N, O> {
    /// Passes `request` to the service that its path names.
    pub(super) fn call(&self, request: Request<Body>) -> RouterFuture<N, O> {
        let path = request.uri().path();
        if is_for::<N>(path) {
            Either::Left(self.native.start(request))
        } else if is_for::<O>(path) {
            Either::Right(Either::Left(self.open_inference.start(request)))
        } else {
            let response = self.others.clone().call(request);
            Either::Right(Either::Right(Box::pin(response)))
        }
    }
}

/// Returns whether a call with this path is for `S`: the path must be `/service/method`, with a method.
fn is_for<S: NamedService>(path: &str) -> bool {
    let after_name = path
        .strip_prefix('/')
        .and_then(|path| path.strip_prefix(S::NAME));
    after_name.is_some_and(|after| after.starts_with('/') && after.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named;

    impl NamedService for Named {
        const NAME: &'static str = "taper.v1.Some";
    }

    #[test]
    fn a_call_is_for_the_service_in_its_path_and_not_for_one_with_the_same_prefix() {
        for (path, want) in [
            ("/taper.v1.Some/Do", true),
            ("/taper.v1.Some/", false),
            ("/taper.v1.Some", false),
            ("/taper.v1.Something/Do", false),
            ("taper.v1.Some/Do", false),
            ("/x/taper.v1.Some/Do", false),
            ("/", false),
            ("", false),
        ] {
            assert_eq!(is_for::<Named>(path), want, "{path}");
        }
    }
}
