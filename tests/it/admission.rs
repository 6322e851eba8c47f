//! The door's first step, on real sockets: places, bytes, clocks, and what a small message can make of itself.

use std::{sync::Arc, time::Duration};

use prost::Message;
use prost_types::{ListValue, Struct, Value, value::Kind};
use taper::api::Predictor;
use taper::api::grpc::{Admission, Predictions};
use taper::model::Model;
use taper::proto::v1;
use taper::proto::v1::prediction_service_client::PredictionServiceClient;
use taper::proto::v1::prediction_service_server::PredictionServiceServer;
use taper::serving::gate::Left;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;
use tonic::codegen::Service;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic_types::StatusExt;

use crate::harness::{Running, connect, eventually, good, reason, rows};
use crate::pipeline::{House, MOST_BYTES, began, house, slow};
use crate::tiny;

/// Serves a house behind its gate, and a client of it. The server ends with the test's runtime.
pub async fn served(
    model: impl Model,
    max_in_flight: usize,
) -> (House, PredictionServiceClient<Channel>) {
    let house = house(model, max_in_flight);
    let predictions = Predictions::new(Predictor::new(
        Arc::clone(&house.pipeline),
        Arc::clone(&house.gate),
    ));
    let service = PredictionServiceServer::new(predictions);
    let service = Admission::new(
        service,
        Arc::clone(&house.gate),
        Arc::clone(&house.telemetry),
    );
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().expect("address")).expect("binds");
    let address = incoming.local_addr().expect("its address");
    tokio::task::spawn(
        Server::builder()
            .add_service(service)
            .serve_with_incoming(incoming),
    );
    (house, PredictionServiceClient::new(connect(address).await))
}

