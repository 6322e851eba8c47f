//! Messages of few bytes that would take much memory are refused before they are decoded, by the name of the field.

use prost_types::{ListValue, Struct, Value, value::Kind};
use taper::proto::tensorflow::tensor_shape_proto::Dim;
use taper::proto::v1;
use tonic::Code;

use super::{REST_PREDICT, limited, until_idle};
use crate::harness::{good, rows};
use crate::rest::call;
use crate::{oip, tfs};

/// Elements of two bytes or more each, in a message below the limit of 16 MiB.
const MANY: usize = 4 << 20;

#[tokio::test]
async fn nested_elements_over_grpc_are_refused_before_they_are_decoded() {
    let mut gateway = limited("").await;
    let kind = Some(Kind::ListValue(ListValue {
        values: vec![Value::default(); MANY],
    }));
    let row = Struct {
        fields: [("x".to_owned(), Value { kind })].into(),
    };
    let native = v1::PredictRequest {
        rows: vec![row],
        ..rows("m", [])
    };
    let refused = gateway.predict(native).await.expect_err("too large");
    check(&refused, "rows.fields.value.list_value.values");

    let mut request = oip::typed(1);
    let contents = request.inputs[0].contents.as_mut().expect("contents");
    contents.bytes_contents = vec![Default::default(); MANY];
    let mut client = oip::data(&gateway).await;
    let refused = client.model_infer(request).await.expect_err("too large");
    check(&refused, "inputs.contents.bytes_contents");

    let mut request = tfs::two_rows();
    let tensor = request.inputs.values_mut().next().expect("an input");
    let shape = tensor.tensor_shape.as_mut().expect("a shape");
    shape.dim = vec![Dim::default(); MANY];
    let mut client = tfs::client(&gateway).await;
    let refused = client.predict(request).await.expect_err("too large");
    check(&refused, "inputs.value.tensor_shape.dim");

    gateway
        .predict(rows("m", [good()]))
        .await
        .expect("the next one");
    until_idle(&gateway).await;
    gateway.drain().await;
}

fn check(status: &tonic::Status, field: &str) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(status.message().contains(field), "{status:?}");
}

#[tokio::test]
async fn values_over_http_are_refused_before_they_are_parsed() {
    let gateway = limited("").await;
    let many = |item: &str| format!("[{}{item}]", format!("{item},").repeat(MANY));
    for (path, body, field) in [
        (
            REST_PREDICT,
            format!(r#"{{"rows":[{{"x":{}}}]}}"#, many("0")),
            "rows",
        ),
        (
            "/v1/models/m:predict",
            format!(r#"{{"instances":{}}}"#, many("0")),
            "instances",
        ),
        (
            "/v2/models/m/infer",
            format!(
                r#"{{"inputs":[{{"name":"x","datatype":"BYTES","shape":[1],"data":{}}}]}}"#,
                many(r#""""#)
            ),
            "inputs",
        ),
    ] {
        let address = gateway.addresses().http;
        let refused = call(address, "POST", path, &[], body.as_bytes()).await;
        assert_eq!(refused.status, 400, "{path}: {refused:?}");
        let text = String::from_utf8_lossy(&refused.body);
        let is_named = text.contains(field) && text.contains("bytes of memory");
        assert!(is_named, "{path}: {text}");
    }
    until_idle(&gateway).await;
    gateway.drain().await;
}
