//! PINGs to silent clients of gRPC.
//!
//! hyper can send them, too, but then it takes a lock and reads the clock for every frame of a client, which is more than 1 % of a small
//! request. So the [table](super::connection_table) of the port finds silent connections at its sweeps, and [`PingWriter`] puts the frame
//! between those of the transport. To the transport, the client acknowledges a PING that was never sent; it says so in its log and ignores
//! it otherwise.
//!
//! Source: RFC 9113, sections 4.1 (frames) and 6.7 (PING).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

/// A PING: 8 bytes of payload, its type, no flags, no stream.
const PING: &[u8; 17] = b"\0\0\x08\x06\0\0\0\0\0taper-up";

/// Writes PINGs between the frames of a transport that writes to the same socket.
///
/// The transport must flush the socket only between two frames, and outside header blocks. h2 flushes once all that it has is written.
#[derive(Debug, Default)]
pub(super) struct PingWriter {
    /// Whether the transport has flushed all that it has written.
    is_between_frames: bool,
    /// Whether a PING must begin between the next frames.
    is_due: bool,
    /// The rest of a PING of which a part is written.
    rest: &'static [u8],
}

impl PingWriter {
    /// Orders a PING.
    pub(super) fn order(&mut self) {
        self.is_due = true;
    }

    /// Records that the transport has flushed the socket.
    pub(super) fn flushed(&mut self) {
        self.is_between_frames = true;
    }

    /// Writes what is due to `io`. Returns ready when the transport may write next to it.
    ///
    /// # Errors
    /// Returns the error of the write.
    #[inline]
    pub(super) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_due && self.is_between_frames && self.rest.is_empty() {
            self.is_due = false;
            self.rest = PING;
        }
        if self.rest.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.poll_rest(io, cx)
    }

    fn poll_rest<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            let written = ready!(Pin::new(&mut *io).poll_write(cx, self.rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.rest = &self.rest[written..];
        }
        Poll::Ready(Ok(()))
    }

    /// Records that the transport writes, so that no PING begins before it has flushed.
    pub(super) fn begin_frame(&mut self) {
        self.is_between_frames = false;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    fn poll(pings: &mut PingWriter, io: &mut tokio::io::DuplexStream) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match pings.poll_write(io, &mut cx) {
            Poll::Ready(written) => {
                written.unwrap();
                true
            }
            Poll::Pending => false,
        }
    }

    #[tokio::test]
    async fn a_ping_is_written_whole_and_only_between_frames() {
        let (mut client, mut server) = duplex(10);
        let mut pings = PingWriter::default();
        pings.order();
        assert!(poll(&mut pings, &mut server), "nothing was flushed");
        server.write_all(b"frame 1").await.unwrap();
        pings.flushed();
        assert!(!poll(&mut pings, &mut server), "the pipe is full");
        pings.order();
        let mut received = vec![0; 10];
        client.read_exact(&mut received).await.unwrap();
        assert!(!poll(&mut pings, &mut server), "4 bytes are left of 17");
        let mut more = vec![0; 10];
        client.read_exact(&mut more).await.unwrap();
        received.extend(more);
        assert!(poll(&mut pings, &mut server), "the rest of the first");
        assert!(!poll(&mut pings, &mut server), "the second");
        drop(server);
        client.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, [b"frame 1", &PING[..], &PING[..6]].concat());
    }

    #[tokio::test]
    async fn no_ping_begins_while_a_frame_is_unfinished() {
        let (_client, mut server) = duplex(100);
        let mut pings = PingWriter::default();
        pings.flushed();
        assert!(poll(&mut pings, &mut server));
        pings.begin_frame();
        pings.order();
        assert!(poll(&mut pings, &mut server));
        assert!(pings.is_due);
        pings.flushed();
        assert!(poll(&mut pings, &mut server));
        assert!(!pings.is_due);
    }
}
