//! Shutdown of the process.

use std::{collections::HashMap, fs, net::SocketAddr, path::Path, pin::Pin};

use data_encoding::HEXLOWER;
use safetensors::{Dtype, tensor::TensorView};
use serde_json::json;
use sha2::{Digest, Sha256};
use taper::proto::v1::prediction_service_client::PredictionServiceClient;
use taper::proto::v1::{PredictRequest, PredictResponse};
use tokio::sync::mpsc::{self, Sender};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, client::Grpc};
use tonic_prost::ProstCodec;

use crate::harness::{connect, good, reason, registry, rows, single_score};
use crate::process::{Process, serve};
use crate::tiny;

fn one_version() -> tempfile::TempDir {
    registry(|root| tiny::publish(root, "m", 1))
}

/// Starts a `Predict` of which the gateway has received a part, and returns a sender for the rest.
async fn begun(
    address: SocketAddr,
) -> (
    Sender<PredictRequest>,
    impl Future<Output = Result<Response<PredictResponse>, Status>>,
) {
    let channel = connect(address).await;
    let (rest, mut answer) = call(&channel).await;
    tokio::select! {
        biased;
        early = &mut answer => panic!("answered before it was sent: {early:?}"),
        () = arrived(channel) => {}
    }
    (rest, answer)
}

/// Creates a `Predict` whose message is sent later. The call starts when the future is first polled.
async fn call(
    channel: &Channel,
) -> (
    Sender<PredictRequest>,
    Pin<Box<dyn Future<Output = Result<Response<PredictResponse>, Status>> + Send>>,
) {
    let (rest, message) = mpsc::channel(1);
    let mut one = Grpc::new(channel.clone());
    one.ready().await.expect("connected");
    let answer = Box::pin(async move {
        let path = http::uri::PathAndQuery::from_static("/taper.v1.PredictionService/Predict");
        let codec = ProstCodec::<PredictRequest, PredictResponse>::default();
        one.client_streaming(Request::new(ReceiverStream::new(message)), path, codec)
            .await
    });
    (rest, answer)
}

/// Sends a request to an unknown model and waits for the error. Earlier data on the same connection has then arrived.
async fn arrived(channel: Channel) {
    let mut client = PredictionServiceClient::new(channel);
    let answer = client.predict(rows("nobody", [good()])).await;
    assert_eq!(reason(&answer.expect_err("unknown model")), "UNKNOWN_MODEL");
}

#[test]
fn other_signals_end_nothing() {
    let dir = one_version();
    let mut gateway = Process::serve(dir.path());
    let http = gateway.address("http");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    for signal in ["HUP", "USR1", "USR2"] {
        gateway.signal(signal);
        let (head, _) = runtime.block_on(crate::harness::http_get(http, "/healthz"));
        assert!(head.contains("200"), "SIG{signal}: {head}");
    }
    gateway.signal("TERM");
    let ended = gateway.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("SIGTERM: draining"), "{ended:?}");
}

#[test]
fn both_signals_end_the_process_with_exit_code_0() {
    let dir = one_version();
    for signal in ["TERM", "INT"] {
        let mut gateway = Process::serve(dir.path());
        gateway.line_with("READY");
        gateway.signal(signal);
        let ended = gateway.end();
        assert_eq!(ended.code, Some(0), "SIG{signal}: {ended:?}");
        let expected = format!("SIG{signal}: draining");
        assert!(ended.stdout.contains(&expected), "{}", ended.stdout);
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
    assert!((single_score(answer.get_ref()) - 1.0).abs() < f32::EPSILON);
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

/// Publishes a network whose forward pass takes measurable time: three layers of 1024 between 8 numbers and one answer, which is 1.
fn publish_slow(root: &Path) {
    const WIDTH: usize = 1024;
    let zeros = vec![0u8; WIDTH * WIDTH * 4];
    let one = 1f32.to_le_bytes();
    let sizes = [(8, WIDTH), (WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, 1)];
    let mut tensors = HashMap::new();
    for (at, (from, to)) in sizes.into_iter().enumerate() {
        let weight = TensorView::new(Dtype::F32, vec![to, from], &zeros[..from * to * 4]);
        let bias = if to == 1 { &one[..] } else { &zeros[..to * 4] };
        let bias = TensorView::new(Dtype::F32, vec![to], bias);
        tensors.insert(format!("{at}.weight"), weight.expect("tensor"));
        tensors.insert(format!("{at}.bias"), bias.expect("tensor"));
    }
    let weights = safetensors::serialize(tensors, None).expect("serialize");
    let digest = HEXLOWER.encode(&Sha256::digest(&weights));
    let mut layers = Vec::new();
    for at in 0..sizes.len() {
        layers.push(json!({"kind": "linear", "name": at.to_string()}));
        if at + 1 < sizes.len() {
            layers.push(json!({"kind": "relu"}));
        }
    }
    let manifest = json!({
        "model_name": "slow",
        "version": 1,
        "features": ["x"],
        "format": "dense",
        "architecture": {"layers": layers, "head": "identity"},
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 8], "encoding": {"kind": "numeric"}}],
        "outputs": [{"name": "value", "datatype": "FP32", "shape": [-1, 1]}],
        "files": [{"path": "weights.safetensors", "sha256": digest, "bytes": weights.len()}],
        "golden": [{"row": {"x": [0, 1, 2, 3, 4, 5, 6, 7]}, "answer": [1]}],
        "batching": {"max_rows": 256},
    });
    let dir = root.join("slow/1");
    fs::create_dir_all(&dir).expect("registry folder");
    fs::write(dir.join("weights.safetensors"), weights).expect("weights");
    fs::write(dir.join("metadata.json"), manifest.to_string()).expect("manifest");
}

