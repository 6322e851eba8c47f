//! Clients that hold connections, streams and calls without using them: they are disconnected in time, and others are served meanwhile.

use std::net::SocketAddr;

use taper::proto::inference::ServerMetadataRequest;
use taper::proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use taper::proto::v1;
use taper::proto::v1::admin_service_client::AdminServiceClient;
use taper::proto::v1::prediction_service_client::PredictionServiceClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use crate::harness::{PAUSE, TestGateway, connect, ends, eventually, good, reason, rows};
use crate::tiny;

/// Types of HTTP/2 frames: RFC 9113, section 6.
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
/// The flag that acknowledges the settings of the other side.
const ACK: u8 = 1;

async fn limited(limits: &str) -> TestGateway {
    TestGateway::start(&format!("[limits]\n{limits}"), |root| {
        tiny::publish(root, "m", 1);
    })
    .await
}

/// Returns the value of a series without waiting; 0 if it is missing.
async fn metric(gateway: &TestGateway, series: &str) -> u64 {
    let (_, text) = gateway.http_get("/metrics").await;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.map_or(0, |value| value.parse().expect("a number"))
}

/// Waits until the gateway has closed at least `many` connections for `reason`.
async fn closed(gateway: &TestGateway, reason: &str, many: u64) {
    let series = format!(r#"taper_closed_connections_total{{reason="{reason}"}}"#);
    let series = &*series;
    eventually(&format!("{many} of {series}"), || async move {
        (metric(gateway, series).await >= many).then_some(())
    })
    .await;
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// The beginning of every HTTP/2 connection.
pub fn preface() -> Vec<u8> {
    let settings = [frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, ACK, 0, &[])].concat();
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &*settings].concat()
}

/// A request whose header block does not end: `:method POST` without the flag END_HEADERS.
pub fn unfinished_headers() -> Vec<u8> {
    [preface(), frame(HEADERS, 0, 1, &[0x83])].concat()
}

/// Connects and sends `bytes`.
async fn sends(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.expect("connects");
    socket.write_all(bytes).await.expect("written");
    socket
}

/// Reads until the gateway closes the connection.
async fn read_to_end(socket: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut received = Vec::new();
    let read = async {
        // With or without a reset.
        let _ = socket.read_to_end(&mut received).await;
    };
    ends("the gateway closes the connection", read).await;
    received
}

/// Returns the types of the frames in `bytes`.
fn kinds(mut bytes: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let [a, b, c, kind, ..] = bytes {
        let length = u32::from_be_bytes([0, *a, *b, *c]);
        kinds.push(*kind);
        let end = 9 + usize::try_from(length).expect("short");
        bytes = bytes.get(end..).unwrap_or_default();
    }
    kinds
}

/// What clients send that then go silent: to the gRPC ports and to the HTTP port.
fn beginnings() -> [(Vec<u8>, &'static [u8]); 3] {
    [
        (Vec::new(), b""),
        (preface(), b"GET /healthz HTTP/1.1\r\nhost: m\r\n\r\n"),
        (unfinished_headers(), b"GET /healthz HTT"),
    ]
}

#[tokio::test]
async fn idle_connections_make_room_for_new_ones_on_every_port() {
    let gateway = limited("max_connections = 3").await;
    let addresses = gateway.addresses();
    let mut idle = Vec::new();
    for _ in 0..4 {
        for (grpc, http) in beginnings() {
            idle.push(sends(addresses.data, &grpc).await);
            idle.push(sends(addresses.admin, &grpc).await);
            idle.push(sends(addresses.http, http).await);
        }
    }
    assert_eq!(gateway.http_get("/readyz").await.0, "HTTP/1.1 200 OK");
    let mut data = PredictionServiceClient::new(connect(addresses.data).await);
    data.predict(rows("m", [good()]))
        .await
        .expect("a prediction");
    let mut admin = AdminServiceClient::new(connect(addresses.admin).await);
    let models = admin.list_models(v1::ListModelsRequest::default()).await;
    assert_eq!(models.expect("the models").into_inner().models.len(), 1);
    // Of each port, the oldest ones were closed.
    for socket in &mut idle[..9] {
        read_to_end(socket).await;
    }
    closed(&gateway, "make_room", 3 * 9).await;
    assert_eq!(metric(&gateway, "taper_refused_connections_total").await, 0);
    gateway.drain().await;
}

#[tokio::test]
async fn connections_with_half_messages_make_room_for_probes_and_clients() {
    let gateway = limited("max_connections = 4").await;
    let addresses = gateway.addresses();
    let predict = "POST /v2/models/m/infer HTTP/1.1\r\nhost: m\r\ncontent-length: 99\r\n\r\n{";
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(sends(addresses.http, predict.as_bytes()).await);
        // `:method POST`, `:scheme http`, `:path /`, and no end of the stream.
        let half = [preface(), frame(HEADERS, 4, 1, &[0x83, 0x86, 0x84])].concat();
        held.push(sends(addresses.data, &half).await);
    }
    eventually("a probe", || async {
        let probe = "GET /readyz HTTP/1.1\r\nhost: m\r\nconnection: close\r\n\r\n";
        let mut socket = TcpStream::connect(addresses.http).await.ok()?;
        socket.write_all(probe.as_bytes()).await.ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.ok()?;
        answer.starts_with("HTTP/1.1 200").then_some(())
    })
    .await;
    eventually("a client", || async {
        let mut client = PredictionServiceClient::connect(format!("http://{}", addresses.data))
            .await
            .ok()?;
        client.predict(rows("m", [good()])).await.ok()
    })
    .await;
    drop(held);
    gateway.drain().await;
}

