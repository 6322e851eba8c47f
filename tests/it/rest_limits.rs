//! Limits of REST: bytes, permits, time limits, and the drain of the gateway.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use taper::api::http::{HttpState, router};
use taper::api::{Catalog, Lifecycle, Predictor};
use taper::control::View;
use taper::insight::outcomes::{OutcomeSettings, Outcomes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tower::ServiceExt;

use crate::harness::{TestGateway, eventually, good, http_get};
use crate::pipeline::{
    FaultyModel, OneVersionServer, one_version_server, slow_model, wait_for_start,
};
use crate::rest::{call, post, reply, tensors};
use crate::tiny;

const PREDICT: &str = "/v2/models/m/predict";

fn good_body() -> Value {
    json!({"rows": [good()]})
}

async fn limited(limits: &str) -> TestGateway {
    TestGateway::start(&format!("[limits]\n{limits}"), |root| {
        tiny::publish(root, "m", 1)
    })
    .await
}

/// Opens a connection and sends a request without the last byte of its body.
async fn begun(gateway: &TestGateway) -> TcpStream {
    let mut socket = TcpStream::connect(gateway.addresses().http)
        .await
        .expect("connects");
    let body = good_body().to_string();
    let length = body.len();
    let head = format!("POST {PREDICT} HTTP/1.1\r\nhost: m\r\ncontent-length: {length}\r\n\r\n");
    socket.write_all(head.as_bytes()).await.expect("written");
    socket
        .write_all(&body.as_bytes()[..length - 1])
        .await
        .expect("written");
    socket
}

#[tokio::test]
async fn bodies_beyond_the_limit_are_refused_regardless_of_their_declared_length() {
    let gateway = limited("max_message_bytes = 2000\nmax_in_flight_bytes = 2000").await;
    let address = gateway.addresses().http;
    let large = json!({"rows": [good()], "routing_key": "k".repeat(3000)}).to_string();
    let said = call(address, "POST", PREDICT, &[], large.as_bytes()).await;
    let chunked = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    let coding = [("transfer-encoding", "chunked")];
    let unsaid = call(address, "POST", PREDICT, &coding, chunked.as_bytes()).await;
    for refused in [said, unsaid] {
        let is = (refused.status, &*refused.reason());
        assert!(
            is == (413, "MESSAGE_TOO_LARGE") || is == (429, "OVERLOADED"),
            "{refused:?}"
        );
    }
    // The bytes were released.
    let body = good_body().to_string();
    let chunks: String = body.chars().map(|c| format!("1\r\n{c}\r\n")).collect();
    let small = call(
        address,
        "POST",
        PREDICT,
        &coding,
        format!("{chunks}0\r\n\r\n").as_bytes(),
    )
    .await;
    assert_eq!(small.status, 200, "{small:?}");
    let (_, text) = gateway.http_get("/metrics").await;
    let line = r#"taper_rejected_requests_total{reason="MESSAGE_TOO_LARGE"} 1"#;
    assert!(text.lines().any(|have| have == line), "{text}");
    gateway.drain().await;
}

#[tokio::test]
async fn a_client_that_expects_100_continue_is_refused_before_it_sends_the_body() {
    let gateway = limited("max_message_bytes = 2000").await;
    let mut socket = TcpStream::connect(gateway.addresses().http)
        .await
        .expect("connects");
    let head = format!(
        "POST {PREDICT} HTTP/1.1\r\nhost: m\r\ncontent-length: 3000\r\nexpect: 100-continue\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.expect("written");
    let refused = reply(&mut socket).await;
    assert_eq!(
        (refused.status, &*refused.reason()),
        (413, "MESSAGE_TOO_LARGE")
    );
    gateway.drain().await;
}

#[tokio::test]
async fn unknown_compression_is_refused_by_name_and_other_types_are_read() {
    let gateway = limited("").await;
    let address = gateway.addresses().http;
    let body = good_body().to_string();
    let header = [("content-encoding", "br")];
    let refused = call(address, "POST", PREDICT, &header, body.as_bytes()).await;
    assert_eq!(
        (refused.status, refused.fields()),
        (415, vec!["content-encoding".to_owned()])
    );
    let headers = [("content-encoding", "identity"), ("content-encoding", "br")];
    for headers in [
        &headers[..],
        &[("content-encoding", "Identity, br")],
        &[("content-encoding", "gzip, br")],
    ] {
        let refused = call(address, "POST", PREDICT, headers, body.as_bytes()).await;
        assert_eq!(refused.status, 415, "{headers:?}: {refused:?}");
        let response = refused.json()["fields"].to_string();
        assert!(response.contains(r#""got":"br""#), "{response}");
    }
    for header in [
        ("content-encoding", "identity"),
        ("content-encoding", "Identity"),
        ("content-type", "application/x-www-form-urlencoded"),
    ] {
        let read = call(address, "POST", PREDICT, &[header], body.as_bytes()).await;
        assert_eq!(read.status, 200, "{header:?}: {read:?}");
    }
    gateway.drain().await;
}

#[tokio::test]
async fn a_full_gateway_sends_a_retry_delay_and_still_answers_other_routes() {
    let gateway = limited("max_in_flight = 1").await;
    let mut first = begun(&gateway).await;
    let refused = eventually("the first has its permit", || async {
        let reply = post(&gateway, PREDICT, &good_body()).await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    assert_eq!((refused.status, &*refused.reason()), (429, "OVERLOADED"));
    assert_eq!(refused.headers["retry-after"], "1");
    for path in ["/metrics", "/readyz", "/v2/models/m", "/openapi.json"] {
        assert_eq!(gateway.http_get(path).await.0, "HTTP/1.1 200 OK", "{path}");
    }
    first.write_all(b"}").await.expect("written");
    let mut begin = [0; 15];
    first.read_exact(&mut begin).await.expect("answered");
    assert_eq!(&begin, b"HTTP/1.1 200 OK");
    // The connection stays open, and the permit is released nevertheless.
    eventually("the permit is released", || async {
        (post(&gateway, PREDICT, &good_body()).await.status == 200).then_some(())
    })
    .await;
    gateway.drain().await;
}

#[tokio::test]
async fn a_disconnected_client_releases_its_permit() {
    let gateway = limited("max_in_flight = 1").await;
    let first = begun(&gateway).await;
    eventually("it has its permit", || async {
        (post(&gateway, PREDICT, &good_body()).await.status == 429).then_some(())
    })
    .await;
    drop(first);
    eventually("it released its permit", || async {
        (post(&gateway, PREDICT, &good_body()).await.status == 200).then_some(())
    })
    .await;
    gateway.drain().await;
}

#[tokio::test]
async fn a_drain_answers_accepted_requests_and_refuses_new_ones() {
    let gateway = limited("max_in_flight = 1").await;
    let address = gateway.addresses().http;
    let mut inside = begun(&gateway).await;
    // An idle connection, which only the gateway may close.
    let mut idle = TcpStream::connect(address).await.expect("connects");
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: m\r\n\r\n")
        .await
        .expect("written");
    let mut begin = [0; 15];
    idle.read_exact(&mut begin).await.expect("answered");
    eventually("the first has its permit", || async {
        (post(&gateway, PREDICT, &good_body()).await.status == 429).then_some(())
    })
    .await;
    let drained = tokio::task::spawn(gateway.drain());
    let refused = eventually("the gateway drains", || async {
        let body = good_body().to_string();
        let reply = call(address, "POST", PREDICT, &[], body.as_bytes()).await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    assert_eq!((refused.status, &*refused.reason()), (503, "DRAINING"));
    assert_eq!(refused.headers["connection"], "close");
    assert!(http_get(address, "/readyz").await.0.contains("503"));
    inside.write_all(b"}").await.expect("written");
    let answered = reply(&mut inside).await;
    assert_eq!(answered.status, 200, "{answered:?}");
    assert_eq!(answered.headers["connection"], "close");
    drained.await.expect("nothing delays the drain");
}

#[tokio::test]
async fn a_request_interrupted_while_its_body_arrives_is_counted_once() {
    let gateway = limited("max_in_flight = 20\ndrain_seconds = 1").await;
    let mut inside = Vec::new();
    for _ in 0..20 {
        inside.push(begun(&gateway).await);
    }
    eventually("all have their permits", || async {
        (post(&gateway, PREDICT, &good_body()).await.status == 429).then_some(())
    })
    .await;
    let report = gateway.drain_and_report().await;
    assert_eq!(
        (report.finished, report.refused, report.cut),
        (0, 20, 0),
        "{report}"
    );
    for mut socket in inside {
        let reply = reply(&mut socket).await;
        assert_eq!((reply.status, &*reply.reason()), (503, "DRAINING"));
    }
}

#[tokio::test]
async fn a_request_without_a_permit_is_answered_before_its_connection_is_closed() {
    let gateway = limited("").await;
    let address = gateway.addresses().http;
    let mut index = TcpStream::connect(address).await.expect("connects");
    let head = "POST /v2/repository/index HTTP/1.1\r\nhost: m\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n";
    index.write_all(head.as_bytes()).await.expect("written");
    // The connection is being read, so the gateway may not close it as idle.
    let mut go_on = [0; 25];
    index.read_exact(&mut go_on).await.expect("100 Continue");
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    index.write_all(b"{").await.expect("written");
    let drained = tokio::task::spawn(gateway.drain());
    eventually("the port accepts no connection", || async {
        TcpStream::connect(address).await.err()
    })
    .await;
    index.write_all(b"}").await.expect("written");
    let answered = reply(&mut index).await;
    assert_eq!(answered.status, 200, "{answered:?}");
    drained.await.expect("nothing delays the drain");
}

/// Returns the HTTP routes of a server, without sockets.
fn http_router(server: &OneVersionServer) -> axum::Router {
    let (_, views) = watch::channel(Arc::new(View::default()));
    let catalog = Catalog::new(Arc::clone(&server.live), views, Lifecycle::new().watch());
    let outcomes = Outcomes::new(OutcomeSettings::default(), server.telemetry.outcomes());
    let predictor = Predictor::new(Arc::clone(&server.pipeline), Arc::clone(&server.admission));
    let outcomes = Arc::new(outcomes);
    router(HttpState::new(
        catalog,
        &server.telemetry,
        outcomes,
        predictor,
        1 << 20,
    ))
}

async fn send(service: axum::Router, body: Body) -> (Response<()>, Value) {
    let request = Request::post(PREDICT).body(body).expect("a request");
    let (head, body) = service
        .oneshot(request)
        .await
        .expect("infallible")
        .into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let response = serde_json::from_slice(&body).expect("JSON");
    (Response::from_parts(head, ()), response)
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_times_out() {
    let (model, _begun, _let_go) = slow_model();
    let server = one_version_server(model, 8);
    let begin = tokio_stream::once(Ok::<_, std::io::Error>("{\"rows\": ["));
    let never = Body::from_stream(begin.chain(tokio_stream::pending()));
    let (head, response) = send(http_router(&server), never).await;
    assert_eq!(head.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(response["reason"], "MESSAGE_TOO_SLOW");
    let text = server.telemetry.render();
    let line = r#"taper_rejected_requests_total{reason="MESSAGE_TOO_SLOW"} 1"#;
    assert!(text.contains(line), "{text}");
    assert_eq!(server.admission.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_has_arrived_is_read_even_after_the_time_limit() {
    let (model, _begun, _let_go) = slow_model();
    let server = one_version_server(model, 8);
    // The body is first polled after the time limit. Then it arrives, one piece at a time.
    let late = async_body("{}", Duration::from_secs(30));
    let (head, response) = send(http_router(&server), late).await;
    assert_eq!(
        (head.status(), &response["fields"][0]["field"]),
        (StatusCode::BAD_REQUEST, &json!("rows")),
        "{response}"
    );
    assert_eq!(server.admission.in_flight(), 0);
}

/// Returns a body that contains `text`. After the delay `after`, it yields one byte per poll.
fn async_body(text: &'static str, after: Duration) -> Body {
    let begin = tokio_stream::once(()).then(move |()| tokio::time::sleep(after));
    let begin = begin.filter_map(|()| None);
    let bytes = tokio_stream::iter(text.as_bytes().chunks(1)).then(|byte| async move {
        tokio::task::yield_now().await;
        Ok::<_, std::io::Error>(byte)
    });
    Body::from_stream(begin.chain(bytes))
}

#[tokio::test]
async fn large_bodies_get_the_same_answers_as_small_ones() {
    let gateway = limited("").await;
    let padding = " ".repeat(100_000);
    for (end, body) in [
        ("predict", good_body()),
        ("infer", json!({"inputs": tensors()})),
    ] {
        let body = format!("{padding}{body}");
        let path = format!("/v2/models/m/{end}");
        let reply = call(
            gateway.addresses().http,
            "POST",
            &path,
            &[],
            body.as_bytes(),
        )
        .await;
        assert_eq!(reply.status, 200, "{end}: {reply:?}");
        let broken = format!("{padding}{{");
        let reply = call(
            gateway.addresses().http,
            "POST",
            &path,
            &[],
            broken.as_bytes(),
        )
        .await;
        assert_eq!(reply.reason(), "MALFORMED_MESSAGE", "{end}: {reply:?}");
    }
    gateway.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_partial_body_is_refused_at_once_when_the_drain_deadline_passes() {
    let server = one_version_server(FaultyModel, 8);
    let begin = tokio_stream::once(Ok::<_, std::io::Error>("{\"rows\": ["));
    let never = Body::from_stream(begin.chain(tokio_stream::pending()));
    let asked = tokio::task::spawn(send(http_router(&server), never));
    eventually("it has its permit", || async {
        (server.admission.in_flight() == 1).then_some(())
    })
    .await;
    server.admission.begin_drain();
    server.admission.cut_off();
    let at = tokio::time::Instant::now();
    let (head, response) = asked.await.expect("no panic");
    assert_eq!(
        (head.status(), &response["reason"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("DRAINING"))
    );
    // The paused clock advances only while all tasks wait for it.
    assert_eq!(at.elapsed(), std::time::Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_request_past_its_deadline_fails_with_the_reason() {
    let (model, begun, let_go) = slow_model();
    let server = one_version_server(model, 8);
    let body = json!({"rows": [good()], "timeout_ms": 600_000}).to_string();
    // The paused clock advances only after the pass has begun, when only the caller waits for it.
    let ((head, response), ()) = tokio::join!(
        send(http_router(&server), body.into()),
        wait_for_start(begun)
    );
    let_go.send(()).expect("sent");
    assert_eq!(
        (head.status(), &response["reason"]),
        (StatusCode::GATEWAY_TIMEOUT, &json!("DEADLINE_EXCEEDED"))
    );
    assert_eq!(server.admission.in_flight(), 0);
}

#[tokio::test]
async fn a_request_in_its_forward_pass_fails_when_the_drain_deadline_passes() {
    let (model, begun, let_go) = slow_model();
    let server = one_version_server(model, 8);
    let asked = tokio::task::spawn(send(http_router(&server), good_body().to_string().into()));
    wait_for_start(begun).await;
    server.admission.begin_drain();
    server.admission.cut_off();
    let (head, response) = asked.await.expect("no panic");
    assert_eq!(
        (head.status(), &response["reason"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("DRAINING"))
    );
    assert_eq!(head.headers()["connection"], "close");
    let counts = server.admission.drain_counts();
    assert_eq!((counts.interrupted, counts.in_flight), (1, 0));
    let_go.send(()).expect("the forward pass still runs");
}

#[tokio::test]
async fn a_permit_is_held_until_the_answer_is_sent() {
    let server = one_version_server(FaultyModel, 8);
    let request = Request::post(PREDICT).body(Body::from(good_body().to_string()));
    let answer = http_router(&server)
        .oneshot(request.expect("a request"))
        .await
        .expect("infallible");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(server.admission.in_flight(), 1, "the answer is still here");
    let body = answer.into_body().collect().await.expect("a body");
    assert_eq!(server.admission.in_flight(), 1, "its bytes are still here");
    drop(body);
    assert_eq!(server.admission.in_flight(), 0);
}
