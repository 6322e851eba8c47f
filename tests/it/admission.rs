//! Admission control on real sockets: permits, byte limits, deadlines, and the size of a decoded message.

use std::{sync::Arc, time::Duration};

use prost::Message;
use prost_types::{ListValue, Struct, Value, value::Kind};
use taper::api::Predictor;
use taper::api::grpc::{Admission, Predictions};
use taper::model::Model;
use taper::proto::v1;
use taper::proto::v1::prediction_service_client::PredictionServiceClient;
use taper::serving::admission::DrainCounts;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;
use tonic::codegen::Service;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic_types::StatusExt;

use crate::harness::{TestGateway, connect, eventually, good, reason, rows};
use crate::pipeline::{
    MAX_IN_FLIGHT_BYTES, OneVersionServer, one_version_server, slow_model, wait_for_start,
};
use crate::tiny;

/// Serves a model behind admission control and returns a client. The server ends with the runtime of the test.
pub async fn serve(
    model: impl Model,
    max_in_flight: usize,
) -> (OneVersionServer, PredictionServiceClient<Channel>) {
    let server = one_version_server(model, max_in_flight);
    let predictions = Predictions::new(Predictor::new(
        Arc::clone(&server.pipeline),
        Arc::clone(&server.admission),
    ));
    let service = predictions.into_service(4 << 20);
    let service = Admission::new(
        service,
        Arc::clone(&server.admission),
        Arc::clone(&server.telemetry),
    );
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().expect("address")).expect("binds");
    let address = incoming.local_addr().expect("its address");
    tokio::task::spawn(
        Server::builder()
            .add_service(service)
            .serve_with_incoming(incoming),
    );
    (server, PredictionServiceClient::new(connect(address).await))
}

#[tokio::test(start_paused = true)]
async fn a_call_past_its_deadline_fails_with_error_details_and_is_counted() {
    let (model, begun, let_go) = slow_model();
    let server = one_version_server(model, 8);
    let predictions = Predictions::new(Predictor::new(
        Arc::clone(&server.pipeline),
        Arc::clone(&server.admission),
    ));
    let service = predictions.into_service(4 << 20);
    let mut service = Admission::new(
        service,
        Arc::clone(&server.admission),
        Arc::clone(&server.telemetry),
    );
    // Without a generated client, which would set a deadline of its own.
    let message = rows("m", [good()]).encode_to_vec();
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    let frame = [&[0][..], &length, &message].concat();
    let request = http::Request::post("/taper.v1.PredictionService/Predict")
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "10M")
        .body(tonic::body::Body::new(http_body_util::Full::from(frame)))
        .expect("request");
    // The paused clock advances only after the pass has begun, when only the caller waits for it.
    let (response, ()) = tokio::join!(service.call(request), wait_for_start(begun));
    let response = response.expect("infallible");
    let_go.send(()).expect("sent");
    let status = tonic::Status::from_header_map(response.headers()).expect("a status");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let details = status.get_error_details();
    assert_eq!(
        details.error_info().expect("info").reason,
        "DEADLINE_EXCEEDED"
    );
    let text = server.telemetry.render();
    assert!(text.contains(r#"code="DEADLINE_EXCEEDED"} 1"#), "{text}");
    drop(response);
    assert_eq!(server.admission.in_flight(), 0);
}

#[tokio::test]
async fn silent_and_half_open_connections_do_not_delay_a_drain() {
    let gateway = TestGateway::start("", |root| tiny::publish(root, "m", 1)).await;
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
    // Ends at once, although the harness allows a drain of ten minutes.
    gateway.drain().await;
    for mut socket in silent {
        let mut rest = Vec::new();
        // The gateway closes it, with or without a reset.
        let _ = socket.read_to_end(&mut rest).await;
    }
}

#[tokio::test]
async fn messages_beyond_the_byte_limit_are_refused_and_release_their_bytes() {
    let (model, _begun, _let_go) = slow_model();
    let (server, mut client) = serve(model, 8).await;
    let large = v1::PredictRequest {
        routing_key: "k".repeat(MAX_IN_FLIGHT_BYTES),
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
    assert_eq!(server.admission.in_flight(), 0);
}

#[tokio::test]
async fn thousands_of_refused_messages_that_finish_late_do_not_end_the_connection() {
    let settings = "[limits]\nmax_message_bytes = 250_000\nmax_in_flight_bytes = 300_000\n";
    let mut gateway = TestGateway::start(settings, |root| tiny::publish(root, "m", 1)).await;
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
async fn a_small_message_with_too_many_elements_is_refused_before_it_is_decoded() {
    let mut gateway = TestGateway::start("", |root| tiny::publish(root, "m", 1)).await;
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
async fn a_request_in_its_forward_pass_fails_when_the_drain_deadline_passes() {
    let (model, begun, let_go) = slow_model();
    let (server, mut client) = serve(model, 8).await;
    server.admission.begin_drain();
    let call = tokio::task::spawn(async move { client.predict(rows("m", [good()])).await });
    wait_for_start(begun).await;
    server.admission.cut_off();
    let status = call.await.expect("no panic").expect_err("interrupted");
    assert_eq!(
        (status.code(), &*reason(&status)),
        (Code::Unavailable, "DRAINING")
    );
    let want = DrainCounts {
        finished: 0,
        interrupted: 1,
        in_flight: 0,
    };
    eventually("its permit is released", || async {
        (server.admission.drain_counts() == want).then_some(())
    })
    .await;
    let_go.send(()).expect("the forward pass still runs");
}
