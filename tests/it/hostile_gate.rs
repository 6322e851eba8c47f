//! Clients that hold permits of admission control on purpose: answers that they do not read, and messages that they do not complete.
//! A client that behaves well is served meanwhile, over each protocol, and everything is released afterwards.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tonic::body::Body;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

use crate::harness::{TestGateway, connect, eventually, good, http_get, rows};
use crate::rest::post;
use crate::{oip, tfs, tiny};

mod compression;
mod frames;
mod memory;
mod resident;

/// Addresses from which the hostile clients connect. The good client connects from 127.0.0.1.
const ORIGINS: [&str; 2] = ["127.0.0.2", "127.0.0.1"];
/// A window in which no answer fits.
const CLOSED: u32 = 0;
/// A window in which every answer fits.
const OPEN: u32 = 1 << 20;
/// A time limit that passes in no test.
const NEVER: &str = "send_seconds = 3600\n";
const REST_PREDICT: &str = "/v2/models/m/predict";

type Sender = http2::SendRequest<Body>;

/// Starts a gateway with `[limits]` and one tiny model.
async fn limited(limits: &str) -> TestGateway {
    TestGateway::start(&format!("[limits]\n{limits}"), |root| {
        tiny::publish(root, "m", 1);
    })
    .await
}

async fn tcp(address: SocketAddr, origin: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    let origin = format!("{origin}:0").parse().expect("an address");
    socket.bind(origin).expect("binds");
    socket.connect(address).await.expect("connects")
}

/// Opens a connection of HTTP/2 from `origin` whose streams receive at most `window` bytes.
async fn connection(address: SocketAddr, origin: &str, window: u32) -> Sender {
    let io = TokioIo::new(tcp(address, origin).await);
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(window)
        .handshake(io)
        .await
        .expect("a connection");
    tokio::task::spawn(connection);
    sender
}

/// A call of each protocol over gRPC: its path and a message that is answered.
fn calls() -> [(&'static str, Vec<u8>); 3] {
    [
        (
            "/taper.v1.PredictionService/Predict",
            rows("m", [good()]).encode_to_vec(),
        ),
        (
            "/inference.GRPCInferenceService/ModelInfer",
            oip::typed(1).encode_to_vec(),
        ),
        (
            "/tensorflow.serving.PredictionService/Predict",
            tfs::two_rows().encode_to_vec(),
        ),
    ]
}

/// Rows of a message with a large answer.
const MANY_ROWS: usize = 4096;

/// A message of the Open Inference Protocol with [`MANY_ROWS`] rows.
fn many_rows() -> Vec<u8> {
    oip::typed(MANY_ROWS).encode_to_vec()
}

/// Returns `message` as a frame of gRPC.
fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    [&[0][..], &length, message].concat()
}

