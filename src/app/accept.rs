//! Accepts connections up to a limit on each port. Beyond it, the connection that has been idle longest makes room; if none is idle, the
//! new one is closed at once, so that its client notices.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{self, Instant, MissedTickBehavior};
use tokio_stream::{Stream, StreamExt, wrappers::TcpListenerStream};

use super::connection_table::{ConnectionLimits, ConnectionTable, Ticket};
use super::linger::Lingering;
use super::socket::{AcceptedSocket, ClientSocket, Closer, Protocol, SocketLimits};
use crate::api::StageWatch;
use crate::insight::metrics::Telemetry;

/// Pause after a failed accept, for other connections to end.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);
/// Time without traffic after which keep-alive probes begin.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
/// Time between two probes.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
/// Bytes that the system takes of answers before the client has room for them. Without a limit it takes megabytes, and as long as it sends
/// those, a client that reads slowly looks like one that does not read.
#[cfg(target_os = "linux")]
const MOST_UNSENT: u32 = 128 << 10;
/// Number of unanswered probes after which a connection is closed. Sent data that is not acknowledged closes it after the same time.
const KEEPALIVE_PROBES: u32 = 4;

/// Accepts connections on any number of ports, with a limit on each port.
#[derive(Debug)]
pub(super) struct ConnectionLimiter {
    /// Limits on the connections of each port.
    pub(super) limits: ConnectionLimits,
    /// How long a client may take no byte of an answer.
    pub(super) send_timeout: Duration,
    /// Ends connections whose clients have not received everything.
    pub(super) lingering: Arc<Lingering>,
    /// Counts connections that are refused or closed, and unread answers.
    pub(super) telemetry: Arc<Telemetry>,
    /// Closes connections that are still open at the end.
    pub(super) stage: StageWatch,
}

impl ConnectionLimiter {
    /// Creates the connection table of a port whose clients speak `protocol`.
    pub(super) fn table(&self, protocol: Protocol) -> Arc<ConnectionTable> {
        let mut limits = self.limits;
        limits.silence.take_if(|_| protocol == Protocol::Http1);
        ConnectionTable::new(limits, Arc::clone(&self.telemetry))
    }

    /// Returns the connections of clients of `protocol` that `listener` accepts, for other threads to open. While the stream is polled, connections in `table` that
    /// are idle or too old are closed.
    pub(super) fn accept(
        &self,
        table: &Arc<ConnectionTable>,
        listener: TcpListener,
        protocol: Protocol,
    ) -> impl Stream<Item = AcceptedSocket> + Send + 'static {
        let limit = self.limits.max_connections;
        let socket_limits = SocketLimits {
            protocol,
            send_timeout: self.send_timeout,
            lingering: Arc::clone(&self.lingering),
            telemetry: Arc::clone(&self.telemetry),
        };
        let table = Arc::clone(table);
        let accepted = TcpListenerStream::new(listener).then(async |accepted| {
            if let Err(error) = &accepted {
                // Usually the process is out of file descriptors; connections that end give some back.
                tracing::warn!(%error, "failed to accept a connection");
                time::sleep(PAUSE_AFTER_ERROR).await;
            }
            accepted
        });
        let sweeps = ticks(self.limits.sweep_interval());
        let events = accepted.map(Some).merge(sweeps.map(|()| None));
        events.filter_map(move |event| {
            let Some(accepted) = event else {
                table.sweep(Instant::now());
                return None;
            };
            let io = accepted.ok()?;
            let Some(ticket) = table.open(Instant::now()) else {
                // At debug level, so that a client that opens too many cannot fill the log. Operators see the counter.
                tracing::debug!(limit, "connection refused: too many open connections");
                return None;
            };
            // Small responses must not wait for the acknowledgement of the one before.
            if let Err(error) = io.set_nodelay(true) {
                tracing::debug!(%error, "failed to disable Nagle's algorithm");
            }
            if let Err(error) = enable_keepalive(&io) {
                tracing::warn!(%error, "failed to enable TCP keep-alive: a peer that disappears will go unnoticed");
            }
            #[cfg(target_os = "linux")]
            if let Err(error) = SockRef::from(&io).set_tcp_notsent_lowat(MOST_UNSENT) {
                tracing::debug!(%error, "failed to limit what the system holds for a slow client");
            }
            let io = io.into_std().ok()?;
            Some(AcceptedSocket::new(io, ticket, socket_limits.clone()))
        })
    }

    /// Returns the connections of clients of `protocol` that `listener` accepts, opened on the thread that accepts them.
    pub(super) fn accept_and_open(
        &self,
        table: &Arc<ConnectionTable>,
        listener: TcpListener,
        protocol: Protocol,
    ) -> impl Stream<Item = (ClientSocket, Ticket)> + Send + 'static {
        let stage = self.stage.clone();
        self.accept(table, listener, protocol)
            .filter_map(move |accepted| accepted.open(Closer::at_cut(&stage)).ok())
    }
}

/// Returns a stream that ticks every `interval`.
fn ticks(interval: Duration) -> impl Stream<Item = ()> + Send + 'static {
    let mut interval = time::interval(interval);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    futures_util::stream::unfold(interval, async |mut interval| {
        interval.tick().await;
        Some(((), interval))
    })
}

/// Makes the system close the connection if the other side disappears, or acknowledges nothing that is sent to it.
fn enable_keepalive(io: &TcpStream) -> io::Result<()> {
    let io = SockRef::from(io);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY)
        .with_retries(KEEPALIVE_PROBES);
    let enabled = io.set_tcp_keepalive(&keepalive);
    #[cfg(target_os = "linux")]
    io.set_tcp_user_timeout(Some(KEEPALIVE_AFTER + KEEPALIVE_EVERY * KEEPALIVE_PROBES))?;
    enabled
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_peer_that_disappears_is_noticed_within_a_minute() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (connected, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (_other, (io, _)) = (connected.expect("connects"), accepted.expect("accepts"));
        enable_keepalive(&io).expect("enabled");
        let io = SockRef::from(&io);
        assert!(io.keepalive().expect("readable"));
        let interval = io.tcp_keepalive_interval().expect("readable");
        let probes = interval * io.tcp_keepalive_retries().expect("readable");
        let idle = io.tcp_keepalive_time().expect("readable") + probes;
        let busy = io.tcp_user_timeout().expect("readable").expect("set");
        assert!(
            idle <= Duration::from_secs(60) && busy <= Duration::from_secs(60),
            "{idle:?} {busy:?}"
        );
    }
}
