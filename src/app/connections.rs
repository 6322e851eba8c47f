//! Serving HTTP connections with hyper until the gateway shuts down, and attaching the context of each connection to its requests.
//!
//! gRPC is served here and not by tonic's own server, whose layers each move a request once more and check its deadline, which admission
//! control checks already.

use std::convert::Infallible;
use std::error::Error as _;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Router;
use axum::routing::future::RouteFuture;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::{JoinError, JoinSet};
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tower::Service as _;

use super::connection_state::{Close, ConnectionState};
use super::connection_table::{ConnectionTable, Ticket};
use super::grpc_router::{Call, GrpcRouter, RouterFuture};
use super::tracked::{TrackedBody, TrackedFuture};
use crate::api::grpc::CallTask;
use crate::api::{RequestContext, Stage, StageWatch};
use crate::insight::metrics::CloseReason;
use crate::serving::admission::AdmissionControl;

/// How long a connection may be idle between two requests, and how long the head of a request may take to arrive. Longer than the minute
/// after which many clients close idle connections, since it is better if the client closes first.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// A connection that hyper serves and can shut down gracefully.
pub(super) trait ServedConnection:
    GracefulConnection<Error = hyper::Error> + Send + 'static
{
}

impl<C: GracefulConnection<Error = hyper::Error> + Send + 'static> ServedConnection for C {}

/// The most bytes of one call that the transport holds when the client has room for them and its connection has not, besides the last
/// part of the answer.
const MAX_SEND_BYTES: usize = 64 << 10;

/// A stream of bytes whose other end may have an address.
pub(super) trait HasPeer {
    /// Returns the address of the other end, if it has one.
    fn peer(&self) -> Option<SocketAddr>;
}

/// Serves connections from `incoming` by `serve` until the gateway reaches `end`, then accepts no further ones and returns `name` once the
/// last request is answered.
pub(super) async fn serve_until<I, C>(
    name: &'static str,
    incoming: impl Stream<Item = (I, Ticket)>,
    serve: impl Fn(I, &Ticket) -> C,
    table: Arc<ConnectionTable>,
    mut stage: StageWatch,
    end: Stage,
) -> &'static str
where
    C: ServedConnection,
{
    let mut connections = JoinSet::new();
    let mut incoming = Box::pin(incoming);
    loop {
        tokio::select! {
            Some((io, ticket)) = incoming.next() => {
                connections.spawn(run(serve(io, &ticket), ticket));
            }
            Some(ended) = connections.join_next() => log_end(name, ended),
            () = stage.reached(end) => break,
        }
    }
    drop(incoming);
    table.close_all();
    while let Some(ended) = connections.join_next().await {
        log_end(name, ended);
    }
    name
}

/// Serves a connection until it ends or its table closes it.
async fn run(connection: impl ServedConnection, ticket: Ticket) -> Result<(), hyper::Error> {
    let state = Arc::clone(ticket.state());
    let mut connection = pin!(connection);
    let mut before = Close::Not;
    poll_fn(|cx| {
        state.begin_poll();
        let close = state.poll_close(cx);
        if before == Close::Not && close != before {
            connection.as_mut().graceful_shutdown();
        }
        let ended = connection.as_mut().poll(cx);
        if ended.is_ready() {
            return ended;
        }
        let is_corked = state.is_corked();
        if is_corked {
            cx.waker().wake_by_ref();
        }
        // Checked after the poll: it sends the notice that the connection closes, and it may read a request that came before the client
        // knew, which is answered.
        let is_idle = || !state.is_busy() && !is_corked && !state.is_blocked();
        let is_cut =
            close != before && (close == Close::Now || (close == Close::IfIdle && is_idle()));
        if is_cut {
            return Poll::Ready(Ok(()));
        }
        if !is_corked {
            before = close;
        }
        Poll::Pending
    })
    .await
    .inspect_err(|error| {
        // The only time limit of hyper's is on the heads of requests over HTTP/1.1.
        if error.is_timeout() {
            ticket.count_closed(CloseReason::Idle);
        }
    })
}

