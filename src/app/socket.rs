//! Sockets of clients: how long they may stay silent or leave answers unread, and what closes them from outside.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{self, Sleep};

use super::connection_state::ConnectionState;
use super::connection_table::Ticket;
use super::connections::HasPeer;
use super::frames::{FrameWatch, PREFACE};
use super::linger::Lingering;
use super::ping::PingWriter;
use crate::api::{MESSAGE_PATIENCE, Stage, StageWatch};
use crate::insight::metrics::{CloseReason, Telemetry, UnsentReason};

/// How long a client may take to send the first bytes. After that, TCP keep-alive finds out whether it is still there.
const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(10);
/// Number of first bytes. No HTTP/1.1 request is shorter than the preface of HTTP/2.
const FIRST_BYTES: usize = PREFACE;

/// What the clients of a port speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// How long the sockets of a port may make no progress.
#[derive(Clone, Debug)]
pub(super) struct SocketLimits {
    pub(super) protocol: Protocol,
    /// How long a client may take nothing while there is something to send.
    pub(super) send_timeout: Duration,
    /// Ends connections whose clients have not received everything.
    pub(super) lingering: Arc<Lingering>,
    /// Counts connections that are closed at a limit.
    pub(super) telemetry: Arc<Telemetry>,
}

/// An accepted connection that holds its ticket, before a runtime serves it.
#[derive(Debug)]
pub(super) struct AcceptedSocket {
    io: std::net::TcpStream,
    ticket: Ticket,
    limits: SocketLimits,
}

impl AcceptedSocket {
    /// Creates a socket that holds `ticket` and closes at `limits`.
    pub(super) fn new(io: std::net::TcpStream, ticket: Ticket, limits: SocketLimits) -> Self {
        Self { io, ticket, limits }
    }

    /// Registers the socket with the runtime of the current thread, which will serve it until `closer` closes it. Returns it
    /// with its ticket.
    ///
    /// # Errors
    /// Returns an error if the runtime cannot register it.
    pub(super) fn open(self, closer: Closer) -> io::Result<(ClientSocket, Ticket)> {
        let socket = ClientSocket {
            io: TcpStream::from_std(self.io)?,
            first_bytes: Some((FIRST_BYTES, Box::pin(time::sleep(FIRST_BYTES_TIMEOUT)))),
            frames: (self.limits.protocol == Protocol::Http2).then(FrameWatch::new),
            unfinished: None,
            closer: Some(closer),
            limits: self.limits,
            blocked: None,
            is_unread: false,
            state: Arc::clone(self.ticket.state()),
            pings: PingWriter::default(),
        };
        Ok((socket, self.ticket))
    }
}

