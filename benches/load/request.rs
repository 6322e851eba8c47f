//! Encoded requests.

use taper::model::payload::{Tensor, TensorData};
use taper::proto::v1;

use crate::client::EncodedRequest;
use crate::common;

/// Returns one golden flight in the form that a program sends.
pub(crate) fn flight() -> EncodedRequest {
    let request = v1::PredictRequest {
        model: common::MODEL.into(),
        tensors: common::tensors(&common::version(2), 1)
            .into_iter()
            .map(wire)
            .collect(),
        ..v1::PredictRequest::default()
    };
    EncodedRequest::native(&request)
}

fn wire(tensor: Tensor) -> v1::Tensor {
    let mut wire = v1::Tensor {
        name: tensor.name,
        shape: tensor.shape,
        ..v1::Tensor::default()
    };
    let datatype = match tensor.data {
        TensorData::Int32(values) => {
            wire.int32_values = values;
            v1::Datatype::Int32
        }
        TensorData::Fp64(values) => {
            wire.fp64_values = values;
            v1::Datatype::Fp64
        }
        TensorData::Bytes(values) => {
            wire.bytes_values = values;
            v1::Datatype::Bytes
        }
        other => panic!("no flight has a {}", other.datatype()),
    };
    wire.set_datatype(datatype);
    wire
}
