//! The doors as servers: who serves the connections of a port until it closes.
//!
//! gRPC is served here and not by tonic's own server, whose layers each move a request once more and look at its deadline, which the
//! gate has read already.

use std::{convert::Infallible, error::Error as _, time::Duration};

use axum::Router;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::grpc_router::{Answer, Call, GrpcRouter};

/// How long a connection may be silent between two requests, and how long a head may take to come. Longer than the minute after which
/// many clients let go of a connection, since whoever does it first should be the client.
const SILENCE: Duration = Duration::from_secs(75);

/// What the task of the HTTP port is called.
pub(super) const HTTP: &str = "http";

/// A connection that is being served.
pub(super) trait Served: GracefulConnection<Error = hyper::Error> + Send + 'static {}

impl<C: GracefulConnection<Error = hyper::Error> + Send + 'static> Served for C {}

/// Serves what `incoming` accepts until `ending`, each connection as `serve` says; then takes no connection, and goes on until the last
/// request has been answered. Gives `name` back.
pub(super) async fn until<I, C>(
    name: &'static str,
    incoming: impl Stream<Item = I>,
    serve: impl Fn(I) -> C,
    mut ending: watch::Receiver<bool>,
) -> &'static str
where
    C: Served,
{
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut incoming = Box::pin(incoming);
    loop {
        tokio::select! {
            Some(io) = incoming.next() => {
                connections.spawn(graceful.watch(serve(io)));
            }
            Some(ended) = connections.join_next() => tell(name, ended),
            // An error means that the gateway itself is gone, which is a reason to end too.
            _ = ending.wait_for(|ending| *ending) => break,
        }
    }
    drop(incoming);
    graceful.shutdown().await;
    while let Some(ended) = connections.join_next().await {
        tell(name, ended);
    }
    name
}

/// Whatever ends a connection concerns nobody else.
fn tell(door: &str, ended: Result<Result<(), hyper::Error>, JoinError>) {
    if let Ok(Err(error)) = ended {
        let why = error.source().map(ToString::to_string);
        tracing::debug!(door, %error, why, "a connection broke");
    }
}

/// HTTP/1.1 to `router`. Who says nothing on a connection, or not all of a request's head, loses it after a while: services keep theirs
/// open between requests, and all places taken by silent ones would shut out whoever scrapes the metrics.
pub(super) fn http<I>(
    router: Router,
) -> impl Fn(I) -> http1::Connection<TokioIo<I>, TowerToHyperService<Router>>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let service = TowerToHyperService::new(router);
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(SILENCE);
    move |io| server.serve_connection(TokioIo::new(io), service.clone())
}

/// gRPC to `door`, at most `streams` calls at one time on a connection.
pub(super) fn grpc<I, N, O>(
    door: GrpcRouter<N, O>,
    streams: u32,
) -> impl Fn(I) -> http2::Connection<TokioIo<I>, Peer<N, O>, TokioExecutor> + Clone + Send + 'static
where
    I: AsyncRead + AsyncWrite + Connected<ConnectInfo = TcpConnectInfo> + Unpin,
    N: Call,
    O: Call,
{
    let mut server = http2::Builder::new(TokioExecutor::new());
    server
        .max_concurrent_streams(streams)
        // It would count over the whole life of a connection, and what it counts are also bytes that come late for a request that
        // has been turned away: an overload would end the connections of everybody.
        .max_local_error_reset_streams(None);
    move |io| {
        let peer = Peer {
            door: door.clone(),
            who: io.connect_info(),
        };
        server.serve_connection(TokioIo::new(io), peer)
    }
}

/// The door as one connection sees it.
#[derive(Debug)]
pub(super) struct Peer<N, O> {
    door: GrpcRouter<N, O>,
    who: TcpConnectInfo,
}

impl<N: Call, O: Call> hyper::service::Service<Request<Incoming>> for Peer<N, O> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer<N, O>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.door.call(request.map(Body::new), &self.who)
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::Instant;

    use super::*;

    fn served(ending: watch::Receiver<bool>) -> (DuplexStream, impl Future<Output = &'static str>) {
        let (client, server) = duplex(4096);
        let incoming = tokio_stream::once(server).chain(tokio_stream::pending());
        let router = Router::new().route("/", get(async || "here"));
        (client, until(HTTP, incoming, http(router), ending))
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_falls_silent_is_closed() {
        for said in [
            "",
            "GET / HTTP/1.1\r\nhost: m\r\n\r\n",
            "GET / HTTP/1.1\r\nho",
        ] {
            let (_end, ending) = watch::channel(false);
            let (mut client, served) = served(ending);
            let begin = Instant::now();
            let talk = async {
                client.write_all(said.as_bytes()).await.unwrap();
                let mut all = Vec::new();
                client.read_to_end(&mut all).await.unwrap();
                String::from_utf8(all).unwrap()
            };
            let told = tokio::select! {
                told = talk => told,
                ended = served => panic!("{ended} has ended"),
            };
            assert_eq!(told.contains("here"), said.ends_with("\r\n\r\n"), "{told}");
            assert!(
                begin.elapsed() >= SILENCE,
                "{said:?}: {:?}",
                begin.elapsed()
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_does_not_hold_up_the_end() {
        let (end, ending) = watch::channel(false);
        let (mut client, served) = served(ending);
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: m\r\n\r\n")
            .await
            .unwrap();
        let begin = Instant::now();
        let read = async {
            let mut begin = [0; 15];
            client.read_exact(&mut begin).await.unwrap();
            end.send_replace(true);
        };
        tokio::join!(served, read);
        assert!(begin.elapsed() < SILENCE);
    }
}
