//! Accepts connections up to a limit on each port. Beyond it, new connections are closed at once, so that their clients notice, and open
//! ones are not affected. A connection without traffic loses its permit.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time;
use tokio_stream::{Stream, StreamExt, wrappers::TcpListenerStream};

use super::socket::{AcceptedSocket, ClientSocket, Closer};
use crate::api::StageWatch;
use crate::insight::metrics::Telemetry;

/// Pause after a failed accept, for other connections to end.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);
/// Time without traffic after which keep-alive probes begin.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
/// Time between two probes.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
/// Number of unanswered probes after which a connection is closed. Sent data that is not acknowledged closes it after the same time.
const KEEPALIVE_PROBES: u32 = 4;

/// Accepts connections on any number of ports, with a limit on each port.
#[derive(Debug)]
pub(super) struct ConnectionLimiter {
    /// Limit on the open connections of each port.
    pub(super) max_connections: usize,
    /// Counts refused connections.
    pub(super) telemetry: Arc<Telemetry>,
    /// Closes connections that are still open at the end.
    pub(super) stage: StageWatch,
}

impl ConnectionLimiter {
    /// Returns the connections that `listener` accepts, for other threads to open.
    pub(super) fn accept(
        &self,
        listener: TcpListener,
    ) -> impl Stream<Item = AcceptedSocket> + Send + 'static {
        let limit = self.max_connections;
        let permits = Arc::new(Semaphore::new(limit));
        let telemetry = Arc::clone(&self.telemetry);
        let accepted = TcpListenerStream::new(listener).then(async |accepted| {
            if let Err(error) = &accepted {
                // Usually the process is out of file descriptors; connections that end give some back.
                tracing::warn!(%error, "failed to accept a connection");
                time::sleep(PAUSE_AFTER_ERROR).await;
            }
            accepted
        });
        accepted.filter_map(move |accepted| {
            let io = accepted.ok()?;
            let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
                telemetry.refused_connection();
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
            Some(AcceptedSocket::new(io.into_std().ok()?, permit))
        })
    }

    /// Returns the connections that `listener` accepts, opened on the thread that accepts them.
    pub(super) fn accept_and_open(
        &self,
        listener: TcpListener,
    ) -> impl Stream<Item = ClientSocket> + Send + 'static {
        let stage = self.stage.clone();
        self.accept(listener)
            .filter_map(move |accepted| accepted.open(Closer::at_cut(&stage)).ok())
    }
}

/// Makes the system close the connection if the other side disappears, or acknowledges nothing that is sent to it.
///
/// Pings of HTTP/2 would also find a process that hangs while its system still acknowledges data, but they check a timer with every frame.
/// Such connections keep their permits.
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