/// Returns a request of `rows` rows for the slow model.
fn slow_rows(rows: usize) -> PredictRequest {
    PredictRequest {
        model: "slow".into(),
        tensors: vec![taper::proto::v1::Tensor {
            name: "x".into(),
            datatype: taper::proto::v1::Datatype::Fp32.into(),
            shape: vec![i64::try_from(rows).expect("few"), 8],
            fp32_values: vec![0.5; rows * 8],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// How the requests in flight at SIGTERM ended, and the final report of the process.
struct DrainResult {
    finished: usize,
    refused: usize,
    report: String,
}

/// Stops a gateway that has 200 requests in flight, of `rows` rows each. The last `silent` of them never send their message.
async fn drain_200(drain_seconds: u64, rows: usize, silent: usize) -> DrainResult {
    const ALL: usize = 200;
    let dir = registry(publish_slow);
    let config = dir.path().join("taper.toml");
    fs::write(
        &config,
        format!("[limits]\ndrain_seconds = {drain_seconds}"),
    )
    .expect("configuration");
    let mut gateway = Process::start(serve(dir.path()).arg("--config").arg(config));
    let channel = connect(gateway.address("data")).await;
    gateway.line_with("READY");
    let (mut ways, mut calls) = (Vec::new(), Vec::new());
    for _ in 0..ALL {
        let (rest, mut answer) = call(&channel).await;
        // Polled once, so that it starts before the next one.
        tokio::select! {
            biased;
            early = &mut answer => panic!("answered before it was sent: {early:?}"),
            () = std::future::ready(()) => {}
        }
        ways.push(rest);
        calls.push(tokio::task::spawn(answer));
    }
    arrived(channel).await;
    gateway.signal("TERM");
    gateway.line_with("SIGTERM: draining");
    let silence = ways.split_off(ALL - silent);
    for rest in ways {
        rest.send(slow_rows(rows))
            .await
            .expect("the connection is open");
    }
    let (mut finished, mut refused) = (0, 0);
    for call in calls {
        match call.await.expect("no panic") {
            Ok(answer) => {
                let answer = answer.into_inner();
                assert_eq!(answer.outputs[0].fp32_values, vec![1.0; rows]);
                finished += 1;
            }
            Err(status) => {
                assert_eq!(
                    (status.code(), &*reason(&status)),
                    (Code::Unavailable, "DRAINING")
                );
                refused += 1;
            }
        }
    }
    drop(silence);
    let ended = gateway.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report = ended
        .stdout
        .lines()
        .find(|line| line.contains("drained in "));
    DrainResult {
        finished,
        refused,
        report: report.expect("a report").to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_requests_in_flight_are_all_finished_and_the_report_says_so() {
    let drained = drain_200(300, 160, 0).await;
    assert_eq!((drained.finished, drained.refused), (200, 0));
    let want = "200 of 200 requests in flight finished, 0 answered UNAVAILABLE, 0 cut off";
    assert!(drained.report.ends_with(want), "{}", drained.report);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_past_the_drain_deadline_get_unavailable_and_no_stream_is_broken() {
    // Regardless of the machine's speed, requests without a message cannot finish.
    let drained = drain_200(1, 256, 20).await;
    assert_eq!(drained.finished + drained.refused, 200);
    assert!(drained.refused >= 20, "{}", drained.report);
    let DrainResult {
        finished, refused, ..
    } = drained;
    let want = format!(
        "{finished} of 200 requests in flight finished, {refused} answered UNAVAILABLE, 0 cut off"
    );
    assert!(
        drained.report.ends_with(&want),
        "{want}: {}",
        drained.report
    );
}
