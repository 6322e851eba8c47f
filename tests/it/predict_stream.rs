//! Many requests on one call: answers in order, one answer or error per request, and a limit on the requests in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use prost::Message as _;
use serde_json::json;
use taper::api::Predictor;
use taper::api::grpc::{Admission, Predictions};
use taper::error::ForwardError;
use taper::model::{Batch, Model, Outputs};
use taper::proto::v1::predict_stream_response::Result as Became;
use taper::proto::v1::prediction_service_client::PredictionServiceClient;
use taper::proto::v1::prediction_service_server::PredictionServiceServer;
use taper::proto::v1::{PredictRequest, PredictStreamResponse};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::Service as _;
use tonic::transport::Endpoint;
use tonic::{Code, Status, Streaming};

use crate::admission::serve;
use crate::harness::{TestGateway, eventually, good, reason, rows, single_score};
use crate::pipeline::{OneVersionServer, one_version_server, slow_model, wait_for_start};
use crate::tiny;

async fn two_versions(toml: &str) -> TestGateway {
    TestGateway::start(toml, |root| {
        tiny::publish(root, "m", 1);
        tiny::publish(root, "m", 2);
    })
    .await
}

/// Opens a stream. Requests can be sent one by one.
async fn open(
    gateway: &mut TestGateway,
) -> (
    mpsc::Sender<PredictRequest>,
    Streaming<PredictStreamResponse>,
) {
    let (to, requests) = mpsc::channel(1);
    let answers = gateway.data.predict_stream(ReceiverStream::new(requests));
    (to, answers.await.expect("a stream").into_inner())
}

async fn next(answers: &mut Streaming<PredictStreamResponse>) -> PredictStreamResponse {
    answers.message().await.expect("no end").expect("an answer")
}

fn score(answer: &PredictStreamResponse) -> Result<f32, (i32, String)> {
    match answer.result.as_ref().expect("a result") {
        Became::Response(response) => Ok(single_score(response)),
        Became::Error(error) => Err((error.code, error.message.clone())),
    }
}

#[tokio::test]
async fn answers_arrive_in_order_and_an_error_affects_one_request_only() {
    let mut gateway = two_versions("").await;
    let asked = (0_u64..600).map(|at| match at % 3 {
        0 => PredictRequest {
            pin: Some(taper::proto::v1::predict_request::Pin::Version(1)),
            ..rows("m", [good()])
        },
        1 => rows("m", [json!({"x": 1e9, "color": "red", "pair": [0, 0]})]),
        _ => rows("m", [good()]),
    });
    let answers = gateway.data.predict_stream(tokio_stream::iter(asked)).await;
    let answers: Vec<_> = answers.expect("a stream").into_inner().collect().await;
    assert_eq!(answers.len(), 600);
    for (at, answer) in (0_u64..).zip(answers) {
        let answer = answer.expect("an answer");
        assert_eq!(answer.index, at);
        match (at % 3, score(&answer)) {
            (0, Ok(score)) => assert!((score - 1.0).abs() < f32::EPSILON),
            (1, Err((code, message))) => {
                assert_eq!(code, i32::from(Code::InvalidArgument));
                assert!(message.contains("rows[0].x"), "{message}");
                let Some(Became::Error(error)) = answer.result else {
                    panic!("an error")
                };
                let kinds: Vec<_> = error.details.iter().map(|any| &any.type_url).collect();
                assert!(
                    kinds
                        .iter()
                        .any(|kind| kind.ends_with("google.rpc.BadRequest")),
                    "{kinds:?}"
                );
            }
            (2, Ok(score)) => assert!((score - 2.0).abs() < f32::EPSILON, "`latest` has all"),
            (_, other) => panic!("request {at}: {other:?}"),
        }
    }
    gateway.drain().await;
}

#[tokio::test]
async fn an_open_stream_follows_a_change_of_policy() {
    let mut gateway = two_versions("").await;
    let (to, mut answers) = open(&mut gateway).await;
    to.send(rows("m", [good()])).await.expect("sent");
    assert_eq!(score(&next(&mut answers).await), Ok(2.0));
    let set = gateway.set_split("m", &[(1, 10_000)], 0).await;
    set.expect("a split");
    to.send(rows("m", [good()])).await.expect("sent");
    assert_eq!(score(&next(&mut answers).await), Ok(1.0));
    drop(to);
    assert!(answers.message().await.expect("no error").is_none());
    gateway.drain().await;
}