/// Logs why a connection ended, at debug level: the end of one connection does not affect the others.
fn log_end(port: &str, ended: Result<Result<(), hyper::Error>, JoinError>) {
    if let Ok(Err(error)) = ended {
        let why = error.source().map(ToString::to_string);
        tracing::debug!(port, %error, why, "connection failed");
    }
}

/// Returns a function that serves HTTP/1.1 by `router`. A connection that is idle, or that sends only part of a request's head, is closed
/// after [`IDLE_TIMEOUT`] even if the table of the port allows more.
///
/// `admission` counts what each connection holds.
pub(super) fn http<I>(
    router: Router,
    admission: Arc<AdmissionControl>,
) -> impl Fn(I, &Ticket) -> http1::Connection<TokioIo<I>, ConnectionService<Router>>
where
    I: AsyncRead + AsyncWrite + HasPeer + Unpin,
{
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT);
    move |io, ticket| {
        let service = ConnectionService::new(router.clone(), &io, ticket, &admission);
        server.serve_connection(TokioIo::new(io), service)
    }
}

/// What all connections of a port may have at the same time if each has its share: streams, of which each takes more than a kilobyte
/// whatever it is for, and bytes of requests that no handler has read yet.
const SHARED_STREAMS: usize = 16 << 10;
const SHARED_WINDOW: usize = 16 << 20;
/// The smallest share of a connection in the streams.
const LEAST_STREAMS: u32 = 32;
/// The smallest share of a connection in the bytes, which HTTP/2 begins with: RFC 9113, section 6.9.2. And the largest one.
const WINDOWS: (u32, u32) = (65_535, 1 << 20);

/// Returns the most streams and the most unread bytes of a connection that begins while `connections` are open.
fn shares(max_streams: u32, connections: usize) -> (u32, u32) {
    let share = |of: usize| u32::try_from(of / connections.max(1)).unwrap_or(u32::MAX);
    let streams = share(SHARED_STREAMS).max(LEAST_STREAMS).min(max_streams);
    let (least, most) = WINDOWS;
    (streams, share(SHARED_WINDOW).clamp(least, most))
}

/// How the calls of one port are served.
#[derive(Clone, Debug)]
pub(super) struct CallSettings {
    /// The most concurrent calls on a connection while few are open.
    pub(super) max_streams: u32,
    /// How long a part of an answer may wait for its client.
    pub(super) send_timeout: Duration,
    /// Counts what each connection holds.
    pub(super) admission: Arc<AdmissionControl>,
}

/// A connection that serves gRPC.
type GrpcConnection<I, N, O> =
    http2::Connection<TokioIo<I>, ConnectionService<GrpcRouter<N, O>>, CallExecutor>;

/// Returns a function that serves gRPC by `router`.
pub(super) fn grpc<I, N, O>(
    router: GrpcRouter<N, O>,
    settings: CallSettings,
) -> impl Fn(I, &Ticket) -> GrpcConnection<I, N, O> + Clone + Send + 'static
where
    I: AsyncRead + AsyncWrite + HasPeer + Unpin,
    N: Call,
    O: Call,
{
    let CallSettings {
        max_streams,
        send_timeout,
        admission,
    } = settings;
    move |io, ticket| {
        let state = Arc::clone(ticket.state());
        let (streams, window) = shares(max_streams, state.connections());
        let executor = CallExecutor {
            state,
            send_timeout,
        };
        let service = ConnectionService::new(router.clone(), &io, ticket, &admission);
        http2::Builder::new(executor)
            .max_concurrent_streams(streams)
            .initial_connection_window_size(window)
            .initial_stream_window_size(window)
            // The limit counts over the whole life of a connection, and it also counts bytes that arrive late for a refused request: an
            // overload would end the connections of all clients.
            .max_local_error_reset_streams(None)
            .max_send_buf_size(MAX_SEND_BYTES)
            // No client of gRPC reads it.
            .auto_date_header(false)
            .serve_connection(TokioIo::new(io), service)
    }
}