/// What closes a connection that is still open at the end.
pub(super) enum Closer {
    /// This future, which every read without data polls.
    Stage(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// The end of the serving thread. Reads have nothing to poll.
    Thread {
        /// Counts the connection among those of its thread.
        _count: ConnectionCount,
    },
}

impl Closer {
    /// Closes a connection at [`Stage::Cut`].
    pub(super) fn at_cut(stage: &StageWatch) -> Self {
        let mut stage = stage.clone();
        Self::Stage(Box::pin(async move { stage.reached(Stage::Cut).await }))
    }
}

/// Counts a connection among those of a thread until it is dropped.
pub(super) struct ConnectionCount(Arc<AtomicUsize>);

impl ConnectionCount {
    /// Adds a connection to `count`.
    pub(super) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for ConnectionCount {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection of a client.
pub(super) struct ClientSocket {
    io: TcpStream,
    /// Number of first bytes that have not arrived yet, and the timer that closes the connection if they do not.
    first_bytes: Option<(usize, Pin<Box<Sleep>>)>,
    /// `None` for HTTP/1.1, whose transport limits the time itself.
    frames: Option<FrameWatch>,
    /// Runs while the rest of a frame or of a header block does not arrive.
    unfinished: Option<Pin<Box<Sleep>>>,
    /// `None` once the connection is closed.
    closer: Option<Closer>,
    limits: SocketLimits,
    /// Runs while the client takes nothing of what there is to send.
    blocked: Option<Pin<Box<Sleep>>>,
    /// Whether it has not taken anything in time.
    is_unread: bool,
    state: Arc<ConnectionState>,
    pings: PingWriter,
}

impl ClientSocket {
    /// Returns why the connection must close now, if it must.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Option<io::Error> {
        let is_closed = match &mut self.closer {
            Some(Closer::Thread { .. }) => false,
            Some(Closer::Stage(reached)) => reached.as_mut().poll(cx).is_ready(),
            None => true,
        };
        if is_closed {
            // A future that has completed must not be polled again.
            self.closer = None;
            let text = "the gateway has shut down";
            return Some(io::Error::new(io::ErrorKind::ConnectionAborted, text));
        }
        if let Some((_, timer)) = &mut self.first_bytes {
            return timer.as_mut().poll(cx).is_ready().then(|| {
                let text = "the client has not sent anything";
                io::Error::new(io::ErrorKind::TimedOut, text)
            });
        }
        self.poll_unfinished(cx)
    }

    /// Returns an error once the client has left a frame or a header block unfinished for too long.
    fn poll_unfinished(&mut self, cx: &mut Context<'_>) -> Option<io::Error> {
        if self.frames.as_ref().is_none_or(FrameWatch::is_complete) {
            return None;
        }
        let timer = self
            .unfinished
            .get_or_insert_with(|| Box::pin(time::sleep(MESSAGE_PATIENCE)));
        timer.as_mut().poll(cx).is_ready().then(|| {
            let telemetry = &self.limits.telemetry;
            telemetry.closed_connection(CloseReason::Unfinished);
            let text = "the client has not finished a frame";
            io::Error::new(io::ErrorKind::TimedOut, text)
        })
    }

    /// Sends the client a PING if one is ordered. Returns Pending unless that fails.
    fn poll_ping(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.state.take_ping() {
            self.pings.order();
        }
        match self.pings.poll_write(&mut self.io, cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Pending,
        }
    }

    /// Writes what the transport writes by `write`, after the rest of a PING.
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.state.cork() {
            return Poll::Pending;
        }
        let written = match self.pings.poll_write(&mut self.io, cx) {
            Poll::Ready(Ok(())) => {
                self.pings.begin_frame();
                write(Pin::new(&mut self.io), cx)
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        self.limit_blocked(written, cx)
    }

    /// Records bytes that have arrived.
    fn observe(&mut self, bytes: &[u8]) {
        self.state.hear();
        if let Some((missing, _)) = &mut self.first_bytes {
            *missing = missing.saturating_sub(bytes.len());
            if *missing == 0 {
                self.first_bytes = None;
            }
        }
        let frames = self.frames.as_mut();
        if frames.is_some_and(|frames| frames.push(bytes)) {
            self.unfinished = None;
        }
    }
}

impl ClientSocket {
    /// Returns `written`, or an error once the client has taken nothing for too long.
    fn limit_blocked(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            if self.blocked.take().is_some() {
                self.set_blocked(false);
            }
            return written;
        }
        if self.blocked.is_none() {
            self.set_blocked(true);
        }
        let timeout = self.limits.send_timeout;
        let blocked = self
            .blocked
            .get_or_insert_with(|| Box::pin(time::sleep(timeout)));
        blocked.as_mut().poll(cx).map(|()| {
            self.limits.telemetry.unsent(UnsentReason::Unread);
            self.is_unread = true;
            let text = "the client does not read its answers";
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        })
    }
}

impl ClientSocket {
    /// Records whether the client must read before more can be sent.
    fn set_blocked(&self, is_blocked: bool) {
        self.state.set_blocked(is_blocked);
        self.limits.lingering.set_blocked(is_blocked);
    }
}

impl Drop for ClientSocket {
    fn drop(&mut self) {
        if self.blocked.is_some() {
            self.set_blocked(false);
        }
        if !self.is_unread {
            self.limits.lingering.end(&self.io);
        }
    }
}

impl fmt::Debug for ClientSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientSocket").field(&self.io).finish()
    }
}

