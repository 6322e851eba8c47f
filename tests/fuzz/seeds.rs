//! Valid requests from which the fuzzer starts.

use std::fs;
use std::path::Path;

use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use taper::model::npz;
use taper::model::payload::{Tensor, TensorData};
use taper::proto::inference::infer_parameter::ParameterChoice;
use taper::proto::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use taper::proto::inference::{InferParameter, InferTensorContents, ModelInferRequest};
use taper::proto::tensorflow::serving::model_spec::VersionChoice;
use taper::proto::tensorflow::serving::{ModelSpec, PredictRequest};
use taper::proto::tensorflow::tensor_shape_proto::Dim;
use taper::proto::tensorflow::{DataType, TensorProto, TensorShapeProto};
use taper::proto::v1;

use super::targets::FuzzTarget;

/// Returns valid requests for `target`.
pub fn of(target: FuzzTarget) -> Vec<Vec<u8>> {
    match target {
        FuzzTarget::Native => vec![rows().encode_to_vec(), tensors().encode_to_vec()],
        FuzzTarget::OpenInference => [typed(), raw()].map(|asked| asked.encode_to_vec()).into(),
        FuzzTarget::TensorFlowServing => [values(), content()]
            .map(|asked| asked.encode_to_vec())
            .into(),
        FuzzTarget::RestInfer => vec![[b"\0\0", JSON].concat(), blocks()],
        FuzzTarget::RestPredict => vec![PREDICT.to_vec()],
        FuzzTarget::Xgboost => files(&[
            "xgb_pseudohubererror.model.json",
            "xgb_categorical.model.ubj",
            "xgb_vector_leaf.model.ubj",
        ]),
        FuzzTarget::Lightgbm => files(&["lgb_linear.model.txt", "lgb_categorical.model.txt"]),
        FuzzTarget::Onnx => files(&["skl_columns.onnx", "torch_two_ts.onnx", "skl_tree.onnx"]),
        FuzzTarget::Npz => vec![archive()],
    }
}

/// Returns model files of other libraries.
fn files(names: &[&str]) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats");
    let read = |name: &&str| fs::read(dir.join(name)).expect("a fixture");
    names.iter().map(read).collect()
}