/// The gateway stops reading from a client that does not read its answers, and other clients are not affected.
#[tokio::test]
async fn a_slow_reader_is_throttled_and_gets_every_answer() {
    const MOST: u64 = 10_000;
    let gateway = two_versions("[limits]\nmax_in_flight = 64").await;
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let wide: [_; 16] = std::array::from_fn(|_| good());
    let request = rows("m", wide);
    let requests = tokio_stream::iter(0..MOST).map(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        request.clone()
    });
    // A small window limits how many answers the client's own transport buffers.
    let endpoint = Endpoint::from_shared(format!("http://{}", gateway.addresses().data));
    let endpoint = endpoint
        .expect("endpoint")
        .initial_stream_window_size(65_535);
    let slow = endpoint.connect().await.expect("connects");
    let mut slow = PredictionServiceClient::new(slow);
    let answers = slow.predict_stream(requests).await;
    let mut answers = answers.expect("a stream").into_inner();
    // Other clients are answered meanwhile, until the stream makes no progress.
    let mut before = u64::MAX;
    let mut others = gateway.data.clone();
    loop {
        for _ in 0..50 {
            let answer = others.predict(rows("m", [good()])).await;
            answer.expect("others are answered");
        }
        let now = sent.load(Ordering::Relaxed);
        if now == before {
            break;
        }
        before = now;
    }
    assert!(
        before < MOST / 2,
        "{before} requests were taken, and no answer"
    );
    let mut got = 0;
    while let Some(answer) = answers.message().await.expect("no error") {
        assert_eq!(answer.index, got);
        assert!(
            matches!(answer.result, Some(Became::Response(_))),
            "{answer:?}"
        );
        got += 1;
    }
    assert_eq!(got, MOST);
    gateway.drain().await;
}

#[tokio::test]
async fn streams_do_not_delay_a_drain_and_accepted_requests_are_answered() {
    let (model, begun, let_go) = slow_model();
    let (server, mut client) = serve(model, 8).await;
    let (to, requests) = mpsc::channel(1);
    let answers = client.predict_stream(ReceiverStream::new(requests));
    let mut answers = answers.await.expect("a stream").into_inner();
    to.send(rows("m", [good()])).await.expect("sent");
    wait_for_start(begun).await;
    // The permits of the stream and of the request on it.
    assert_eq!(server.admission.in_flight(), 2);
    server.admission.begin_drain();
    let_go.send(()).expect("sent");
    assert!(score(&next(&mut answers).await).is_ok());
    let end = answers.message().await.expect_err("the end");
    assert_eq!(end.code(), Code::Unavailable, "{end:?}");
    eventually("both permits are released", || async {
        (server.admission.in_flight() == 0).then_some(())
    })
    .await;
    drop(to);
}

