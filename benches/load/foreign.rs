//! The same golden flight by other protocols, as their clients send it.

use taper::model::payload::{Tensor, TensorData};
use taper::proto::inference::ModelInferRequest;
use taper::proto::inference::model_infer_request::InferInputTensor;

use crate::client::EncodedRequest;
use crate::common;

/// Encodes a request of the Open Inference Protocol with raw tensors.
pub(crate) fn open_inference() -> EncodedRequest {
    let tensors = common::tensors(&common::version(2), 1);
    let request = ModelInferRequest {
        model_name: common::MODEL.into(),
        inputs: tensors.iter().map(input).collect(),
        raw_input_contents: tensors.iter().map(raw).map(Into::into).collect(),
        ..ModelInferRequest::default()
    };
    EncodedRequest::by("/inference.GRPCInferenceService/ModelInfer", &request)
}

fn input(tensor: &Tensor) -> InferInputTensor {
    InferInputTensor {
        name: tensor.name.clone(),
        datatype: tensor.data.datatype().to_string(),
        shape: tensor.shape.clone(),
        ..InferInputTensor::default()
    }
}

fn raw(tensor: &Tensor) -> Vec<u8> {
    match &tensor.data {
        TensorData::Int32(values) => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        TensorData::Fp64(values) => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        TensorData::Bytes(texts) => {
            let one = |text: &bytes::Bytes| {
                let length = u32::try_from(text.len()).expect("short");
                [&length.to_le_bytes()[..], text].concat()
            };
            texts.iter().flat_map(one).collect()
        }
        other => panic!("no flight has a {}", other.datatype()),
    }
}