impl HasPeer for ClientSocket {
    fn peer(&self) -> Option<SocketAddr> {
        self.io.peer_addr().ok()
    }
}

impl AsyncRead for ClientSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.state.has_begun_enough() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let filled_before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_pending() {
            // Polled only here: while bytes arrive, there is no reason to close.
            return match self.poll_close(cx) {
                Some(error) => Poll::Ready(Err(error)),
                None => self.poll_ping(cx),
            };
        }
        self.observe(&buf.filled()[filled_before..]);
        read
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_frame(cx, |io, cx| io.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_frame(cx, |io, cx| io.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pings.flushed();
        // A PING that could not begin before is not left for the next time that the client sends something.
        let this = &mut *self;
        if let Poll::Ready(Err(error)) = this.pings.poll_write(&mut this.io, cx) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::super::connection_table::{ConnectionLimits, ConnectionTable};
    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits {
        max_connections: 1,
        max_idle: None,
        max_age: None,
        age_grace: Duration::ZERO,
        silence: None,
    };

    async fn pair() -> (TcpStream, ClientSocket, Ticket) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let telemetry = Telemetry::new().expect("metrics");
        let table = ConnectionTable::new(LIMITS, Arc::clone(&telemetry));
        let ticket = table.open(Instant::now()).expect("room");
        let limits = SocketLimits {
            protocol: Protocol::Http2,
            send_timeout: Duration::from_secs(30),
            lingering: Lingering::new(tokio::runtime::Handle::current(), Duration::MAX),
            telemetry,
        };
        let io = accepted.expect("accepted").0.into_std().expect("a socket");
        let closer = Closer::Stage(Box::pin(std::future::pending()));
        let socket = AcceptedSocket::new(io, ticket, limits).open(closer);
        let (socket, ticket) = socket.expect("registered");
        socket.io.writable().await.expect("a socket");
        (client.expect("connects"), socket, ticket)
    }

    #[tokio::test]
    async fn a_ping_that_is_ordered_within_a_frame_follows_the_frame() {
        let (mut client, mut socket, ticket) = pair().await;
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut write = |socket: &mut ClientSocket, bytes: &[u8]| {
            let written = Pin::new(socket).poll_write(&mut cx, bytes);
            assert!(matches!(written, Poll::Ready(Ok(count)) if count == bytes.len()));
        };
        write(&mut socket, b"half a ");
        ticket.state().order_ping();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let read = Pin::new(&mut socket).poll_read(&mut cx, &mut ReadBuf::new(&mut [0; 8]));
        assert!(read.is_pending());
        write(&mut socket, b"frame");
        let flushed = Pin::new(&mut socket).poll_flush(&mut cx);
        assert!(matches!(flushed, Poll::Ready(Ok(()))));
        drop(socket);
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.expect("an end");
        assert!(received.starts_with(b"half a frame\0\0\x08\x06"));
        assert_eq!(received.len(), 12 + 17);
    }

    #[tokio::test]
    async fn reads_and_writes_wait_for_other_tasks_after_enough_calls() {
        let (_client, mut socket, ticket) = pair().await;
        let state = ticket.state();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        while !state.has_begun_enough() {
            state.begin_call();
        }
        let written = Pin::new(&mut socket).poll_write(&mut cx, b"frame");
        assert!(written.is_pending() && state.is_corked());
        assert!(!state.is_blocked(), "the client does not keep it waiting");
        state.begin_poll();
        let written = Pin::new(&mut socket).poll_write(&mut cx, b"frame");
        assert!(written.is_ready());
    }
}
