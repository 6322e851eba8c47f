//! How the process ends.

use std::{net::SocketAddr, pin::pin};

use taper::proto::v1::prediction_service_client::PredictionServiceClient;
use taper::proto::v1::{PredictRequest, PredictResponse};
use tokio::sync::mpsc::{self, Sender};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, client::Grpc};
use tonic_prost::ProstCodec;

use crate::harness::{connect, good, only, registry, rows};
use crate::process::Process;
use crate::tiny;

fn one_version() -> tempfile::TempDir {
    registry(|root| tiny::publish(root, "m", 1))
}

/// A `Predict` that the gateway has begun to receive, and the way to send the rest of it.
async fn begun(
    address: SocketAddr,
) -> (
    Sender<PredictRequest>,
    impl Future<Output = Result<Response<PredictResponse>, Status>>,
) {
    let (rest, message) = mpsc::channel(1);
    let channel = connect(address).await;
    let mut one = Grpc::new(channel.clone());
    one.ready().await.expect("connected");
    let mut answer = Box::pin(async move {
        let path = http::uri::PathAndQuery::from_static("/taper.v1.PredictionService/Predict");
        let codec = ProstCodec::<PredictRequest, PredictResponse>::default();
        one.client_streaming(Request::new(ReceiverStream::new(message)), path, codec)
            .await
    });
    // Another request on the same connection comes after the first, so once it is answered the first has come.
    let mut client = PredictionServiceClient::new(channel);
    let mut other = pin!(client.predict(rows("m", [good()])));
    tokio::select! {
        biased;
        early = &mut answer => panic!("answered before it was sent: {early:?}"),
        other = &mut other => drop(other.expect("answered")),
    }
    (rest, answer)
}

#[test]
fn both_signals_end_it_with_0() {
    let dir = one_version();
    for signal in ["TERM", "INT"] {
        let mut gateway = Process::serve(dir.path());
        gateway.line_with("READY");
        gateway.signal(signal);
        let ended = gateway.end();
        assert_eq!(ended.code, Some(0), "SIG{signal}: {ended:?}");
        let told = format!("SIG{signal}: draining");
        assert!(ended.stdout.contains(&told), "{}", ended.stdout);
        assert!(ended.stdout.contains("drained in "), "{}", ended.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_answered_before_the_process_ends() {
    let dir = one_version();
    let mut gateway = Process::serve(dir.path());
    let (rest, answer) = begun(gateway.address("data")).await;
    gateway.line_with("READY");
    gateway.signal("TERM");
    gateway.line_with("SIGTERM: draining");
    let answer = tokio::spawn(answer);
    rest.send(rows("m", [good()]))
        .await
        .expect("the connection is open");
    drop(rest);
    let answer = answer.await.expect("no panic").expect("answered");
    assert!((only(answer.get_ref()) - 1.0).abs() < f32::EPSILON);
    assert_eq!(gateway.end().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_does_not_wait_for_requests_in_flight() {
    let dir = one_version();
    let mut gateway = Process::serve(dir.path());
    let (_rest, _answer) = begun(gateway.address("data")).await;
    gateway.line_with("READY");
    gateway.signal("TERM");
    gateway.line_with("SIGTERM: draining");
    gateway.signal("INT");
    let ended = gateway.end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("SIGINT while draining"),
        "{}",
        ended.stderr
    );
}
