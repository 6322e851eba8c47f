//! The common part of all servers of a bench.

use std::{
    io::{self, Read},
    thread,
};

use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::transport::server::{Router, TcpIncoming};

/// Serves on `runtime` until stdin ends.
pub(crate) fn serve(runtime: &Runtime, routes: impl FnOnce(Server) -> Router) {
    let (close, closed) = oneshot::channel();
    thread::spawn(move || {
        // The generator keeps the other end open while it runs.
        let _ = io::stdin().read_to_end(&mut Vec::new());
        let _ = close.send(());
    });
    runtime.block_on(async {
        let any = "127.0.0.1:0".parse().expect("an address");
        let incoming = TcpIncoming::bind(any)
            .expect("a port")
            .with_nodelay(Some(true));
        println!("data   grpc://{}", incoming.local_addr().expect("bound"));
        let routes = routes(Server::builder());
        let closed = async {
            let _ = closed.await;
        };
        routes
            .serve_with_incoming_shutdown(incoming, closed)
            .await
            .expect("serves");
    });
}