/// Begins each call of a connection at once, and starts a task for it if it has to wait: for its message, for a batch, or for the client.
/// Most do not, and they need no task. The task also limits how long an answer waits for the client.
#[derive(Clone, Debug)]
pub(super) struct CallExecutor {
    state: Arc<ConnectionState>,
    send_timeout: Duration,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for CallExecutor {
    fn execute(&self, call: F) {
        let mut call = Box::pin(CallTask::new(call, self.send_timeout));
        if self.state.begin_call() {
            // No waker is needed: the task that is started for it polls it again.
            let mut cx = Context::from_waker(Waker::noop());
            let poll = AssertUnwindSafe(|| call.as_mut().poll(&mut cx).is_ready());
            // A panic ends only its call, as in a task. The hook has logged it.
            if catch_unwind(poll).unwrap_or(true) {
                return;
            }
        }
        TokioExecutor::new().execute(call);
    }
}

/// Answers the requests of a port.
pub(super) trait Serve {
    type Body: HttpBody<Data = Bytes> + Unpin + 'static;
    type Future: Future<Output = Result<Response<Self::Body>, Infallible>> + Unpin;

    /// Starts to answer a request.
    fn serve(&self, request: Request<Incoming>) -> Self::Future;
}

impl Serve for Router {
    type Body = axum::body::Body;
    type Future = RouteFuture<Infallible>;

    fn serve(&self, request: Request<Incoming>) -> Self::Future {
        self.clone().call(request)
    }
}

impl<N: Call, O: Call> Serve for GrpcRouter<N, O> {
    type Body = Body;
    type Future = RouterFuture<N, O>;

    fn serve(&self, request: Request<Incoming>) -> Self::Future {
        self.call(request.map(Body::new))
    }
}

/// Answers the requests of one connection, after it has attached the connection's context to them.
#[derive(Debug)]
pub(super) struct ConnectionService<S> {
    service: S,
    context: RequestContext,
    state: Arc<ConnectionState>,
}

impl<S> ConnectionService<S> {
    fn new(service: S, io: &impl HasPeer, ticket: &Ticket, admission: &AdmissionControl) -> Self {
        let peer = io.peer();
        let usage = admission.connect(peer.map(|peer| peer.ip()));
        Self {
            service,
            context: RequestContext::new(peer)
                .with_calls(Arc::default())
                .with_usage(usage),
            state: Arc::clone(ticket.state()),
        }
    }
}

impl<S: Serve> hyper::service::Service<Request<Incoming>> for ConnectionService<S> {
    type Response = Response<TrackedBody<S::Body>>;
    type Error = Infallible;
    type Future = TrackedFuture<S::Future>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.context.attach(request.extensions_mut());
        TrackedFuture::new(self.service.serve(request), self.state.begin_request())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::Instant;

    use super::super::connection_table::ConnectionLimits;
    use super::*;
    use crate::api::Lifecycle;
    use crate::insight::metrics::Telemetry;
    use crate::serving::admission::Limits;

    const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4711);
    const REQUEST: &str = "GET / HTTP/1.1\r\nhost: m\r\n\r\n";

    fn admission() -> Arc<AdmissionControl> {
        let limits = Limits {
            max_in_flight: 1,
            max_in_flight_bytes: 1,
        };
        AdmissionControl::new(limits, Telemetry::new().unwrap())
    }

    impl HasPeer for DuplexStream {
        fn peer(&self) -> Option<SocketAddr> {
            Some(PEER)
        }
    }

    fn executor() -> CallExecutor {
        CallExecutor {
            state: Arc::default(),
            send_timeout: Duration::MAX,
        }
    }

    #[test]
    fn connections_that_begin_while_many_are_open_have_smaller_shares() {
        assert_eq!(shares(256, 1), (256, 1 << 20));
        assert_eq!(shares(256, 16), (256, 1 << 20));
        assert_eq!(shares(256, 128), (128, 128 << 10));
        assert_eq!(shares(256, 1024), (32, 65_535));
        assert_eq!(shares(8, 1024).0, 8);
        let all = (1..=1024).map(|open| shares(256, open));
        let (streams, bytes) = all.fold((0, 0), |(streams, bytes), (more, window)| {
            (streams + u64::from(more), bytes + u64::from(window))
        });
        assert!(streams < 75_000, "{streams}");
        assert!(bytes < 110 << 20, "{bytes}");
    }

