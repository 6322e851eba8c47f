//! Accepting gRPC connections, up to a limit: past it a connection is closed at once, so that whoever opens too many sees
//! it, and those that are open are not held up.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};
use tokio_stream::{Stream, StreamExt, wrappers::TcpListenerStream};
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::insight::metrics::Telemetry;

/// Time for connections to end after one could not be accepted.
const AFTER_ERROR: Duration = Duration::from_millis(50);

/// A connection that holds one of the places.
#[derive(Debug)]
pub(super) struct Connection {
    io: TcpStream,
    _place: OwnedSemaphorePermit,
}

/// At most `most` connections at a time from `listener`.
pub(super) fn limited(
    listener: TcpListener,
    most: usize,
    telemetry: Arc<Telemetry>,
) -> impl Stream<Item = io::Result<Connection>> + Send + 'static {
    let places = Arc::new(Semaphore::new(most));
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
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => Some(Ok(Connection { io, _place: place })),
            Err(_) => {
                telemetry.refused_connection();
                tracing::warn!(
                    limit = most,
                    "connection refused: at the limit on connections"
                );
                None
            }
        }
    })
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
        Pin::new(&mut self.io).poll_read(cx, buf)
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