fn archive() -> Vec<u8> {
    let tensor = |name: &str, data: TensorData| Tensor {
        name: name.into(),
        shape: vec![2],
        data,
    };
    let tensors = [
        tensor("x", TensorData::Fp32(vec![0.5, -0.5])),
        tensor("t", TensorData::Bytes(vec!["a".into(), "bc".into()])),
    ];
    npz::write(&tensors).expect("an archive")
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

fn input(name: &str, datatype: &str, shape: &[i64]) -> InferInputTensor {
    InferInputTensor {
        name: name.into(),
        datatype: datatype.into(),
        shape: shape.into(),
        ..InferInputTensor::default()
    }
}

fn typed() -> ModelInferRequest {
    let with = |input, contents| InferInputTensor {
        contents: Some(Box::new(contents)),
        ..input
    };
    let parameter = |parameter_choice| InferParameter {
        parameter_choice: Some(parameter_choice),
    };
    let x = InferTensorContents {
        fp64_contents: vec![1.0],
        ..InferTensorContents::default()
    };
    let n = InferTensorContents {
        int64_contents: vec![3],
        ..InferTensorContents::default()
    };
    let color = InferTensorContents {
        bytes_contents: vec!["red".into()],
        ..InferTensorContents::default()
    };
    let pair = InferTensorContents {
        fp32_contents: vec![0.5, -0.5],
        ..InferTensorContents::default()
    };
    ModelInferRequest {
        model_name: "m".into(),
        model_version: "1".into(),
        id: "seven".into(),
        parameters: [
            (
                "routing_key".into(),
                parameter(ParameterChoice::StringParam("somebody".into())),
            ),
            (
                "timeout".into(),
                parameter(ParameterChoice::Int64Param(5_000_000)),
            ),
        ]
        .into(),
        inputs: vec![
            with(input("x", "FP64", &[1]), x),
            with(input("n", "INT64", &[1]), n),
            with(input("color", "BYTES", &[1]), color),
            with(input("pair", "FP32", &[1, 2]), pair),
        ],
        outputs: vec![InferRequestedOutputTensor {
            name: "value".into(),
            ..InferRequestedOutputTensor::default()
        }],
        ..ModelInferRequest::default()
    }
}

fn raw() -> ModelInferRequest {
    ModelInferRequest {
        model_name: "m".into(),
        inputs: vec![
            input("x", "FP64", &[2]),
            input("color", "BYTES", &[2]),
            input("pair", "FP32", &[2, 2]),
        ],
        raw_input_contents: vec![
            [1_f64.to_le_bytes(), 2_f64.to_le_bytes()].concat().into(),
            b"\x03\0\0\0red\x05\0\0\0green"[..].into(),
            [0_f32, 1.0, 2.0, 3.0].map(f32::to_le_bytes).concat().into(),
        ],
        ..ModelInferRequest::default()
    }
}

fn tensor(dtype: DataType, shape: &[i64]) -> TensorProto {
    let dim = shape.iter().map(|&size| Dim {
        size,
        ..Dim::default()
    });
    TensorProto {
        dtype: dtype.into(),
        tensor_shape: Some(TensorShapeProto {
            dim: dim.collect(),
            ..TensorShapeProto::default()
        }),
        ..TensorProto::default()
    }
}

fn spec(choice: VersionChoice) -> ModelSpec {
    ModelSpec {
        name: "m".into(),
        version_choice: Some(choice),
        ..ModelSpec::default()
    }
}

/// One value fills `x`.
fn values() -> PredictRequest {
    let x = TensorProto {
        double_val: vec![1.0],
        ..tensor(DataType::DtDouble, &[3])
    };
    let color = TensorProto {
        string_val: vec!["red".into(), "green".into(), "red".into()],
        ..tensor(DataType::DtString, &[3])
    };
    let pair = TensorProto {
        float_val: vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
        ..tensor(DataType::DtFloat, &[3, 2])
    };
    let inputs = [("x", x), ("color", color), ("pair", pair)];
    PredictRequest {
        model_spec: Some(spec(VersionChoice::VersionLabel("2".into()))),
        inputs: inputs.map(|(name, tensor)| (name.into(), tensor)).into(),
        output_filter: vec!["value".into()],
    }
}

fn content() -> PredictRequest {
    let x = TensorProto {
        tensor_content: 1_f64.to_le_bytes().to_vec().into(),
        ..tensor(DataType::DtDouble, &[1])
    };
    let color = TensorProto {
        string_val: vec!["green".into()],
        ..tensor(DataType::DtString, &[1])
    };
    let pair = TensorProto {
        tensor_content: [0.5_f32, -0.5].map(f32::to_le_bytes).concat().into(),
        ..tensor(DataType::DtFloat, &[1, 2])
    };
    let inputs = [("x", x), ("color", color), ("pair", pair)];
    PredictRequest {
        model_spec: Some(spec(VersionChoice::Version(1))),
        inputs: inputs.map(|(name, tensor)| (name.into(), tensor)).into(),
        ..PredictRequest::default()
    }
}

const JSON: &[u8] =
    br#"{"id": "seven", "parameters": {"routing_key": "somebody", "timeout": 5000000},
  "inputs": [{"name": "x", "datatype": "FP64", "shape": [2], "data": [1.0, -2.5e-1]},
    {"name": "n", "datatype": "INT64", "shape": [2], "data": [3, 9007199254740993]},
    {"name": "color", "datatype": "BYTES", "shape": [2], "data": ["red", "gr\u0065en"]},
    {"name": "pair", "datatype": "FP32", "shape": [2, 2], "data": [[0.5, -0.5], [0.1, 0.2]]}],
  "outputs": [{"name": "value", "parameters": {"binary_data": true}}]}"#;

const PREDICT: &[u8] = br#"{"routing_key": "somebody", "response_id": "one", "timeout_ms": 5000,
  "rows": [{"x": 1.0, "n": null, "color": "green", "pair": [0.5, -0.5]}, {"x": 2, "n": 4, "color": "red", "pair": [1, 2]}]}"#;

/// JSON, and two blocks of bytes after it.
fn blocks() -> Vec<u8> {
    let json = br#"{"inputs": [
      {"name": "x", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": 8}},
      {"name": "color", "datatype": "BYTES", "shape": [1], "data": ["red"]},
      {"name": "pair", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}],
      "parameters": {"binary_data_output": true}}"#;
    let length = u16::try_from(json.len()).expect("short").to_le_bytes();
    let pair = [0.5_f32, -0.5].map(f32::to_le_bytes).concat();
    [&length[..], json, &1_f64.to_le_bytes(), &pair].concat()
}
