//! One route table behind every protocol: a key selects the same version over each of them.

use std::collections::BTreeMap;

use taper::proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use taper::proto::inference::infer_parameter::ParameterChoice;
use taper::proto::inference::model_infer_request::InferInputTensor;
use taper::proto::inference::{InferParameter, ModelInferRequest};
use taper::proto::tensorflow::serving::prediction_service_client::PredictionServiceClient as TensorflowClient;
use taper::proto::tensorflow::serving::{ModelSpec, PredictRequest};
use taper::proto::tensorflow::tensor_shape_proto::Dim;
use taper::proto::tensorflow::{DataType, TensorProto, TensorShapeProto};
use taper::proto::v1;

use crate::harness::{TestGateway, connect, good, rows, with_header};
use crate::tiny;

/// Number of keys.
const KEYS: usize = 10_000;

fn open_inference(key: &str) -> ModelInferRequest {
    let input = |name: &str, datatype: &str, shape: &[i64]| InferInputTensor {
        name: name.into(),
        datatype: datatype.into(),
        shape: shape.into(),
        ..InferInputTensor::default()
    };
    let key = InferParameter {
        parameter_choice: Some(ParameterChoice::StringParam(key.into())),
    };
    ModelInferRequest {
        model_name: "m".into(),
        parameters: [("routing_key".into(), key)].into(),
        inputs: vec![
            input("x", "FP64", &[1]),
            input("color", "BYTES", &[1]),
            input("pair", "FP32", &[1, 2]),
        ],
        raw_input_contents: vec![
            1_f64.to_le_bytes().to_vec().into(),
            b"\x05\0\0\0green".to_vec().into(),
            [0.5_f32.to_le_bytes(), (-0.5_f32).to_le_bytes()]
                .concat()
                .into(),
        ],
        ..ModelInferRequest::default()
    }
}

fn tensorflow() -> PredictRequest {
    let tensor = |datatype: DataType, shape: &[i64]| {
        let dim = shape.iter().map(|&size| Dim {
            size,
            ..Dim::default()
        });
        TensorProto {
            dtype: datatype.into(),
            tensor_shape: Some(TensorShapeProto {
                dim: dim.collect(),
                ..TensorShapeProto::default()
            }),
            ..TensorProto::default()
        }
    };
    let inputs = [
        (
            "x",
            TensorProto {
                double_val: vec![1.0],
                ..tensor(DataType::DtDouble, &[1])
            },
        ),
        (
            "color",
            TensorProto {
                string_val: vec!["green".into()],
                ..tensor(DataType::DtString, &[1])
            },
        ),
        (
            "pair",
            TensorProto {
                float_val: vec![0.5, -0.5],
                ..tensor(DataType::DtFloat, &[1, 2])
            },
        ),
    ];
    PredictRequest {
        model_spec: Some(ModelSpec {
            name: "m".into(),
            ..ModelSpec::default()
        }),
        inputs: inputs.map(|(name, tensor)| (name.into(), tensor)).into(),
        ..PredictRequest::default()
    }
}

#[tokio::test]
async fn ten_thousand_keys_select_the_same_versions_over_every_protocol() {
    let split = "[models.m]\nsplit = { 1 = 5000, 2 = 3000, 3 = 2000 }";
    let mut gateway = TestGateway::start(split, |root| {
        for version in 1..=3 {
            tiny::publish(root, "m", version);
        }
    })
    .await;
    let channel = connect(gateway.addresses().data).await;
    let mut triton = GrpcInferenceServiceClient::new(channel.clone());
    let mut tensorflow_serving = TensorflowClient::new(channel);
    let mut counted = BTreeMap::<u64, usize>::new();
    for at in 0..KEYS {
        let key = format!("caller-{at}");
        let request = v1::PredictRequest {
            routing_key: key.clone(),
            ..rows("m", [good()])
        };
        let native = gateway.predict(request).await.expect("native").version;
        let answer = triton.model_infer(open_inference(&key)).await;
        let answer = answer.expect("Open Inference").into_inner();
        assert_eq!(answer.model_version, native.to_string(), "{key}");
        let request = with_header(tensorflow(), "taper-routing-key", &key);
        let answer = tensorflow_serving.predict(request).await;
        let answer = answer.expect("TensorFlow Serving").into_inner();
        let spec = answer.model_spec.expect("who answered");
        let version = taper::proto::tensorflow::serving::model_spec::VersionChoice::Version(
            native.try_into().expect("small"),
        );
        assert_eq!(spec.version_choice, Some(version), "{key}");
        *counted.entry(native).or_default() += 1;
    }
    for (version, share) in [(1, 5_000_usize), (2, 3_000), (3, 2_000)] {
        let got = counted.get(&version).copied().unwrap_or_default();
        assert!(
            got.abs_diff(share) < 300,
            "version {version} answered {got}"
        );
    }
    gateway.drain().await;
}
