//! What every server of a bench does.

use std::{
    io::{self, Read},
    thread,
};

use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::transport::server::{Router, TcpIncoming};

/// Serves until stdin ends, on a runtime like the gateway's.
pub(crate) fn serve(door: impl FnOnce(Server) -> Router) {
    let (close, closed) = oneshot::channel();
    thread::spawn(move || {
        // The generator holds the other end for as long as it lives.
        let _ = io::stdin().read_to_end(&mut Vec::new());
        let _ = close.send(());
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let any = "127.0.0.1:0".parse().expect("an address");
        let incoming = TcpIncoming::bind(any)
            .expect("a port")
            .with_nodelay(Some(true));
        println!("data   grpc://{}", incoming.local_addr().expect("bound"));
        let door = door(Server::builder());
        let closed = async {
            let _ = closed.await;
        };
        door.serve_with_incoming_shutdown(incoming, closed)
            .await
            .expect("serves");
    });
}
