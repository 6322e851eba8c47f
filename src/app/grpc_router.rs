//! The gRPC services of one port, and which of them a call is for.
//!
//! Those that are called most stand before the router: it moves a request several times and boxes what it knows of its path.

use std::convert::Infallible;

use futures_util::future::Either;
use http::{Request, Response};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::server::TcpConnectInfo;

/// A gRPC service that is always ready, as those that tonic makes are.
pub(super) trait Call: NamedService + Clone + Send + Sync + 'static {
    /// What is on its way.
    type Answering: Future<Output = Answered> + Send + Unpin + 'static;

    /// Only begins: a panic here would end the whole connection, one in the future that it gives ends the one call.
    fn begin(&self, request: Request<Body>) -> Self::Answering;
}

impl<S> Call for S
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: NamedService + Clone + Send + Sync + 'static,
    S::Future: Send + Unpin + 'static,
{
    type Answering = S::Future;

    fn begin(&self, request: Request<Body>) -> S::Future {
        self.clone().call(request)
    }
}

type Answered = Result<Response<Body>, Infallible>;

/// The answer to a call.
pub(super) type Answer<N, O> = Either<
    <N as Call>::Answering,
    Either<<O as Call>::Answering, BoxFuture<Response<Body>, Infallible>>,
>;

/// What one port serves.
#[derive(Clone, Debug)]
pub(super) struct GrpcRouter<N, O> {
    /// The native protocol.
    pub(super) native: N,
    /// The Open Inference Protocol.
    pub(super) open: O,
    /// All else.
    pub(super) rest: Routes,
    /// Whether services ask who calls.
    pub(super) tells_who: bool,
}

impl<N: Call, O: Call> GrpcRouter<N, O> {
    /// Hands `request` of `who` to the service that its path names.
    pub(super) fn call(&self, mut request: Request<Body>, who: &TcpConnectInfo) -> Answer<N, O> {
        if self.tells_who {
            request.extensions_mut().insert(who.clone());
        }
        let path = request.uri().path();
        if is_for::<N>(path) {
            Either::Left(self.native.begin(request))
        } else if is_for::<O>(path) {
            Either::Right(Either::Left(self.open.begin(request)))
        } else {
            let answer = self.rest.clone().call(request);
            Either::Right(Either::Right(Box::pin(answer)))
        }
    }
}

/// Whether a call with this path is for `S`: the path is `/service/method`. What names no method is for nobody.
fn is_for<S: NamedService>(path: &str) -> bool {
    let after = path
        .strip_prefix('/')
        .and_then(|path| path.strip_prefix(S::NAME));
    after.is_some_and(|after| after.starts_with('/') && after.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::grpc::DeadlineService;

    struct Named;

    impl NamedService for Named {
        const NAME: &'static str = "taper.v1.Some";
    }

    #[test]
    fn a_call_is_for_the_service_that_its_path_names_and_for_none_that_begins_alike() {
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
            assert_eq!(is_for::<DeadlineService<Named>>(path), want, "{path}");
        }
    }
}
