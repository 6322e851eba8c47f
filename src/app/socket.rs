//! Sockets of clients: how long they may stay silent or leave answers unread, and what closes them from outside.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{self, Sleep};

use super::connection_state::ConnectionState;
use super::connection_table::Ticket;
use super::connections::HasPeer;
use super::frames::{FrameWatch, PREFACE};
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

    /// Sends the client a PING if one is ordered. Returns only errors: there is nothing to read.
    fn poll_ping(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.state.take_ping() {
            self.pings.order();
        }
        match self.pings.poll_write(&mut self.io, cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Pending,
        }
    }

    /// Writes the rest of a PING. Returns ready once the transport may write.
    fn poll_before_frame(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.pings.poll_write(&mut self.io, cx))?;
        self.pings.begin_frame();
        Poll::Ready(Ok(()))
    }

    /// Takes note of bytes that have arrived.
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
            self.blocked = None;
            return written;
        }
        let timeout = self.limits.send_timeout;
        let blocked = self
            .blocked
            .get_or_insert_with(|| Box::pin(time::sleep(timeout)));
        blocked.as_mut().poll(cx).map(|()| {
            self.limits.telemetry.unsent(UnsentReason::Unread);
            let text = "the client does not read its answers";
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        })
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
        let written = match self.poll_before_frame(cx) {
            Poll::Ready(Ok(())) => Pin::new(&mut self.io).poll_write(cx, buf),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        self.limit_blocked(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match self.poll_before_frame(cx) {
            Poll::Ready(Ok(())) => Pin::new(&mut self.io).poll_write_vectored(cx, bufs),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        self.limit_blocked(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pings.flushed();
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
