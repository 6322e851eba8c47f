//! The protocol of TensorFlow Serving with a model of several outputs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use taper::proto::tensorflow::serving::PredictRequest;
use taper::proto::tensorflow::{DataType, TensorProto};
use tonic::Code;

use crate::harness::TestGateway;
use crate::process::stdout_of;
use crate::tfs::{client, spec, tensor};

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().expect("a list").iter();
    let one = |value: &Value| {
        value.as_array().map_or_else(
            || vec![value.as_f64().expect("a number")],
            |_| numbers(value),
        )
    };
    list.flat_map(one).collect()
}

#[tokio::test]
async fn several_outputs_are_answered_and_filtered() {
    let gateway = TestGateway::start("", |root| {
        let registry = root.to_str().expect("a path");
        let file = "tests/fixtures/formats/torch_two_ts.onnx";
        stdout_of(&["import", file, "--model", "two", "--registry", registry]);
    })
    .await;
    let mut client = client(&gateway).await;
    let case = fs::read(Path::new("tests/fixtures/formats/torch_two_ts.json")).expect("a fixture");
    let case: Value = serde_json::from_slice(&case).expect("JSON");
    let ids: Vec<i64> = serde_json::from_value(case["inputs"]["ids"].clone()).expect("integers");
    #[expect(clippy::cast_possible_truncation, reason = "these numbers were FP32")]
    let x: Vec<f32> = numbers(&case["inputs"]["x"])
        .into_iter()
        .map(|x| x as f32)
        .collect();
    let rows = i64::try_from(ids.len()).expect("few");
    let inputs = [
        (
            "ids",
            TensorProto {
                int64_val: ids,
                ..tensor(DataType::DtInt64, &[rows])
            },
        ),
        (
            "x",
            TensorProto {
                float_val: x,
                ..tensor(DataType::DtFloat, &[rows, 4])
            },
        ),
    ];
    let request = PredictRequest {
        model_spec: Some(spec("two")),
        inputs: BTreeMap::from(inputs.map(|(name, tensor)| (name.to_owned(), tensor))),
        ..PredictRequest::default()
    };
    let (scores, kinds) = (
        numbers(&case["expected"]["score"]),
        numbers(&case["expected"]["kind"]),
    );
    for filter in [&[][..], &["kind"], &["score"], &["kind", "score"]] {
        let request = PredictRequest {
            output_filter: filter.iter().map(|&name| name.to_owned()).collect(),
            ..request.clone()
        };
        let answer = client
            .predict(request)
            .await
            .expect("an answer")
            .into_inner();
        let names: Vec<&str> = answer.outputs.keys().map(String::as_str).collect();
        let mut wanted = if filter.is_empty() {
            vec!["score", "kind"]
        } else {
            filter.to_vec()
        };
        wanted.sort_unstable();
        assert_eq!(names, wanted);
        if let Some(score) = answer.outputs.get("score") {
            assert_eq!(score.dtype(), DataType::DtFloat);
            assert_eq!(score.float_val.len(), scores.len());
            let mut pairs = score.float_val.iter().zip(&scores);
            assert!(
                pairs.all(|(got, wanted)| (f64::from(*got) - wanted).abs() < 1e-5),
                "{score:?}"
            );
        }
        if let Some(kind) = answer.outputs.get("kind") {
            assert_eq!(kind.dtype(), DataType::DtInt64);
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let got: Vec<f64> = kind.int64_val.iter().map(|x| *x as f64).collect();
            assert_eq!(got, kinds);
        }
    }
    let unknown = PredictRequest {
        output_filter: vec!["score".into(), "nothing".into()],
        ..request
    };
    let status = client.predict(unknown).await.expect_err("unknown");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(
        status.message().contains("output_filter[1]") && status.message().contains("nothing"),
        "{status:?}"
    );
    gateway.drain().await;
}
