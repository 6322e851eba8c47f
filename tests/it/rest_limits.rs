//! What bounds REST: bytes, places, clocks, and the end of the gateway.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use taper::api::http::{Faces, router};
use taper::api::{Catalog, Predictor, Stage};
use taper::control::View;
use taper::insight::outcomes::{OutcomeSettings, Outcomes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tower::ServiceExt;

use crate::harness::{Running, eventually, good, http_get};
use crate::pipeline::{House, Moody, began, house, slow};
use crate::rest::{call, post, reply, tensors};
use crate::tiny;

const PREDICT: &str = "/v2/models/m/predict";

fn good_body() -> Value {
    json!({"rows": [good()]})
}

async fn limited(limits: &str) -> Running {
    Running::start(&format!("[limits]\n{limits}"), |root| {
        tiny::publish(root, "m", 1)
    })
    .await
}

/// A connection on which a request has begun, without the last byte of its body.
async fn begun(gateway: &Running) -> TcpStream {
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
async fn bodies_past_the_limit_are_refused_whatever_they_say_of_themselves() {
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
    // The bytes were given back.
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
async fn who_asks_before_it_sends_is_told_before_it_sends() {
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
async fn compressed_bodies_are_refused_by_name_and_other_types_are_read() {
    let gateway = limited("").await;
    let address = gateway.addresses().http;
    let body = good_body().to_string();
    let header = [("content-encoding", "gzip")];
    let refused = call(address, "POST", PREDICT, &header, body.as_bytes()).await;
    assert_eq!(
        (refused.status, refused.fields()),
        (415, vec!["content-encoding".to_owned()])
    );
    let headers = [
        ("content-encoding", "identity"),
        ("content-encoding", "gzip"),
    ];
    for headers in [&headers[..], &[("content-encoding", "Identity, gzip")]] {
        let refused = call(address, "POST", PREDICT, headers, body.as_bytes()).await;
        assert_eq!(refused.status, 415, "{headers:?}: {refused:?}");
        let told = refused.json()["fields"].to_string();
        assert!(told.contains(r#""got":"gzip""#), "{told}");
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
async fn a_full_gate_says_when_to_come_back_and_holds_nobody_else_up() {
    let gateway = limited("max_in_flight = 1").await;
    let mut first = begun(&gateway).await;
    let refused = eventually("the first has its place", || async {
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
    // The connection is kept, and the place is given back all the same.
    eventually("the place is given back", || async {
        (post(&gateway, PREDICT, &good_body()).await.status == 200).then_some(())
    })
    .await;
    gateway.drain().await;
}

#[tokio::test]
async fn a_client_that_goes_gives_its_place_back() {
    let gateway = limited("max_in_flight = 1").await;
    let first = begun(&gateway).await;
    eventually("it has its place", || async {
        (post(&gateway, PREDICT, &good_body()).await.status == 429).then_some(())
    })
    .await;
    drop(first);
    eventually("it gave its place back", || async {
        (post(&gateway, PREDICT, &good_body()).await.status == 200).then_some(())
    })
    .await;
    gateway.drain().await;
}

#[tokio::test]
async fn a_drain_answers_who_is_in_and_refuses_who_comes() {
    let gateway = limited("max_in_flight = 1").await;
    let address = gateway.addresses().http;
    let mut inside = begun(&gateway).await;
    // Idle, and open for as long as nobody closes it.
    let mut idle = TcpStream::connect(address).await.expect("connects");
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: m\r\n\r\n")
        .await
        .expect("written");
    let mut begin = [0; 15];
    idle.read_exact(&mut begin).await.expect("answered");
    eventually("the first is in", || async {
        (post(&gateway, PREDICT, &good_body()).await.status == 429).then_some(())
    })
    .await;
    let drained = tokio::task::spawn(gateway.drain());
    let refused = eventually("the gateway goes down", || async {
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
    drained.await.expect("nobody holds the drain up");
}

#[tokio::test]
async fn who_is_told_to_go_amid_its_body_is_counted_once() {
    let gateway = limited("max_in_flight = 20\ndrain_seconds = 1").await;
    let mut inside = Vec::new();
    for _ in 0..20 {
        inside.push(begun(&gateway).await);
    }
    eventually("all have their places", || async {
        (post(&gateway, PREDICT, &good_body()).await.status == 429).then_some(())
    })
    .await;
    let report = gateway.drain_and_tell().await;
    assert_eq!(
        (report.finished, report.told, report.cut),
        (0, 20, 0),
        "{report}"
    );
    for mut socket in inside {
        let told = reply(&mut socket).await;
        assert_eq!((told.status, &*told.reason()), (503, "DRAINING"));
    }
}

#[tokio::test]
async fn a_request_without_a_place_is_answered_before_its_connection_is_cut() {
    let gateway = limited("").await;
    let address = gateway.addresses().http;
    let mut index = TcpStream::connect(address).await.expect("connects");
    let head = "POST /v2/repository/index HTTP/1.1\r\nhost: m\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n";
    index.write_all(head.as_bytes()).await.expect("written");
    // So it is read, and no idle connection that may be closed.
    let mut go_on = [0; 25];
    index.read_exact(&mut go_on).await.expect("told to go on");
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    index.write_all(b"{").await.expect("written");
    let drained = tokio::task::spawn(gateway.drain());
    eventually("the door takes nobody", || async {
        TcpStream::connect(address).await.err()
    })
    .await;
    index.write_all(b"}").await.expect("written");
    let answered = reply(&mut index).await;
    assert_eq!(answered.status, 200, "{answered:?}");
    drained.await.expect("nobody holds the drain up");
}

/// The HTTP door of a house, without sockets.
fn door(house: &House) -> axum::Router {
    let (_, views) = watch::channel(Arc::new(View::default()));
    let (_, stages) = watch::channel(Stage::default());
    let catalog = Catalog::new(Arc::clone(&house.live), views, stages);
    let outcomes = Outcomes::new(OutcomeSettings::default(), house.telemetry.outcomes());
    let predictor = Predictor::new(Arc::clone(&house.pipeline), Arc::clone(&house.gate));
    let outcomes = Arc::new(outcomes);
    router(Faces::new(
        catalog,
        &house.telemetry,
        outcomes,
        predictor,
        1 << 20,
    ))
}

async fn ask(door: axum::Router, body: Body) -> (Response<()>, Value) {
    let request = Request::post(PREDICT).body(body).expect("a request");
    let (head, body) = door
        .oneshot(request)
        .await
        .expect("infallible")
        .into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let told = serde_json::from_slice(&body).expect("JSON");
    (Response::from_parts(head, ()), told)
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for_for_ever() {
    let (model, _begun, _let_go) = slow();
    let house = house(model, 8);
    let begin = tokio_stream::once(Ok::<_, std::io::Error>("{\"rows\": ["));
    let never = Body::from_stream(begin.chain(tokio_stream::pending()));
    let (head, told) = ask(door(&house), never).await;
    assert_eq!(head.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(told["reason"], "MESSAGE_TOO_SLOW");
    let text = house.telemetry.render();
    let line = r#"taper_rejected_requests_total{reason="MESSAGE_TOO_SLOW"} 1"#;
    assert!(text.contains(line), "{text}");
    assert_eq!(house.gate.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_has_come_is_read_also_when_the_clock_has_run_out() {
    let (model, _begun, _let_go) = slow();
    let house = house(model, 8);
    // Nobody looked before the clock ran out; then it is there, a piece at a time.
    let late = async_body("{}", Duration::from_secs(30));
    let (head, told) = ask(door(&house), late).await;
    assert_eq!(
        (head.status(), &told["fields"][0]["field"]),
        (StatusCode::BAD_REQUEST, &json!("rows")),
        "{told}"
    );
    assert_eq!(house.gate.in_flight(), 0);
}

/// `text`, a byte each time that somebody looks, from `after` now on.
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
async fn large_bodies_are_answered_as_small_ones() {
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
async fn nobody_waits_for_the_rest_of_a_body_once_the_gate_is_cut_off() {
    let house = house(Moody, 8);
    let begin = tokio_stream::once(Ok::<_, std::io::Error>("{\"rows\": ["));
    let never = Body::from_stream(begin.chain(tokio_stream::pending()));
    let asked = tokio::task::spawn(ask(door(&house), never));
    eventually("it has its place", || async {
        (house.gate.in_flight() == 1).then_some(())
    })
    .await;
    house.gate.begin_drain();
    house.gate.cut_off();
    let at = tokio::time::Instant::now();
    let (head, told) = asked.await.expect("no panic");
    assert_eq!(
        (head.status(), &told["reason"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("DRAINING"))
    );
    // The clock goes on only while everybody waits for it.
    assert_eq!(at.elapsed(), std::time::Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_its_deadline_ends_says_so() {
    let (model, begun, let_go) = slow();
    let house = house(model, 8);
    let body = json!({"rows": [good()], "timeout_ms": 600_000}).to_string();
    // The clock stands until the pass has begun, and nobody but the caller waits for it then.
    let ((head, told), ()) = tokio::join!(ask(door(&house), body.into()), began(begun));
    let_go.send(()).expect("sent");
    assert_eq!(
        (head.status(), &told["reason"]),
        (StatusCode::GATEWAY_TIMEOUT, &json!("DEADLINE_EXCEEDED"))
    );
    assert_eq!(house.gate.in_flight(), 0);
}

#[tokio::test]
async fn a_request_amid_its_forward_pass_is_told_when_nobody_waits_any_longer() {
    let (model, begun, let_go) = slow();
    let house = house(model, 8);
    let asked = tokio::task::spawn(ask(door(&house), good_body().to_string().into()));
    began(begun).await;
    house.gate.begin_drain();
    house.gate.cut_off();
    let (head, told) = asked.await.expect("no panic");
    assert_eq!(
        (head.status(), &told["reason"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("DRAINING"))
    );
    assert_eq!(head.headers()["connection"], "close");
    let left = house.gate.left();
    assert_eq!((left.told, left.inside), (1, 0));
    let_go.send(()).expect("the forward pass still runs");
}

#[tokio::test]
async fn a_place_is_held_until_the_answer_has_left() {
    let house = house(Moody, 8);
    let request = Request::post(PREDICT).body(Body::from(good_body().to_string()));
    let answer = door(&house)
        .oneshot(request.expect("a request"))
        .await
        .expect("infallible");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(house.gate.in_flight(), 1, "the answer is still here");
    let body = answer.into_body().collect().await.expect("a body");
    assert_eq!(house.gate.in_flight(), 1, "its bytes are still here");
    drop(body);
    assert_eq!(house.gate.in_flight(), 0);
}
