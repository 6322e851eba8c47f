//! Accepting connections, up to a limit: past it a connection is closed at once, so that whoever opens too many sees it,
//! and those that are open are not held up. A connection that says nothing loses its place.

use std::{
    fmt,
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{self, Sleep},
};
use tokio_stream::{Stream, StreamExt, wrappers::TcpListenerStream};

use super::connections::HasPeer;
use super::threads::Place;
use crate::insight::metrics::Telemetry;

/// Time for connections to end after one could not be accepted.
const AFTER_ERROR: Duration = Duration::from_millis(50);
/// Time for a connection to begin to speak; after that the system asks whether the other side is there.
const PATIENCE: Duration = Duration::from_secs(10);
/// A connection that is silent this long is asked whether its other side is still there, ...
const ASKED_AFTER: Duration = Duration::from_secs(30);
/// ... again and again, so often, ...
const ASKED_EVERY: Duration = Duration::from_secs(5);
/// ... and is closed when so many questions were not answered, or when what was sent is not acknowledged for as long.
const QUESTIONS: u32 = 4;
/// Bytes that count as speaking: the preface of HTTP/2. No HTTP/1.1 request is shorter.
const PREFACE: usize = 24;

/// Accepts connections on any number of ports, up to a limit on each.
#[derive(Debug)]
pub(super) struct ConnectionLimiter {
    /// Connections at one time on each port.
    pub(super) most: usize,
    /// Where refused ones are counted.
    pub(super) telemetry: Arc<Telemetry>,
    /// Turns to `true` when every connection must end.
    pub(super) cut: watch::Receiver<bool>,
}

impl ConnectionLimiter {
    /// The connections that `listener` accepts.
    pub(super) fn admit(
        &self,
        listener: TcpListener,
    ) -> impl Stream<Item = Admitted> + Send + 'static {
        let (most, places) = (self.most, Arc::new(Semaphore::new(self.most)));
        let telemetry = Arc::clone(&self.telemetry);
        let accepted = TcpListenerStream::new(listener).then(async |accepted| {
            if let Err(error) = &accepted {
                // Most often the process is out of file descriptors: connections that end give some back.
                tracing::warn!(%error, "cannot accept a connection");
                time::sleep(AFTER_ERROR).await;
            }
            accepted
        });
        accepted.filter_map(move |accepted| {
            let io = accepted.ok()?;
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                telemetry.refused_connection();
                // Whoever opens too many must not fill the log too; the counter tells operators.
                tracing::debug!(
                    limit = most,
                    "connection refused: at the limit on connections"
                );
                return None;
            };
            // Small answers must not wait for the acknowledgement of the one before.
            if let Err(error) = io.set_nodelay(true) {
                tracing::debug!(%error, "cannot turn off Nagle's algorithm");
            }
            if let Err(error) = ask_when_silent(&io) {
                tracing::warn!(%error, "a peer that is gone will not be noticed");
            }
            let io = io.into_std().ok()?;
            Some(Admitted { io, place })
        })
    }

    /// The same, for whoever serves them on the thread that accepts them.
    pub(super) fn admit_here(
        &self,
        listener: TcpListener,
    ) -> impl Stream<Item = Connection> + Send + 'static {
        let (admitted, cut) = (self.admit(listener), self.cut.clone());
        admitted.filter_map(move |admitted| {
            let ends = Ends::Cut(Box::pin(until_cut(cut.clone())));
            admitted.open(ends).ok()
        })
    }
}

/// Has the system find out when the other side is gone without a word, or takes nothing of what is sent to it. HTTP/2 could ask,
/// too, and would also find a process that hangs while its system answers for it; but it keeps a clock that is looked at with
/// every frame. Those who hang keep their places among the connections.
fn ask_when_silent(io: &TcpStream) -> io::Result<()> {
    let io = SockRef::from(io);
    let asks = TcpKeepalive::new()
        .with_time(ASKED_AFTER)
        .with_interval(ASKED_EVERY)
        .with_retries(QUESTIONS);
    let asked = io.set_tcp_keepalive(&asks);
    #[cfg(target_os = "linux")]
    io.set_tcp_user_timeout(Some(ASKED_AFTER + ASKED_EVERY * QUESTIONS))?;
    asked
}

/// A connection that has its place, and that no thread serves yet.
#[derive(Debug)]
pub(super) struct Admitted {
    io: std::net::TcpStream,
    place: OwnedSemaphorePermit,
}

/// What ends a connection from outside.
pub(super) enum Ends {
    /// This is done.
    Cut(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// The end of its thread, which counts it while this is there. No read asks for it, so none pays for it.
    Thread { _place: Place },
}

/// Done when every connection must end.
pub(super) async fn until_cut(mut cut: watch::Receiver<bool>) {
    if cut.wait_for(|cut| *cut).await.is_err() {
        // The gateway is gone without a word, as when a test lets go of it: nobody cuts then.
        std::future::pending::<()>().await;
    }
}

impl Admitted {
    /// On the thread that serves it.
    ///
    /// # Errors
    /// The thread's runtime cannot watch it.
    pub(super) fn open(self, ends: Ends) -> io::Result<Connection> {
        Ok(Connection {
            io: TcpStream::from_std(self.io)?,
            _place: self.place,
            silence: Some((PREFACE, Box::pin(time::sleep(PATIENCE)))),
            ends: Some(ends),
        })
    }
}

/// A connection that holds one of the places.
pub(super) struct Connection {
    io: TcpStream,
    _place: OwnedSemaphorePermit,
    /// Bytes that must still come before the clock ends it.
    silence: Option<(usize, Pin<Box<Sleep>>)>,
    /// Gone once it has ended.
    ends: Option<Ends>,
}

impl Connection {
    /// Whether the connection must end now, and why.
    fn ended(&mut self, cx: &mut Context<'_>) -> Option<io::Error> {
        let cut = match &mut self.ends {
            Some(Ends::Thread { .. }) => false,
            Some(Ends::Cut(cut)) => cut.as_mut().poll(cx).is_ready(),
            None => true,
        };
        if cut {
            // A future that is done must not be asked again.
            self.ends = None;
            return Some(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the gateway is gone",
            ));
        }
        let (_, clock) = self.silence.as_mut()?;
        clock.as_mut().poll(cx).is_ready().then(|| {
            io::Error::new(
                io::ErrorKind::TimedOut,
                "nothing was said on the connection",
            )
        })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.io).finish()
    }
}

impl HasPeer for Connection {
    fn peer(&self) -> Option<SocketAddr> {
        self.io.peer_addr().ok()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_pending() {
            // Asked only here: while bytes come, nothing is wrong.
            return match self.ended(cx) {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            };
        }
        if let Some((left, _)) = &mut self.silence {
            *left = left.saturating_sub(buf.filled().len() - before);
            if *left == 0 {
                self.silence = None;
            }
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_peer_that_is_gone_without_a_word_is_noticed_within_a_minute() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (connected, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (_other, (io, _)) = (connected.expect("connects"), accepted.expect("accepts"));
        ask_when_silent(&io).expect("asks");
        let io = SockRef::from(&io);
        assert!(io.keepalive().expect("told"));
        let asks =
            io.tcp_keepalive_interval().expect("told") * io.tcp_keepalive_retries().expect("told");
        let idle = io.tcp_keepalive_time().expect("told") + asks;
        let busy = io.tcp_user_timeout().expect("told").expect("set");
        assert!(
            idle <= Duration::from_secs(60) && busy <= Duration::from_secs(60),
            "{idle:?} {busy:?}"
        );
    }
}