#[tokio::test]
async fn a_client_whose_connection_made_room_connects_again() {
    let mut gateway = limited("max_connections = 2").await;
    let request = || rows("m", [good()]);
    gateway.predict(request()).await.expect("a prediction");
    let mut idle = Vec::new();
    for _ in 0..4 {
        idle.push(sends(gateway.addresses().data, &preface()).await);
    }
    closed(&gateway, "make_room", 3).await;
    let data = gateway.data.clone();
    eventually("the next request", || {
        let mut data = data.clone();
        async move { data.predict(request()).await.ok() }
    })
    .await;
    gateway.drain().await;
}

#[tokio::test]
async fn idle_connections_are_closed_whatever_they_began_with() {
    let mut gateway = limited("max_connection_idle_seconds = 1").await;
    let addresses = gateway.addresses();
    for (grpc, http) in beginnings() {
        let mut sockets = [
            sends(addresses.data, &grpc).await,
            sends(addresses.admin, &grpc).await,
            sends(addresses.http, http).await,
        ];
        let [data, admin, http] = &mut sockets;
        for socket in [data, admin] {
            let kinds = kinds(&read_to_end(socket).await);
            assert_eq!(kinds.contains(&GOAWAY), !grpc.is_empty(), "{kinds:?}");
        }
        read_to_end(http).await;
    }
    // The connections of the harness were idle, too.
    closed(&gateway, "idle", 3 * 3 + 2).await;
    gateway
        .predict(rows("m", [good()]))
        .await
        .expect("the client has connected again");
    gateway.drain().await;
}

#[tokio::test]
async fn unfinished_frames_end_their_connections_after_half_a_minute() {
    const EACH: usize = 100;
    let mut gateway = limited("").await;
    let addresses = gateway.addresses();
    let half_frame = [preface(), frame(PING, 0, 0, &[7; 8])].concat();
    let beginnings = [
        unfinished_headers(),
        [
            preface(),
            frame(HEADERS, 0, 1, &[0x83]),
            frame(CONTINUATION, 0, 1, &[]),
        ]
        .concat(),
        half_frame[..half_frame.len() - 1].to_vec(),
    ];
    let mut held = Vec::new();
    for address in [addresses.data, addresses.admin] {
        for begin in &beginnings {
            for _ in 0..EACH {
                held.push(sends(address, begin).await);
            }
        }
    }
    let many = u64::try_from(held.len()).expect("few");
    gateway
        .predict(rows("m", [good()]))
        .await
        .expect("a prediction");
    closed(&gateway, "unfinished", many).await;
    for socket in &mut held {
        read_to_end(socket).await;
    }
    // The connections of the harness are as old and stay open.
    assert_eq!(
        metric(
            &gateway,
            r#"taper_closed_connections_total{reason="unfinished"}"#
        )
        .await,
        many
    );
    gateway
        .predict(rows("m", [good()]))
        .await
        .expect("a prediction on the same connection");
    gateway.drain().await;
}