    #[test]
    fn calls_that_do_not_wait_need_no_task() {
        // There is no runtime that a task could be started on.
        let executor = executor();
        let (sender, ended) = std::sync::mpsc::channel();
        let sent = sender.clone();
        executor.execute(async move { sent.send("first").unwrap() });
        executor.execute(async { panic!("a panic ends only its call") });
        executor.execute(async move { sender.send("last").unwrap() });
        assert_eq!(ended.iter().collect::<Vec<_>>(), ["first", "last"]);
    }

    #[tokio::test]
    async fn calls_that_wait_or_exceed_the_share_of_their_connection_get_tasks() {
        let executor = executor();
        let (waits, resumed) = tokio::sync::oneshot::channel();
        executor.execute(async move {
            tokio::task::yield_now().await;
            waits.send(()).unwrap();
        });
        resumed.await.expect("the call has ended");
        executor.state.begin_poll();
        let (sender, mut ended) = tokio::sync::mpsc::unbounded_channel();
        for call in 0..100 {
            let sender = sender.clone();
            executor.execute(async move { sender.send(call).unwrap() });
        }
        drop(sender);
        assert_eq!(ended.len(), 32);
        let mut all = Vec::new();
        while let Some(call) = ended.recv().await {
            all.push(call);
        }
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }

    /// A table that is never swept.
    fn table() -> Arc<ConnectionTable> {
        let limits = ConnectionLimits {
            max_connections: 1,
            max_idle: None,
            max_age: None,
            age_grace: Duration::ZERO,
            silence: None,
        };
        ConnectionTable::new(limits, Telemetry::new().unwrap())
    }

    /// One connection, and the task that serves it until the gateway ends. Its only path answers with the peer in the request's context.
    fn connection(lifecycle: &Lifecycle) -> (DuplexStream, impl Future<Output = &'static str>) {
        let (client, server) = duplex(4096);
        let table = table();
        let ticket = table.open(Instant::now()).unwrap();
        let incoming = tokio_stream::once((server, ticket)).chain(tokio_stream::pending());
        let handler = get(async |context: RequestContext| format!("{:?}", context.peer()));
        let router = Router::new().route("/", handler);
        let serve = http(router, admission());
        let stage = lifecycle.watch();
        let served = serve_until("http", incoming, serve, table, stage, Stage::Ending);
        (client, served)
    }

    /// Sends `bytes`, then reads until the connection is closed.
    async fn exchange(client: &mut DuplexStream, bytes: &str) -> String {
        client.write_all(bytes.as_bytes()).await.unwrap();
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        String::from_utf8(received).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_closed() {
        for bytes in ["", REQUEST, "GET / HTTP/1.1\r\nho"] {
            let lifecycle = Lifecycle::new();
            let (mut client, served) = connection(&lifecycle);
            let begin = Instant::now();
            let received = tokio::select! {
                received = exchange(&mut client, bytes) => received,
                ended = served => panic!("{ended} has ended"),
            };
            let is_answered = received.starts_with("HTTP/1.1 200 OK");
            assert_eq!(is_answered, bytes == REQUEST, "{received}");
            let elapsed = begin.elapsed();
            assert!(elapsed >= IDLE_TIMEOUT, "{bytes:?}: {elapsed:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn handlers_see_the_peer_of_the_connection() {
        let lifecycle = Lifecycle::new();
        let (mut client, served) = connection(&lifecycle);
        let received = tokio::select! {
            received = exchange(&mut client, REQUEST) => received,
            ended = served => panic!("{ended} has ended"),
        };
        let peer = format!("{:?}", Some(PEER));
        assert!(received.ends_with(&peer), "{received}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_does_not_delay_the_end() {
        let lifecycle = Lifecycle::new();
        let (mut client, served) = connection(&lifecycle);
        client.write_all(REQUEST.as_bytes()).await.unwrap();
        let begin = Instant::now();
        let read = async {
            let mut status = [0; 15];
            client.read_exact(&mut status).await.unwrap();
            lifecycle.enter(Stage::Ending);
        };
        tokio::join!(served, read);
        assert!(begin.elapsed() < IDLE_TIMEOUT);
    }
}