#[tokio::test]
async fn an_idle_stream_ends_with_the_gateway() {
    let mut gateway = two_versions("").await;
    let (_to, mut answers) = open(&mut gateway).await;
    // Ends at once, although the harness allows a drain of ten minutes.
    gateway.drain().await;
    let end = answers.message().await.expect_err("the end");
    assert_eq!(end.code(), Code::Unavailable, "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_at_the_deadline_of_the_call() {
    let server = one_version_server(ZeroModel, 8);
    let (to, mut answers) = call_with_timeout(&server, Some("400m")).await;
    let begin = Instant::now();
    to.send(framed(&rows("m", [good()]))).await.expect("sent");
    let answer = answers.frame().await.expect("no end").expect("a frame");
    assert!(answer.is_data(), "{answer:?}");
    let status = end(&mut answers).await;
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert_eq!(begin.elapsed().as_millis(), 400);
    drop((to, answers));
    assert_eq!(server.admission.in_flight(), 0);
}

/// A stream holds one permit, and each request on it another.
#[tokio::test]
async fn a_full_gateway_refuses_each_request_of_a_stream_and_keeps_the_stream() {
    let mut gateway = two_versions("[limits]\nmax_in_flight = 1").await;
    let (to, mut answers) = open(&mut gateway).await;
    for _ in 0..3 {
        to.send(rows("m", [good()])).await.expect("sent");
        let (code, message) = score(&next(&mut answers).await).expect_err("no room");
        assert_eq!(code, i32::from(Code::ResourceExhausted));
        assert!(message.contains("requests in flight"), "{message}");
    }
    drop(to);
    assert!(answers.message().await.expect("no error").is_none());
    gateway.drain().await;
}

#[tokio::test]
async fn a_message_that_cannot_be_read_ends_the_stream_with_an_error() {
    let mut gateway = two_versions("[limits]\nmax_message_bytes = 4096").await;
    let (to, mut answers) = open(&mut gateway).await;
    to.send(rows("m", [good()])).await.expect("sent");
    assert_eq!(score(&next(&mut answers).await), Ok(2.0));
    let large = PredictRequest {
        routing_key: "k".repeat(5_000),
        ..rows("m", [good()])
    };
    to.send(large).await.expect("sent");
    let end = answers.message().await.expect_err("the end");
    assert_eq!(end.code(), Code::OutOfRange, "{end:?}");
    gateway.drain().await;
}

/// Calls `PredictStream` behind the admission control of `server` with messages that the test sends in pieces. There is no
/// transport, which would have time limits of its own.
async fn call_without_transport(server: &OneVersionServer) -> (mpsc::Sender<Bytes>, Body) {
    call_with_timeout(server, None).await
}

/// Calls `PredictStream` as [`call_without_transport`] does, with `timeout` as the `grpc-timeout` header.
async fn call_with_timeout(
    server: &OneVersionServer,
    timeout: Option<&str>,
) -> (mpsc::Sender<Bytes>, Body) {
    let predictor = Predictor::new(Arc::clone(&server.pipeline), Arc::clone(&server.admission));
    let service = PredictionServiceServer::new(Predictions::new(predictor));
    let (admission, telemetry) = (Arc::clone(&server.admission), Arc::clone(&server.telemetry));
    let mut service = Admission::new(service, admission, telemetry);
    let (to, pieces) = mpsc::channel(4);
    let pieces = ReceiverStream::new(pieces).map(|piece| Ok::<_, Status>(Frame::data(piece)));
    let mut request = http::Request::post("/taper.v1.PredictionService/PredictStream")
        .header("content-type", "application/grpc");
    if let Some(timeout) = timeout {
        request = request.header("grpc-timeout", timeout);
    }
    let request = request.body(Body::new(StreamBody::new(pieces)));
    let response = service.call(request.expect("a request")).await;
    (to, response.expect("infallible").into_body())
}

/// Returns a message as it is on the wire, after its length.
fn framed(request: &PredictRequest) -> Bytes {
    let message = request.encode_to_vec();
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    [&[0][..], &length, &message].concat().into()
}

/// Returns the final status of a call.
async fn end(body: &mut Body) -> Status {
    loop {
        let frame = body.frame().await.expect("no end").expect("a frame");
        if let Ok(trailers) = frame.into_trailers() {
            return Status::from_header_map(&trailers).expect("a status");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_within_a_message_loses_the_stream() {
    let server = one_version_server(ZeroModel, 8);
    let (to, mut answers) = call_without_transport(&server).await;
    let request = framed(&rows("m", [good()]));
    to.send(request.clone()).await.expect("sent");
    let answer = answers.frame().await.expect("no end").expect("a frame");
    assert!(answer.is_data(), "{answer:?}");
    // The stream is between two messages, so no time limit applies.
    assert!(
        timeout(Duration::from_secs(600), answers.frame())
            .await
            .is_err()
    );
    to.send(request.slice(..request.len() / 2))
        .await
        .expect("sent");
    let begin = Instant::now();
    let status = end(&mut answers).await;
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert_eq!(reason(&status), "MESSAGE_TOO_SLOW");
    assert_eq!(begin.elapsed().as_secs(), 30);
    drop((to, answers));
    assert_eq!(server.admission.in_flight(), 0);
}

/// The server holds at most 2,000 bytes: see `MAX_IN_FLIGHT_BYTES`.
#[tokio::test(start_paused = true)]
async fn streams_wait_while_the_byte_limit_is_reached_and_do_not_end() {
    let server = one_version_server(ZeroModel, 8);
    let (greedy, greedys) = call_without_transport(&server).await;
    let (to, mut answers) = call_without_transport(&server).await;
    let long = PredictRequest {
        response_id: "x".repeat(2_500),
        ..rows("m", [good()])
    };
    let half = framed(&long);
    let mut greedys = Box::pin(async move {
        let mut answers = greedys;
        end(&mut answers).await
    });
    greedy
        .send(half.slice(..half.len() - 1))
        .await
        .expect("sent");
    assert!((&mut greedys).now_or_never().is_none());
    to.send(framed(&rows("m", [good()]))).await.expect("sent");
    let waits = timeout(Duration::from_secs(1), answers.frame()).await;
    assert!(waits.is_err(), "{waits:?}");
    drop((greedy, greedys));
    let answer = answers.frame().await.expect("no end").expect("a frame");
    assert!(answer.is_data(), "{answer:?}");
}

#[tokio::test]
async fn streams_may_hold_half_of_the_permits() {
    let mut gateway = two_versions("[limits]\nmax_in_flight = 4").await;
    let first = open(&mut gateway).await;
    let _second = open(&mut gateway).await;
    let (_to, requests) = mpsc::channel::<PredictRequest>(1);
    let third = gateway
        .data
        .predict_stream(ReceiverStream::new(requests))
        .await;
    let third = third.expect_err("a third stream");
    assert_eq!(third.code(), Code::ResourceExhausted);
    assert!(third.message().contains("open streams"), "{third:?}");
    let answer = gateway.predict(rows("m", [good()])).await;
    answer.expect("unary requests have room");
    drop(first);
    eventually("its permit is released", || {
        let mut data = gateway.data.clone();
        async move {
            let (_to, requests) = mpsc::channel::<PredictRequest>(1);
            let stream = data.predict_stream(ReceiverStream::new(requests)).await;
            stream.is_ok().then_some(())
        }
    })
    .await;
    gateway.drain().await;
}

/// Returns 0 for every row.
struct ZeroModel;

impl Model for ZeroModel {
    fn cost_per_row(&self) -> usize {
        1
    }

    fn forward(&self, rows: &Batch) -> Result<Outputs, ForwardError> {
        Outputs::scores(vec![0.0; rows.len()], 1)
    }
}
