//! One row for a tiny version.

use taper::model::payload::{Payload, Tensor, TensorData};
use taper::proto::v1;

/// Returns the row in the form that a decoder returns.
pub(crate) fn payload() -> Payload {
    let tensor = |name: &str, shape: &[i64], data| Tensor {
        name: name.into(),
        shape: shape.to_vec(),
        data,
    };
    Payload::Tensors(vec![
        tensor("x", &[1], TensorData::Fp64(vec![1.0])),
        tensor("n", &[1], TensorData::Int64(vec![3])),
        tensor("color", &[1], TensorData::Bytes(vec!["green".into()])),
        tensor("pair", &[1, 2], TensorData::Fp32(vec![0.5, -0.5])),
    ])
}

/// Returns the row in the form that a program sends.
pub(crate) fn message(model: &str) -> v1::PredictRequest {
    let tensor = |name: &str, datatype: v1::Datatype, shape: &[i64]| v1::Tensor {
        name: name.into(),
        datatype: datatype.into(),
        shape: shape.to_vec(),
        ..v1::Tensor::default()
    };
    let mut x = tensor("x", v1::Datatype::Fp64, &[1]);
    x.fp64_values = vec![1.0];
    let mut n = tensor("n", v1::Datatype::Int64, &[1]);
    n.int64_values = vec![3];
    let mut color = tensor("color", v1::Datatype::Bytes, &[1]);
    color.bytes_values = vec!["green".into()];
    let mut pair = tensor("pair", v1::Datatype::Fp32, &[1, 2]);
    pair.fp32_values = vec![0.5, -0.5];
    v1::PredictRequest {
        model: model.into(),
        tensors: vec![x, n, color, pair],
        ..v1::PredictRequest::default()
    }
}