fn request(path: &str, headers: &[(&'static str, &str)], body: Body) -> Request<Body> {
    let mut request = Request::post(format!("http://gateway{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).expect("a request")
}

/// Returns a body that is `bytes` and never ends.
fn unfinished(bytes: Vec<u8>) -> Body {
    let begin = tokio_stream::once(Ok::<_, std::io::Error>(Bytes::from(bytes)));
    Body::new(axum::body::Body::from_stream(
        begin.chain(tokio_stream::pending()),
    ))
}

fn whole(bytes: Vec<u8>) -> Body {
    Body::new(http_body_util::Full::from(bytes))
}

/// Sends a call and waits until the gateway resets or answers it. Returns the answer's head, if there was one.
async fn finish(mut sender: Sender, request: Request<Body>) -> Option<Response<Incoming>> {
    sender.ready().await.ok()?;
    let mut response = sender.send_request(request).await.ok()?;
    while let Some(Ok(_)) = response.body_mut().frame().await {}
    Some(response)
}

/// Returns the value of a series; 0 if there is none.
async fn series(gateway: &TestGateway, name: &str) -> f64 {
    series_at(gateway.addresses().http, name).await
}

/// Like [`series`], of the gateway whose HTTP port has this address.
async fn series_at(address: SocketAddr, name: &str) -> f64 {
    let (_, text) = http_get(address, "/metrics").await;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().expect("a number"))
}

async fn until_series(gateway: &TestGateway, name: &str, is_reached: impl Fn(f64) -> bool) {
    eventually(name, || async {
        is_reached(series(gateway, name).await).then_some(())
    })
    .await;
}

/// Waits until nothing is in flight.
async fn until_idle(gateway: &TestGateway) {
    until_series(gateway, "taper_admitted_requests", |value| value == 0.0).await;
    until_series(gateway, "taper_admitted_bytes", |value| value == 0.0).await;
}

/// Predicts `count` times over the client of the harness, a few calls at a time. Every call must succeed.
async fn predict_well(gateway: &TestGateway, count: usize) {
    for _ in 0..count {
        let mut calls = JoinSet::new();
        for _ in 0..4 {
            let mut client = gateway.data.clone();
            calls.spawn(async move { client.predict(rows("m", [good()])).await });
        }
        while let Some(answer) = calls.join_next().await {
            answer.expect("no panic").expect("the good client's answer");
        }
    }
}

#[tokio::test]
async fn unread_answers_are_dropped_at_the_time_limit() {
    let gateway = limited("max_in_flight = 30\nsend_seconds = 1\n").await;
    let address = gateway.addresses().data;
    let mut hostile = JoinSet::new();
    for (path, message) in calls() {
        let sender = connection(address, "127.0.0.2", CLOSED).await;
        for _ in 0..8 {
            let request = request(path, &[], whole(frame(&message)));
            hostile.spawn(finish(sender.clone(), request));
        }
    }
    while let Some(ended) = hostile.join_next().await {
        assert!(ended.expect("no panic").is_some(), "the answer began");
    }
    let unread = r#"taper_unsent_answers_total{reason="unread"}"#;
    assert_eq!(series(&gateway, unread).await, 24.0);
    until_idle(&gateway).await;
    gateway.drain().await;
}

#[tokio::test]
async fn a_large_answer_of_which_a_byte_is_read_is_unread() {
    const CALLS: usize = 8;
    let limits = "[limits]\nsend_seconds = 1\n";
    let gateway = TestGateway::start(limits, |root| {
        tiny::publish_with(root, "m", 1, |manifest| {
            manifest["batching"] = serde_json::json!({"max_rows": MANY_ROWS});
        });
    })
    .await;
    let sender = connection(gateway.addresses().data, "127.0.0.2", 1).await;
    let (path, _) = calls()[1];
    let mut held = Vec::new();
    for _ in 0..CALLS {
        let mut sender = sender.clone();
        sender.ready().await.expect("a connection");
        let request = request(path, &[], whole(frame(&many_rows())));
        held.push(sender.send_request(request).await.expect("a head"));
    }
    let unread = r#"taper_unsent_answers_total{reason="unread"}"#;
    until_series(&gateway, unread, |unread| unread == 8.0).await;
    until_idle(&gateway).await;
    for response in held {
        let mut body = response.into_body();
        while let Some(Ok(_)) = body.frame().await {}
    }
    gateway.drain().await;
}

#[tokio::test]
async fn small_answers_of_which_a_byte_is_read_are_unread_above_the_share_of_a_connection() {
    const CALLS: usize = 300;
    /// Of two connections.
    const SHARE: usize = 128;
    let gateway = limited("max_in_flight = 400\nsend_seconds = 1\n").await;
    let sender = connection(gateway.addresses().data, "127.0.0.2", 1).await;
    let (path, message) = &calls()[0];
    let mut held = Vec::new();
    for _ in 0..CALLS {
        let mut sender = sender.clone();
        sender.ready().await.expect("a connection");
        let request = request(path, &[], whole(frame(message)));
        held.push(sender.send_request(request).await.expect("a head"));
    }
    let unread = r#"taper_unsent_answers_total{reason="unread"}"#;
    let above = f64::from(u32::try_from(CALLS - SHARE).expect("few"));
    until_series(&gateway, unread, |unread| unread == above).await;
    until_idle(&gateway).await;
    predict_well(&gateway, 10).await;
    drop(held);
    gateway.drain().await;
}

/// Calls without admission control: a path, a message, and whether the admin port serves it.
fn calls_without_admission() -> [(&'static str, Vec<u8>, bool); 4] {
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    [
        ("/taper.v1.AdminService/ListModels", Vec::new(), true),
        ("/grpc.health.v1.Health/Check", Vec::new(), false),
        ("/grpc.health.v1.Health/Watch", Vec::new(), false),
        (reflection, list.encode_to_vec(), false),
    ]
}

#[tokio::test]
async fn unread_answers_without_admission_control_are_dropped_at_the_time_limit() {
    let gateway = limited(
        "send_seconds = 1\nmax_admin_calls_per_connection = 1\nmax_health_calls_per_connection = 1\n\
         max_reflection_calls_per_connection = 1\n",
    )
    .await;
    let addresses = gateway.addresses();
    let mut quiet = HealthClient::new(connect(addresses.data).await)
        .watch(HealthCheckRequest::default())
        .await
        .expect("watches")
        .into_inner();
    quiet.message().await.expect("no end").expect("a status");
    let unread = r#"taper_unsent_answers_total{reason="unread"}"#;
    let mut dropped = 0.0;
    for (path, message, is_admin) in calls_without_admission() {
        let address = if is_admin {
            addresses.admin
        } else {
            addresses.data
        };
        let sender = &connection(address, "127.0.0.2", CLOSED).await;
        // The second call gets the permit of the first, also if the first one's client has more to send.
        for _ in 0..2 {
            let message = &message;
            eventually(path, || async move {
                let frame = frame(message);
                let body = if path.contains("Reflection") {
                    unfinished(frame)
                } else {
                    whole(frame)
                };
                let response = finish(sender.clone(), request(path, &[], body)).await;
                let head = response.expect("the answer began");
                // The permit is given back soon after the reset.
                (!head.headers().contains_key("grpc-status")).then_some(())
            })
            .await;
            dropped += 1.0;
            until_series(&gateway, unread, |unread| unread == dropped).await;
        }
    }
    // A client that has read everything may wait as long as it likes.
    let drained = tokio::task::spawn(gateway.drain());
    quiet.message().await.expect("no end").expect("a status");
    drop(quiet);
    drained.await.expect("no panic");
}

#[tokio::test]
async fn an_unread_answer_is_dropped_at_the_deadline_of_its_call() {
    let gateway = limited(NEVER).await;
    let sender = connection(gateway.addresses().data, "127.0.0.2", CLOSED).await;
    let mut hostile = JoinSet::new();
    for (path, message) in calls() {
        let timeout = [("grpc-timeout", "2S")];
        let request = request(path, &timeout, whole(frame(&message)));
        hostile.spawn(finish(sender.clone(), request));
    }
    // On a machine that stalls, a call may pass its deadline before it is answered.
    let mut late = 0.0;
    while let Some(ended) = hostile.join_next().await {
        let response = ended.expect("no panic").expect("a head");
        late += f64::from(u8::from(response.headers().contains_key("grpc-status")));
    }
    let dropped = r#"taper_unsent_answers_total{reason="deadline"}"#;
    assert_eq!(series(&gateway, dropped).await + late, 3.0);
    until_idle(&gateway).await;
    gateway.drain().await;
}

#[tokio::test]
async fn an_unread_answer_over_http_ends_its_connection() {
    let gateway = limited("max_in_flight = 1\nsend_seconds = 1\n").await;
    let mut socket = tcp(gateway.addresses().http, "127.0.0.2").await;
    let body = serde_json::json!({"rows": vec![good(); 64]}).to_string();
    let length = body.len();
    let head =
        format!("POST {REST_PREDICT} HTTP/1.1\r\nhost: m\r\ncontent-length: {length}\r\n\r\n");
    let one = format!("{head}{body}");
    // Reads nothing and sends until the gateway closes the connection, which it does once the buffers of both sides are full.
    let flood = async {
        for _ in 0..1_000_000 {
            if socket.write_all(one.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    crate::harness::ends("the flood", flood).await;
    let unread = r#"taper_unsent_answers_total{reason="unread"}"#;
    assert_eq!(series(&gateway, unread).await, 1.0);
    until_idle(&gateway).await;
    let answer = post(
        &gateway,
        REST_PREDICT,
        &serde_json::json!({"rows": [good()]}),
    )
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    gateway.drain().await;
}

/// Lets five connections from `origin` hold all permits by calls with these bodies, and checks that a good client is not affected.
async fn attack(limits: &str, origin: &str, window: u32, body: impl Fn(&[u8]) -> Body) {
    const CONNECTIONS: usize = 5;
    const CALLS: usize = 40;
    let gateway = limited(limits).await;
    let address = gateway.addresses().data;
    let mut hostile = JoinSet::new();
    for at in 0..CONNECTIONS {
        let sender = connection(address, origin, window).await;
        let (path, message) = &calls()[at % 3];
        for _ in 0..CALLS {
            let request = request(path, &[], body(message));
            hostile.spawn(finish(sender.clone(), request));
        }
    }
    let refused = r#"taper_rejected_requests_total{reason="OVERLOADED"}"#;
    until_series(&gateway, refused, |refused| refused > 0.0).await;
    predict_well(&gateway, 50).await;
    hostile.shutdown().await;
    until_idle(&gateway).await;
    predict_well(&gateway, 1).await;
    gateway.drain().await;
}

#[tokio::test]
async fn half_messages_do_not_keep_permits_from_other_connections() {
    for origin in ORIGINS {
        let limits = "max_in_flight = 64\n";
        attack(limits, origin, OPEN, |message| {
            let mut half = frame(message);
            half.pop();
            unfinished(half)
        })
        .await;
    }
}

#[tokio::test]
async fn unread_answers_do_not_keep_permits_from_other_connections() {
    for origin in ORIGINS {
        let limits = format!("max_in_flight = 64\n{NEVER}");
        attack(&limits, origin, CLOSED, |message| whole(frame(message))).await;
    }
}

#[tokio::test]
async fn half_messages_do_not_keep_bytes_from_other_connections() {
    for origin in ORIGINS {
        let limits = "max_message_bytes = 50_000\nmax_in_flight_bytes = 400_000\n";
        attack(limits, origin, OPEN, |_| {
            let mut half = frame(&[0; 40_000]);
            half.pop();
            unfinished(half)
        })
        .await;
    }
}

#[tokio::test]
async fn half_bodies_over_http_do_not_keep_permits_from_other_addresses() {
    let gateway = limited("max_in_flight = 16\n").await;
    let body = serde_json::json!({"rows": [good()]});
    let length = body.to_string().len();
    let head =
        format!("POST {REST_PREDICT} HTTP/1.1\r\nhost: m\r\ncontent-length: {length}\r\n\r\n{{");
    let mut hostile = Vec::new();
    for _ in 0..16 {
        let mut socket = tcp(gateway.addresses().http, "127.0.0.2").await;
        socket.write_all(head.as_bytes()).await.expect("written");
        hostile.push(socket);
    }
    until_series(&gateway, "taper_admitted_requests", |held| held == 16.0).await;
    for _ in 0..10 {
        let answer = post(&gateway, REST_PREDICT, &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    predict_well(&gateway, 5).await;
    // The oldest one was ended, and its client can see why.
    let mut begin = [0; 12];
    let mut oldest = hostile.swap_remove(0);
    oldest.read_exact(&mut begin).await.expect("an answer");
    assert_eq!(&begin, b"HTTP/1.1 429");
    drop((hostile, oldest));
    until_idle(&gateway).await;
    gateway.drain().await;
}

#[tokio::test]
async fn calls_that_arrive_together_are_all_answered() {
    // Many more than a connection answers before other tasks run.
    const CALLS: usize = 500;
    let gateway = limited("").await;
    for (path, body) in calls() {
        let sender = connection(gateway.addresses().data, "127.0.0.1", OPEN).await;
        let mut open = JoinSet::new();
        for _ in 0..CALLS {
            let (mut sender, request) = (sender.clone(), request(path, &[], whole(frame(&body))));
            open.spawn(async move {
                let response = sender.send_request(request).await.expect("a response");
                let body = response.into_body().collect().await.expect("a body");
                body.trailers()
                    .and_then(|map| map.get("grpc-status").cloned())
            });
        }
        let statuses = open.join_all().await;
        assert_eq!(statuses.len(), CALLS);
        for status in statuses {
            assert_eq!(status.expect("a status"), "0", "{path}");
        }
    }
    until_idle(&gateway).await;
    gateway.drain().await;
}

#[tokio::test]
async fn a_single_client_may_hold_every_permit() {
    let gateway = limited("max_in_flight = 16\n").await;
    let sender = connection(gateway.addresses().data, "127.0.0.1", OPEN).await;
    let (path, message) = &calls()[0];
    let mut half = frame(message);
    half.pop();
    let mut calls = JoinSet::new();
    for _ in 0..16 {
        let request = request(path, &[], unfinished(half.clone()));
        calls.spawn(finish(sender.clone(), request));
    }
    until_series(&gateway, "taper_admitted_requests", |held| held == 16.0).await;
    calls.shutdown().await;
    until_idle(&gateway).await;
    gateway.drain().await;
}

#[tokio::test]
async fn an_evicted_call_gets_a_clear_error() {
    let gateway = limited("max_in_flight = 4\n").await;
    let sender = connection(gateway.addresses().data, "127.0.0.2", OPEN).await;
    let mut ended = JoinSet::new();
    for _ in 0..2 {
        for (path, message) in calls() {
            let mut half = frame(&message);
            half.pop();
            ended.spawn(finish(sender.clone(), request(path, &[], unfinished(half))));
        }
    }
    // Two are refused at once, since the others hold all permits.
    for _ in 0..2 {
        check_refusal(ended.join_next().await);
    }
    let mut client = gateway.data.clone();
    client
        .predict(rows("m", [good()]))
        .await
        .expect("another connection's answer");
    check_refusal(ended.join_next().await);
    ended.shutdown().await;
    until_idle(&gateway).await;
    gateway.drain().await;
}

/// Checks the status of a call that was refused or evicted.
fn check_refusal(ended: Option<Result<Option<Response<Incoming>>, tokio::task::JoinError>>) {
    let response = ended.expect("a call").expect("no panic").expect("a head");
    let status = tonic::Status::from_header_map(response.headers()).expect("a status");
    let is_clear = matches!(
        status.code(),
        tonic::Code::ResourceExhausted | tonic::Code::Unavailable
    );
    assert!(
        is_clear && status.message().contains("retry later"),
        "{status:?}"
    );
    assert!(tonic_types::StatusExt::get_details_retry_info(&status).is_some());
}
