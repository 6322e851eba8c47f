//! Errors of refused requests are complete and of limited size.

use serde_json::json;
use taper::proto::v1;
use taper::proto::v1::prediction_service_client::PredictionServiceClient;
use tonic::Code;
use tonic_types::StatusExt;

use crate::bad_requests::{TOML, tensor};
use crate::harness::{TestGateway, good, row, rows};
use crate::tiny;

#[tokio::test]
async fn every_fault_of_a_request_is_named_at_once_up_to_a_limit() {
    let mut gateway = TestGateway::start(TOML, |root| tiny::publish(root, "m", 1)).await;
    let bad = json!({"x": "one", "n": 1.5, "color": "blue", "pair": [0, 0], "colour": "red"});
    let status = gateway
        .predict(rows("m", [bad.clone()]))
        .await
        .expect_err("four faults");
    let violations = status
        .get_details_bad_request()
        .expect("details")
        .field_violations;
    assert_eq!(violations.len(), 4, "{violations:?}");
    let many = v1::PredictRequest {
        rows: vec![row(&bad); 60],
        ..rows("m", [])
    };
    let status = gateway.predict(many).await.expect_err("a batch of faults");
    let violations = status
        .get_details_bad_request()
        .expect("details")
        .field_violations;
    assert_eq!(violations.len(), 16 + 1, "the answer stays small");
    assert_eq!(violations[16].description, "and 224 more");
    gateway.drain().await;
}

/// Clients with the usual limit of 8 KiB for trailers see the error and not a broken stream, whatever names and texts they
/// sent.
#[tokio::test]
async fn errors_with_long_texts_of_clients_fit_into_the_trailers_that_clients_accept() {
    let gateway = TestGateway::start(TOML, |root| tiny::publish(root, "m", 1)).await;
    let address = format!("http://{}", gateway.addresses().data);
    let channel = tonic::transport::Endpoint::from_shared(address)
        .expect("endpoint")
        .http2_max_header_list_size(8 * 1024)
        .connect()
        .await
        .expect("connects");
    let mut strict = PredictionServiceClient::new(channel);
    for c in ["漢", "😀", "\""] {
        let long = c.repeat(200);
        let names = (0..16).map(|_| {
            row(&json!({"x": long, "n": long, "color": long, "pair": long, long.as_str(): 1}))
        });
        let unknown = |i: usize| v1::Tensor {
            fp64_values: vec![1.0],
            ..tensor(&format!("{i}{long}"), v1::Datatype::Fp64, &[1])
        };
        let untyped = |i: usize| tensor(&format!("{i}{long}"), v1::Datatype::Unspecified, &[1]);
        let tensors = |one: &dyn Fn(usize) -> v1::Tensor| v1::PredictRequest {
            tensors: (0..20).map(one).collect(),
            ..rows("m", [])
        };
        let named = |code, request| (code, "rows or tensors", request);
        for (code, what, request) in [
            named(
                Code::InvalidArgument,
                v1::PredictRequest {
                    rows: names.collect(),
                    ..rows("m", [])
                },
            ),
            named(Code::InvalidArgument, tensors(&unknown)),
            named(Code::InvalidArgument, tensors(&untyped)),
            (Code::NotFound, "model", rows(&long, [good()])),
            (
                Code::NotFound,
                "label",
                v1::PredictRequest {
                    pin: Some(v1::predict_request::Pin::Label(long.clone())),
                    ..rows("m", [good()])
                },
            ),
            (
                Code::InvalidArgument,
                "response_id",
                v1::PredictRequest {
                    response_id: long.clone(),
                    ..rows("m", [good()])
                },
            ),
        ] {
            let status = strict.predict(request).await.expect_err(what);
            assert_eq!(status.code(), code, "{what}: {status:?}");
            let mut trailers = http::HeaderMap::new();
            status.add_header(&mut trailers).expect("headers");
            let size: usize = trailers.values().map(http::HeaderValue::len).sum();
            assert!(size < 7 * 1024, "{what}: {size} bytes of {c}");
            let details = status.get_details_bad_request().expect("details");
            assert!(!details.field_violations.is_empty(), "{what}");
        }
    }
    gateway.drain().await;
}
