//! Connections that end while their clients have not received all that was sent.
//!
//! If a socket is closed and there are bytes that the gateway has not read, as there often are, the system resets the connection and drops
//! what it has not sent. So the gateway ends its side first, and reads and drops what still comes until the client has received everything:
//! RFC 1122, section 4.2.2.13.

use std::net;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time;

/// The most connections that end in this way at the same time. Each takes memory of the system and a file descriptor.
const MOST: usize = 256;
/// Time between two checks of what a client has received.
const PAUSE: Duration = Duration::from_millis(20);

/// Ends connections, and counts the clients that have not received everything.
#[derive(Debug)]
pub(super) struct Lingering {
    runtime: Handle,
    /// How long a connection may take at most.
    time: Duration,
    ending: AtomicUsize,
    blocked: AtomicUsize,
}

impl Lingering {
    /// Creates a counter whose tasks run on `runtime`, each for at most `time`.
    pub(super) fn new(runtime: Handle, time: Duration) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            time,
            ending: AtomicUsize::new(0),
            blocked: AtomicUsize::new(0),
        })
    }

    /// Returns the number of connections that have ended here and whose clients have not received everything.
    pub(super) fn ending(&self) -> usize {
        self.ending.load(Ordering::Relaxed)
    }

    /// Returns the number of open connections whose clients must read before more can be sent.
    pub(super) fn blocked(&self) -> usize {
        self.blocked.load(Ordering::Relaxed)
    }

    /// Counts a connection as one whose client must read, or no longer.
    pub(super) fn set_blocked(&self, is_blocked: bool) {
        if is_blocked {
            self.blocked.fetch_add(1, Ordering::Relaxed);
        } else {
            self.blocked.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Ends the connection of `io`, which is closed next. What was sent still reaches its client, unless too many do this already.
    pub(super) fn end(self: &Arc<Self>, io: &TcpStream) {
        if unreceived(io) == 0 {
            return;
        }
        let Ok(copy) = io.as_fd().try_clone_to_owned() else {
            return;
        };
        let guard = Ending::begin(Arc::clone(self));
        if self.ending() > MOST {
            return;
        }
        self.runtime.spawn(async move {
            let io = TcpStream::from_std(net::TcpStream::from(copy));
            if let Ok(io) = io {
                // A client that takes longer is one that does not read.
                let _ = time::timeout(guard.0.time, wait_until_received(io)).await;
            }
        });
    }
}

/// Counts a connection that ends.
struct Ending(Arc<Lingering>);

impl Ending {
    fn begin(lingering: Arc<Lingering>) -> Self {
        lingering.ending.fetch_add(1, Ordering::Relaxed);
        Self(lingering)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.ending.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Ends this side of a connection, and waits until its client has received everything or has closed it.
async fn wait_until_received(mut io: TcpStream) {
    if io.shutdown().await.is_err() {
        return;
    }
    let mut ignored = [0; 4096];
    loop {
        let read = time::timeout(PAUSE, io.read(&mut ignored)).await;
        let is_closed = matches!(read, Ok(Ok(0) | Err(_)));
        if is_closed || (read.is_err() && unreceived(&io) == 0) {
            return;
        }
    }
}

/// Returns the number of bytes that the system of the client has not acknowledged; 0 if this system does not say.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the standard library has no such call")]
fn unreceived(io: &TcpStream) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open, and the call writes one integer: https://man7.org/linux/man-pages/man7/tcp.7.html (SIOCOUTQ).
    let failed = unsafe { libc::ioctl(io.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) } != 0;
    if failed {
        return 0;
    }
    usize::try_from(bytes).unwrap_or(0)
}

#[cfg(not(target_os = "linux"))]
fn unreceived(_: &TcpStream) -> usize {
    0
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A connection whose client has sent a byte that is not read, and is sent more than fits into the buffers of both systems.
    async fn unread() -> (TcpStream, TcpStream, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut client, (io, _)) = (client.expect("connects"), accepted.expect("accepts"));
        client.write_all(b"x").await.expect("sent");
        io.writable().await.expect("open");
        let mut sent = 0;
        while let Ok(more) = io.try_write(&[7; 1 << 16]) {
            sent += more;
        }
        assert!(unreceived(&io) > 0);
        (client, io, sent)
    }

    #[tokio::test]
    async fn a_client_that_reads_late_receives_everything() {
        let (mut client, io, sent) = unread().await;
        let lingering = Lingering::new(Handle::current(), Duration::from_secs(300));
        lingering.end(&io);
        drop(io);
        assert_eq!(lingering.ending(), 1);
        let mut received = Vec::new();
        let read = client.read_to_end(&mut received).await;
        read.expect("the connection is not reset");
        assert_eq!(received.len(), sent);
        drop(client);
        while lingering.ending() > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn without_it_the_connection_is_reset() {
        let (mut client, io, _) = unread().await;
        drop(io);
        let read = client.read_to_end(&mut Vec::new()).await;
        let error = read.expect_err("what was not read resets it");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}