#[tokio::test]
async fn a_connection_that_sends_only_pings_is_idle() {
    let gateway = limited("max_connection_idle_seconds = 1").await;
    for address in [gateway.addresses().data, gateway.addresses().admin] {
        let (mut reads, mut writes) = sends(address, &preface()).await.into_split();
        let pings = tokio::task::spawn(async move {
            let ping = frame(PING, 0, 0, &[7; 8]);
            while writes.write_all(&ping).await.is_ok() {
                tokio::time::sleep(PAUSE).await;
            }
        });
        let kinds = kinds(&read_to_end(&mut reads).await);
        assert!(
            kinds.contains(&PING) && kinds.contains(&GOAWAY),
            "{kinds:?}"
        );
        ends("the pings fail", pings).await.expect("no panic");
    }
    gateway.drain().await;
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_disconnected() {
    let mut gateway = limited("ping_seconds = 1").await;
    let addresses = gateway.addresses();
    let (to, mut answers) = open_stream(&mut gateway).await;
    for address in [addresses.data, addresses.admin] {
        let mut socket = sends(address, &preface()).await;
        let kinds = kinds(&read_to_end(&mut socket).await);
        assert!(
            kinds.contains(&PING) && kinds.contains(&GOAWAY),
            "{kinds:?}"
        );
    }
    closed(&gateway, "unresponsive", 2).await;
    // The clients of the harness answer.
    to.send(rows("m", [good()])).await.expect("sent");
    answers.message().await.expect("no end").expect("an answer");
    drop((to, answers));
    assert_eq!(
        metric(
            &gateway,
            r#"taper_closed_connections_total{reason="unresponsive"}"#
        )
        .await,
        2
    );
    gateway.drain().await;
}

/// Opens a stream. Requests can be sent one by one.
async fn open_stream(
    gateway: &mut TestGateway,
) -> (
    mpsc::Sender<v1::PredictRequest>,
    Streaming<v1::PredictStreamResponse>,
) {
    let (to, requests) = mpsc::channel(1);
    let answers = gateway.data.predict_stream(ReceiverStream::new(requests));
    (to, answers.await.expect("a stream").into_inner())
}

#[tokio::test]
async fn a_connection_with_an_open_stream_is_not_idle() {
    let mut gateway = limited("max_connection_idle_seconds = 1").await;
    let (to, mut answers) = open_stream(&mut gateway).await;
    let mut idle = sends(gateway.addresses().data, &preface()).await;
    read_to_end(&mut idle).await;
    to.send(rows("m", [good()])).await.expect("sent");
    answers.message().await.expect("no end").expect("an answer");
    drop((to, answers));
    // The stream has ended, so the connection is idle from now on.
    closed(&gateway, "idle", 3).await;
    gateway.drain().await;
}

/// Whether the gateway did not process the request, so that the client may send it again: the connection began to close.
fn may_be_repeated(status: &Status) -> bool {
    let text = format!("{status:?}");
    ["hyper::Error(Canceled,", "GoAway(b\"\", NO_ERROR, Remote)"]
        .iter()
        .any(|way| text.contains(way))
}

#[tokio::test]
async fn old_connections_take_no_new_requests_and_finish_their_streams() {
    let mut gateway = limited("max_connection_age_seconds = 1").await;
    let (to, mut answers) = open_stream(&mut gateway).await;
    let mut aged = 0;
    while aged < 4 {
        if let Err(status) = gateway.predict(rows("m", [good()])).await {
            assert!(may_be_repeated(&status), "{status:?}");
        }
        let series = r#"taper_closed_connections_total{reason="age"}"#;
        aged = metric(&gateway, series).await;
    }
    to.send(rows("m", [good()])).await.expect("sent");
    let answer = answers.message().await.expect("the stream goes on");
    assert_eq!(answer.expect("an answer").index, 0);
    drop(to);
    assert!(answers.message().await.expect("no error").is_none());
    gateway.drain().await;
}

#[tokio::test]
async fn streams_that_do_not_finish_in_the_grace_period_are_cut() {
    let limits = "max_connection_age_seconds = 1\nconnection_age_grace_seconds = 0";
    let mut gateway = limited(limits).await;
    let (_to, mut answers) = open_stream(&mut gateway).await;
    let ended = ends("the connection is cut", answers.message()).await;
    ended.expect_err("the stream was open");
    closed(&gateway, "age_grace", 1).await;
    gateway.drain().await;
}

#[tokio::test]
async fn a_stream_without_messages_ends_with_a_clear_status() {
    let mut gateway = limited("max_stream_idle_seconds = 1").await;
    let (to, mut answers) = open_stream(&mut gateway).await;
    to.send(rows("m", [good()])).await.expect("sent");
    answers.message().await.expect("no end").expect("an answer");
    let ended = ends("the stream ends", answers.message()).await;
    let status = ended.expect_err("no message arrived");
    assert_eq!(
        (status.code(), &*reason(&status)),
        (Code::DeadlineExceeded, "STREAM_IDLE")
    );
    assert!(
        status.message().contains("max_stream_idle_seconds"),
        "{status:?}"
    );
    let series = r#"taper_rejected_requests_total{reason="STREAM_IDLE"}"#;
    assert_eq!(metric(&gateway, series).await, 1);
    let (to, mut answers) = open_stream(&mut gateway).await;
    to.send(rows("m", [good()])).await.expect("sent");
    answers.message().await.expect("a new stream is served");
    gateway.drain().await;
}

/// A reflection call that asks nothing. It ends when it is dropped.
struct Reflection {
    _requests: mpsc::Sender<ServerReflectionRequest>,
    answers: Streaming<ServerReflectionResponse>,
}

async fn reflect(channel: &Channel) -> Result<Reflection, Status> {
    let mut client = ServerReflectionClient::new(channel.clone());
    let (to, requests) = mpsc::channel(1);
    let answers = client.server_reflection_info(ReceiverStream::new(requests));
    Ok(Reflection {
        _requests: to,
        answers: answers.await?.into_inner(),
    })
}

#[tokio::test]
async fn silent_calls_of_reflection_and_uploads_end_with_a_clear_status() {
    let mut gateway = limited("").await;
    let channel = connect(gateway.addresses().data).await;
    let mut reflection = reflect(&channel).await.expect("a call");
    let (to, messages) = mpsc::channel(1);
    let header = v1::UploadHeader {
        model: "m".into(),
        version: 2,
        ..Default::default()
    };
    let part = Some(v1::upload_version_request::Part::Header(header));
    to.send(v1::UploadVersionRequest { part })
        .await
        .expect("queued");
    let upload = gateway.admin.upload_version(ReceiverStream::new(messages));
    let (reflected, uploaded) = tokio::join!(
        ends("reflection", reflection.answers.message()),
        ends("the upload", upload)
    );
    let statuses = [
        reflected.expect_err("it sent nothing"),
        uploaded.expect_err("it sent no file"),
    ];
    for status in statuses {
        let found = (status.code(), &*reason(&status));
        assert_eq!(
            found,
            (Code::DeadlineExceeded, "MESSAGE_TOO_SLOW"),
            "{status:?}"
        );
    }
    drop(to);
    gateway.drain().await;
}

fn is_too_many(status: &Status, setting: &str) -> bool {
    status.code() == Code::ResourceExhausted
        && reason(status) == "TOO_MANY_CALLS"
        && status.message().contains(&format!("({setting})"))
}

#[tokio::test]
async fn reflection_calls_are_limited_per_connection_and_in_total_on_both_ports() {
    let limits = "max_reflection_calls = 3\nmax_reflection_calls_per_connection = 2";
    let gateway = limited(limits).await;
    let one = connect(gateway.addresses().data).await;
    let other = connect(gateway.addresses().admin).await;
    let first = reflect(&one).await.expect("the first");
    let _second = reflect(&one).await.expect("the second");
    let refused = reflect(&one).await.err().expect("too many of it");
    let setting = "limits.max_reflection_calls_per_connection";
    assert!(is_too_many(&refused, setting), "{refused:?}");
    let _third = reflect(&other).await.expect("another connection");
    let refused = reflect(&other).await.err().expect("too many in total");
    let setting = "limits.max_reflection_calls";
    assert!(is_too_many(&refused, setting), "{refused:?}");
    for (scope, want) in [("connection", 1), ("gateway", 1)] {
        let labels = format!(r#"{{service="reflection",scope="{scope}"}}"#);
        let series = format!("taper_refused_calls_total{labels}");
        assert_eq!(metric(&gateway, &series).await, want, "{series}");
    }
    drop(first);
    eventually("a free call", || async { reflect(&other).await.ok() }).await;
    gateway.drain().await;
}

#[tokio::test]
async fn health_checks_work_while_others_hold_all_health_calls() {
    let limits = "max_health_calls = 1\nmax_health_calls_per_connection = 3";
    let gateway = limited(limits).await;
    let request = HealthCheckRequest::default;
    let mut hostile = HealthClient::new(connect(gateway.addresses().data).await);
    let mut watched = Vec::new();
    for _ in 0..2 {
        watched.push(hostile.watch(request()).await.expect("watches"));
    }
    let refused = hostile.watch(request()).await.expect_err("one too many");
    assert!(
        is_too_many(&refused, "limits.max_health_calls"),
        "{refused:?}"
    );
    let mut probe = HealthClient::new(connect(gateway.addresses().data).await);
    watched.push(probe.watch(request()).await.expect("its first call"));
    probe.check(request()).await.expect("its second call");
    probe.check(request()).await.expect("and the next one");
    gateway.drain().await;
}

#[tokio::test]
async fn calls_of_the_admin_port_are_limited_together() {
    let mut gateway = limited("max_admin_calls_per_connection = 1").await;
    let address = gateway.addresses().admin;
    let watched = gateway.admin.watch(v1::WatchRequest::default()).await;
    let _watched = watched.expect("watches");
    let models = v1::ListModelsRequest::default;
    let refused = gateway.admin.list_models(models()).await;
    let refused = refused.expect_err("one too many");
    let setting = "limits.max_admin_calls_per_connection";
    assert!(is_too_many(&refused, setting), "{refused:?}");
    let mut other = GrpcInferenceServiceClient::new(connect(address).await);
    let described = other.server_metadata(ServerMetadataRequest {}).await;
    described.expect("another connection");
    gateway.drain().await;
}
