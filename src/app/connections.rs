//! The HTTP door as a server. Who says nothing on a connection, or not all of a request's head, loses it after a while: services keep
//! theirs open between requests, and all places taken by silent ones would shut out whoever scrapes the metrics.

use std::{io, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_stream::{Stream, StreamExt};

/// How long a connection may be silent between two requests, and how long a head may take to come. Longer than the minute after which
/// many clients let go of a connection, since whoever does it first should be the client.
const SILENCE: Duration = Duration::from_secs(75);

/// What this task is called.
pub(super) const NAME: &str = "http";

/// Serves `router` until `ending`; then takes no connection, and goes on until the last request has been answered.
pub(super) async fn until<I>(
    incoming: impl Stream<Item = io::Result<I>>,
    router: Router,
    mut ending: watch::Receiver<bool>,
) -> &'static str
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(router);
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(SILENCE);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut incoming = Box::pin(incoming);
    loop {
        tokio::select! {
            Some(accepted) = incoming.next() => {
                // Who could not be accepted is not here, and the next one may be.
                let Ok(io) = accepted else { continue };
                let served = server.serve_connection(TokioIo::new(io), service.clone());
                connections.spawn(graceful.watch(served));
            }
            // Whatever ends a connection concerns nobody else.
            Some(_) = connections.join_next() => {}
            // An error means that the gateway itself is gone, which is a reason to end too.
            _ = ending.wait_for(|ending| *ending) => break,
        }
    }
    drop(incoming);
    graceful.shutdown().await;
    while connections.join_next().await.is_some() {}
    NAME
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::Instant;

    use super::*;

    fn served(ending: watch::Receiver<bool>) -> (DuplexStream, impl Future<Output = &'static str>) {
        let (client, server) = duplex(4096);
        let incoming = tokio_stream::once(Ok(server)).chain(tokio_stream::pending());
        let router = Router::new().route("/", get(async || "here"));
        (client, until(incoming, router, ending))
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_falls_silent_is_closed() {
        for said in [
            "",
            "GET / HTTP/1.1\r\nhost: m\r\n\r\n",
            "GET / HTTP/1.1\r\nho",
        ] {
            let (_end, ending) = watch::channel(false);
            let (mut client, served) = served(ending);
            let begin = Instant::now();
            let talk = async {
                client.write_all(said.as_bytes()).await.unwrap();
                let mut all = Vec::new();
                client.read_to_end(&mut all).await.unwrap();
                String::from_utf8(all).unwrap()
            };
            let told = tokio::select! {
                told = talk => told,
                ended = served => panic!("{ended} has ended"),
            };
            assert_eq!(told.contains("here"), said.ends_with("\r\n\r\n"), "{told}");
            assert!(
                begin.elapsed() >= SILENCE,
                "{said:?}: {:?}",
                begin.elapsed()
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_does_not_hold_up_the_end() {
        let (end, ending) = watch::channel(false);
        let (mut client, served) = served(ending);
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: m\r\n\r\n")
            .await
            .unwrap();
        let begin = Instant::now();
        let read = async {
            let mut begin = [0; 15];
            client.read_exact(&mut begin).await.unwrap();
            end.send_replace(true);
        };
        tokio::join!(served, read);
        assert!(begin.elapsed() < SILENCE);
    }
}
