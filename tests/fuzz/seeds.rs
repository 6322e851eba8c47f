//! What a fuzzer starts from: requests that are right.

use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use taper::proto::v1;

use super::doors::Door;

/// Requests for `door`.
pub fn of(door: Door) -> Vec<Vec<u8>> {
    match door {
        Door::Native => vec![rows().encode_to_vec(), tensors().encode_to_vec()],
    }
}

fn rows() -> v1::PredictRequest {
    let value = |kind| Value { kind: Some(kind) };
    let pair = [0.5, -0.5].map(|x| value(Kind::NumberValue(x)));
    let fields = [
        ("x", Kind::NumberValue(1.0)),
        ("n", Kind::NullValue(0)),
        ("color", Kind::StringValue("green".into())),
        (
            "pair",
            Kind::ListValue(ListValue {
                values: pair.into(),
            }),
        ),
    ];
    let fields = fields.map(|(name, kind)| (name.to_owned(), value(kind)));
    v1::PredictRequest {
        model: "m".into(),
        routing_key: "somebody".into(),
        response_id: "one".into(),
        rows: vec![Struct {
            fields: fields.into(),
        }],
        ..v1::PredictRequest::default()
    }
}

fn tensors() -> v1::PredictRequest {
    let tensor = |name: &str, datatype: v1::Datatype, shape: &[i64]| v1::Tensor {
        name: name.into(),
        datatype: datatype.into(),
        shape: shape.into(),
        ..v1::Tensor::default()
    };
    v1::PredictRequest {
        model: "m".into(),
        pin: Some(v1::predict_request::Pin::Version(2)),
        tensors: vec![
            v1::Tensor {
                fp64_values: vec![1.0, 2.0],
                ..tensor("x", v1::Datatype::Fp64, &[2])
            },
            v1::Tensor {
                raw: [3_i64.to_le_bytes(), 4_i64.to_le_bytes()].concat().into(),
                ..tensor("n", v1::Datatype::Int64, &[2])
            },
            v1::Tensor {
                bytes_values: vec!["red".into(), "green".into()],
                ..tensor("color", v1::Datatype::Bytes, &[2])
            },
            v1::Tensor {
                fp32_values: vec![0.0, 1.0, 2.0, 3.0],
                ..tensor("pair", v1::Datatype::Fp32, &[2, 2])
            },
        ],
        ..v1::PredictRequest::default()
    }
}
