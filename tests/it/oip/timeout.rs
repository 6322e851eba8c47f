//! A parameter that says how long the caller waits.

use std::sync::Arc;

use prost::Message as _;
use taper::api::grpc::{Admission, DataPort, OpenInference};
use taper::api::{Catalog, OPEN_INFERENCE, Predictor, Stage};
use taper::control::View;
use taper::proto::inference::InferParameter;
use taper::proto::inference::grpc_inference_service_server::GrpcInferenceServiceServer;
use taper::proto::inference::infer_parameter::ParameterChoice;
use taper::serving::live::{Live, Snapshot};
use tokio::sync::watch;
use tonic::Code;
use tonic::codegen::Service as _;

use super::{infer, number, raw, two_versions, with_parameter};
use crate::pipeline::{began, house, slow};

#[tokio::test]
async fn a_timeout_in_microseconds_is_a_deadline() {
    let (gateway, mut client) = two_versions("").await;
    for (timeout, code) in [
        (1, Code::DeadlineExceeded),
        (600_000_000, Code::Ok),
        (0, Code::Ok),
    ] {
        let request = with_parameter(raw(1), "timeout", number(timeout));
        let answered = infer(&mut client, request).await;
        let got = answered.map_or_else(|status| status.code(), |_| Code::Ok);
        assert_eq!(got, code, "{timeout}");
    }
    let unsigned = InferParameter {
        parameter_choice: Some(ParameterChoice::Uint64Param(1)),
    };
    let status = infer(&mut client, with_parameter(raw(1), "timeout", unsigned)).await;
    assert_eq!(status.expect_err("too late").code(), Code::DeadlineExceeded);
    gateway.drain().await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_answered_in_time_whatever_the_version_does() {
    let (model, begun, let_go) = slow();
    let house = house(model, 8);
    let predictor = Predictor::new(Arc::clone(&house.pipeline), Arc::clone(&house.gate));
    let (_views, views) = watch::channel(Arc::new(View::default()));
    let (_stage, stage) = watch::channel(Stage::default());
    let catalog = Catalog::new(Arc::new(Live::new(Snapshot::default())), views, stage);
    let service = OpenInference::new(catalog.clone(), DataPort::new(predictor, catalog));
    let service = GrpcInferenceServiceServer::new(service);
    let (gate, telemetry) = (Arc::clone(&house.gate), Arc::clone(&house.telemetry));
    let mut service = Admission::new(service, gate, telemetry).speaking(&OPEN_INFERENCE);
    // The call itself has no deadline.
    let message = with_parameter(raw(1), "timeout", number(600_000_000)).encode_to_vec();
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    let frame = [&[0][..], &length, &message].concat();
    let request = http::Request::post("/inference.GRPCInferenceService/ModelInfer")
        .header("content-type", "application/grpc")
        .body(tonic::body::Body::new(http_body_util::Full::from(frame)))
        .expect("request");
    // The clock stands until the pass has begun, and nobody but the caller waits for it then.
    let (response, ()) = tokio::join!(service.call(request), began(begun));
    let response = response.expect("infallible");
    let_go.send(()).expect("sent");
    let status = tonic::Status::from_header_map(response.headers()).expect("a status");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let text = house.telemetry.render();
    assert!(text.contains(r#"code="DEADLINE_EXCEEDED"} 1"#), "{text}");
    drop(response);
    assert_eq!(house.gate.in_flight(), 0);
}
