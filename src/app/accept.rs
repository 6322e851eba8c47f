//! Accepting connections, up to a limit: past it a connection is closed at once, so that whoever opens too many sees it,
//! and those that are open are not held up. A connection that says nothing loses its place.

use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{self, Sleep},
};
use tokio_stream::{Stream, StreamExt, wrappers::TcpListenerStream};
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::threads::Place;
use crate::insight::metrics::Telemetry;

/// Time for connections to end after one could not be accepted.
const AFTER_ERROR: Duration = Duration::from_millis(50);
/// Time for a connection to begin to speak; after that HTTP/2 asks by itself whether the other side is there.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes that count as speaking: the preface of HTTP/2. No HTTP/1.1 request is shorter.
const PREFACE: usize = 24;

/// Accepts connections on any number of ports, up to a limit on each.
#[derive(Debug)]
pub(super) struct Doorman {
    /// Connections at one time on each port.
    pub(super) most: usize,
    /// Where refused ones are counted.
    pub(super) telemetry: Arc<Telemetry>,
    /// Turns to `true` when every connection must end.
    pub(super) cut: watch::Receiver<bool>,
}

impl Doorman {
    /// The connections that `listener` accepts.
    pub(super) fn admit(
        &self,
        listener: TcpListener,
    ) -> impl Stream<Item = Admitted> + Send + 'static {
        let (most, places) = (self.most, Arc::new(Semaphore::new(self.most)));
        let (telemetry, cut) = (Arc::clone(&self.telemetry), self.cut.clone());
        let accepted = TcpListenerStream::new(listener).then(async |accepted| {
            if let Err(error) = &accepted {
                // Most often the process is out of file descriptors: connections that end give some back.
                tracing::warn!(%error, "cannot accept a connection");
                time::sleep(AFTER_ERROR).await;
            }
            accepted
        });
        accepted.filter_map(move |accepted| {
            // The transport would end the whole door at an error that passes.
            let io = accepted.ok()?;
            // Small answers must not wait for the acknowledgement of the one before.
            if let Err(error) = io.set_nodelay(true) {
                tracing::debug!(%error, "cannot turn off Nagle's algorithm");
            }
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                telemetry.refused_connection();
                // Whoever opens too many must not fill the log too; the counter tells operators.
                tracing::debug!(
                    limit = most,
                    "connection refused: at the limit on connections"
                );
                return None;
            };
            let io = io.into_std().ok()?;
            let cut = cut.clone();
            Some(Admitted { io, place, cut })
        })
    }

    /// The same, for whoever serves them on the thread that accepts them.
    pub(super) fn admit_here(
        &self,
        listener: TcpListener,
    ) -> impl Stream<Item = io::Result<Connection>> + Send + 'static {
        let admitted = self.admit(listener);
        admitted.filter_map(|admitted| admitted.open(None).ok().map(Ok))
    }
}

/// A connection that has its place, and that no thread serves yet.
#[derive(Debug)]
pub(super) struct Admitted {
    io: std::net::TcpStream,
    place: OwnedSemaphorePermit,
    cut: watch::Receiver<bool>,
}

impl Admitted {
    /// On the thread that serves it; `thread` is what counts it there.
    ///
    /// # Errors
    /// The thread's runtime cannot watch it.
    pub(super) fn open(self, thread: Option<Place>) -> io::Result<Connection> {
        let io = TcpStream::from_std(self.io)?;
        Ok(Connection::new(io, self.place, thread, self.cut))
    }
}

/// A connection that holds one of the places.
pub(super) struct Connection {
    io: TcpStream,
    _place: OwnedSemaphorePermit,
    _thread: Option<Place>,
    /// Bytes that must still come before the clock ends it.
    silence: Option<(usize, Pin<Box<Sleep>>)>,
    /// Done when every connection must end.
    cut: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Connection {
    fn new(
        io: TcpStream,
        place: OwnedSemaphorePermit,
        thread: Option<Place>,
        mut cut: watch::Receiver<bool>,
    ) -> Self {
        let cut = async move {
            if cut.wait_for(|cut| *cut).await.is_err() {
                // The gateway is gone without a word, as when a test lets go of it: nobody cuts then.
                std::future::pending::<()>().await;
            }
        };
        let silence = Some((PREFACE, Box::pin(time::sleep(PATIENCE))));
        Self {
            io,
            _place: place,
            _thread: thread,
            silence,
            cut: Some(Box::pin(cut)),
        }
    }

    /// Whether the connection must end now, and why.
    fn ended(&mut self, cx: &mut Context<'_>) -> Option<io::Error> {
        let cut = self
            .cut
            .as_mut()
            .is_none_or(|cut| cut.as_mut().poll(cx).is_ready());
        if cut {
            // A future that is done must not be asked again.
            self.cut = None;
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

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.io.connect_info()
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
