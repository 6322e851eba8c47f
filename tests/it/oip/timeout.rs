//! A parameter that limits how long the client waits.

use std::sync::Arc;

use prost::Message as _;
use taper::api::grpc::{Admission, DataPort, OpenInference};
use taper::api::{Catalog, Lifecycle, OPEN_INFERENCE, Predictor};
use taper::control::View;
use taper::proto::inference::InferParameter;
use taper::proto::inference::grpc_inference_service_server::GrpcInferenceServiceServer;
use taper::proto::inference::infer_parameter::ParameterChoice;
use taper::serving::live::{Live, Snapshot};
use tokio::sync::watch;
use tonic::Code;
use tonic::codegen::Service as _;

use super::{infer, number, raw, two_versions, with_parameter};
use crate::pipeline::{one_version_server, slow_model, wait_for_start};

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
async fn a_request_with_a_timeout_ends_in_time_even_if_the_version_hangs() {
    let (model, begun, let_go) = slow_model();
    let server = one_version_server(model, 8);
    let predictor = Predictor::new(Arc::clone(&server.pipeline), Arc::clone(&server.admission));
    let (_views, views) = watch::channel(Arc::new(View::default()));
    let lifecycle = Lifecycle::new();
    let catalog = Catalog::new(
        Arc::new(Live::new(Snapshot::default())),
        views,
        lifecycle.watch(),
    );
    let service = OpenInference::new(catalog.clone(), DataPort::new(predictor, catalog));
    let service = GrpcInferenceServiceServer::new(service);
    let (admission, telemetry) = (Arc::clone(&server.admission), Arc::clone(&server.telemetry));
    let mut service =
        Admission::new(service, admission, telemetry).with_error_mapping(&OPEN_INFERENCE);
    // The call itself has no deadline.
    let message = with_parameter(raw(1), "timeout", number(600_000_000)).encode_to_vec();
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    let frame = [&[0][..], &length, &message].concat();
    let request = http::Request::post("/inference.GRPCInferenceService/ModelInfer")
        .header("content-type", "application/grpc")
        .body(tonic::body::Body::new(http_body_util::Full::from(frame)))
        .expect("request");
    // The paused clock advances only after the pass has begun, when only the caller waits for it.
    let (response, ()) = tokio::join!(service.call(request), wait_for_start(begun));
    let response = response.expect("infallible");
    let_go.send(()).expect("sent");
    let status = tonic::Status::from_header_map(response.headers()).expect("a status");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let text = server.telemetry.render();
    assert!(text.contains(r#"code="DEADLINE_EXCEEDED"} 1"#), "{text}");
    drop(response);
    assert_eq!(server.admission.in_flight(), 0);
}