#[tokio::test(start_paused = true)]
async fn a_call_that_its_deadline_ends_says_so_with_details_and_is_counted_so() {
    let (model, begun, let_go) = slow();
    let house = house(model, 8);
    let predictions = Predictions::new(Predictor::new(
        Arc::clone(&house.pipeline),
        Arc::clone(&house.gate),
    ));
    let service = PredictionServiceServer::new(predictions);
    let mut service = Admission::new(
        service,
        Arc::clone(&house.gate),
        Arc::clone(&house.telemetry),
    );
    // Without a client, which would have a clock of its own.
    let message = rows("m", [good()]).encode_to_vec();
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    let frame = [&[0][..], &length, &message].concat();
    let request = http::Request::post("/taper.v1.PredictionService/Predict")
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "10M")
        .body(tonic::body::Body::new(http_body_util::Full::from(frame)))
        .expect("request");
    // The clock stands until the pass has begun, and nobody but the caller waits for it then.
    let (response, ()) = tokio::join!(service.call(request), began(begun));
    let response = response.expect("infallible");
    let_go.send(()).expect("sent");
    let status = tonic::Status::from_header_map(response.headers()).expect("a status");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let details = status.get_error_details();
    assert_eq!(
        details.error_info().expect("info").reason,
        "DEADLINE_EXCEEDED"
    );
    let text = house.telemetry.render();
    assert!(text.contains(r#"code="DEADLINE_EXCEEDED"} 1"#), "{text}");
    drop(response);
    assert_eq!(house.gate.in_flight(), 0);
}

#[tokio::test]
async fn silent_and_half_open_callers_do_not_hold_up_a_drain() {
    let gateway = Running::start("", |root| tiny::publish(root, "m", 1)).await;
    let addresses = gateway.addresses();
    let mut silent = Vec::new();
    for address in [addresses.data, addresses.admin, addresses.http] {
        silent.push(
            tokio::net::TcpStream::connect(address)
                .await
                .expect("connects"),
        );
        let mut half = tokio::net::TcpStream::connect(address)
            .await
            .expect("connects");
        half.write_all(b"PRI * HTTP/2.0").await.expect("writes");
        silent.push(half);
    }
    // It ends, although it has ten minutes by its settings.
    gateway.drain().await;
    for mut socket in silent {
        let mut rest = Vec::new();
        // Closed by the other side, with or without a reset.
        let _ = socket.read_to_end(&mut rest).await;
    }
}

#[tokio::test]
async fn messages_past_the_bytes_that_are_left_are_refused_and_give_their_bytes_back() {
    let (model, _begun, _let_go) = slow();
    let (house, mut client) = served(model, 8).await;
    let large = v1::PredictRequest {
        routing_key: "k".repeat(MOST_BYTES),
        ..rows("m", [good()])
    };
    for _ in 0..3 {
        let status = client
            .predict(large.clone())
            .await
            .expect_err("too many bytes");
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        let retry = status.get_details_retry_info().expect("when to come back");
        assert!(retry.retry_delay.expect("a delay") > Duration::ZERO);
    }
    let unknown = client
        .predict(rows("nobody", [good()]))
        .await
        .expect_err("read and refused");
    assert_eq!(
        unknown.code(),
        Code::NotFound,
        "the bytes were given back: {unknown:?}"
    );
    assert_eq!(house.gate.in_flight(), 0);
}

#[tokio::test]
async fn thousands_of_refused_messages_whose_rest_comes_late_do_not_end_the_connection() {
    let settings = "[limits]\nmax_message_bytes = 250_000\nmax_in_flight_bytes = 300_000\n";
    let mut gateway = Running::start(settings, |root| tiny::publish(root, "m", 1)).await;
    let large = v1::PredictRequest {
        routing_key: "k".repeat(200_000),
        ..rows("m", [good()])
    };
    let mut refused = 0;
    for _ in 0..20 {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..150 {
            let (mut client, large) = (gateway.data.clone(), large.clone());
            calls.spawn(async move { client.predict(large).await });
        }
        while let Some(answer) = calls.join_next().await {
            let status = answer.expect("no panic").expect_err("its key is too long");
            let code = status.code();
            refused += usize::from(code == Code::ResourceExhausted);
            let is_clear = matches!(code, Code::ResourceExhausted | Code::InvalidArgument);
            assert!(is_clear, "{status:?}");
        }
    }
    assert!(refused > 1_500, "{refused}");
    gateway
        .predict(rows("m", [good()]))
        .await
        .expect("the next one on the same connection");
    gateway.drain().await;
}

#[tokio::test]
async fn a_small_message_of_very_many_things_is_refused_before_it_is_unpacked() {
    let mut gateway = Running::start("", |root| tiny::publish(root, "m", 1)).await;
    let many = v1::PredictRequest {
        model: "m".into(),
        tensors: vec![v1::Tensor::default(); 100_000],
        ..Default::default()
    };
    let status = gateway.predict(many).await.expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("66000 fields"), "{status:?}");
    let mut nested = Value {
        kind: Some(Kind::NumberValue(1.0)),
    };
    for _ in 0..200 {
        nested = Value {
            kind: Some(Kind::ListValue(ListValue {
                values: vec![nested],
            })),
        };
    }
    let deep = v1::PredictRequest {
        rows: vec![Struct {
            fields: [("x".to_owned(), nested)].into(),
        }],
        ..rows("m", [])
    };
    let status = gateway.predict(deep).await.expect_err("too deep");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    gateway
        .predict(rows("m", [good()]))
        .await
        .expect("the next one on the same connection");
    let large = v1::PredictRequest {
        routing_key: "k".repeat(17 << 20),
        ..rows("m", [good()])
    };
    let status = gateway.predict(large).await.expect_err("past 16 MiB");
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    let (_, text) = gateway.http_get("/metrics").await;
    for line in [
        r#"taper_rejected_requests_total{reason="MALFORMED_MESSAGE"} 2"#,
        r#"taper_rejected_requests_total{reason="MESSAGE_TOO_LARGE"} 1"#,
    ] {
        assert!(
            text.lines().any(|have| have == line),
            "{line} is not in\n{text}"
        );
    }
    gateway.drain().await;
}

#[tokio::test]
async fn a_request_amid_its_forward_pass_is_told_when_nobody_waits_any_longer() {
    let (model, begun, let_go) = slow();
    let (house, mut client) = served(model, 8).await;
    house.gate.begin_drain();
    let call = tokio::task::spawn(async move { client.predict(rows("m", [good()])).await });
    began(begun).await;
    house.gate.cut_off();
    let status = call.await.expect("no panic").expect_err("told");
    assert_eq!(
        (status.code(), &*reason(&status)),
        (Code::Unavailable, "DRAINING")
    );
    let want = Left {
        finished: 0,
        told: 1,
        inside: 0,
    };
    eventually("its place is given back", || async {
        (house.gate.left() == want).then_some(())
    })
    .await;
    let_go.send(()).expect("the forward pass still runs");
}
