//! Clients of TensorFlow Serving get the answers of native clients, and errors with the names of their protocol.

use std::collections::BTreeMap;
use std::path::Path;

use taper::model::payload::{Cell, Datatype, Row};
use taper::proto::tensorflow::serving::model_spec::VersionChoice;
use taper::proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;
use taper::proto::tensorflow::serving::{ModelSpec, PredictRequest};
use taper::proto::tensorflow::{DataType, TensorProto, TensorShapeProto, tensor_shape_proto::Dim};
use taper::proto::v1;
use tonic::transport::Channel;
use tonic::{Code, Response};

use crate::fixtures::Fixture;
use crate::flights;
use crate::harness::{TestGateway, connect, fields, good, reason, rows, single_score, with_header};
use crate::python::python;
use crate::tiny;

/// The client of TensorFlow Serving's `Predict`.
pub type Client = PredictionServiceClient<Channel>;

/// Returns a client of `gateway`.
pub async fn client(gateway: &TestGateway) -> Client {
    PredictionServiceClient::new(connect(gateway.addresses().data).await)
}

/// Returns a tensor without elements.
pub fn tensor(dtype: DataType, axes: &[i64]) -> TensorProto {
    let axis = |size: &i64| Dim {
        size: *size,
        ..Dim::default()
    };
    TensorProto {
        dtype: dtype.into(),
        tensor_shape: Some(TensorShapeProto {
            dim: axes.iter().map(axis).collect(),
            unknown_rank: false,
        }),
        ..TensorProto::default()
    }
}

/// Returns a `DT_DOUBLE` tensor with one field element per value.
pub fn doubles(axes: &[i64], values: &[f64]) -> TensorProto {
    TensorProto {
        double_val: values.to_vec(),
        ..tensor(DataType::DtDouble, axes)
    }
}

/// Returns the spec of a model without a version.
pub fn spec(model: &str) -> ModelSpec {
    ModelSpec {
        name: model.into(),
        ..ModelSpec::default()
    }
}

/// Returns the spec of a version of `m`.
pub fn by(choice: VersionChoice) -> ModelSpec {
    ModelSpec {
        version_choice: Some(choice),
        ..spec("m")
    }
}

/// Returns two rows for a tiny model. Each datatype uses its own field.
pub fn two_rows() -> PredictRequest {
    let inputs = [
        ("x", doubles(&[2], &[1.0, 2.0])),
        (
            "n",
            TensorProto {
                int64_val: vec![1, 2],
                ..tensor(DataType::DtInt64, &[2])
            },
        ),
        (
            "color",
            TensorProto {
                string_val: vec!["red".into(), "green".into()],
                ..tensor(DataType::DtString, &[2])
            },
        ),
        (
            "pair",
            TensorProto {
                float_val: vec![0.0, 0.5, 1.0, 1.5],
                ..tensor(DataType::DtFloat, &[2, 2])
            },
        ),
    ];
    PredictRequest {
        model_spec: Some(spec("m")),
        inputs: BTreeMap::from(inputs.map(|(name, tensor)| (name.to_owned(), tensor))),
        ..PredictRequest::default()
    }
}

fn bits(scores: &[f32]) -> Vec<u32> {
    scores.iter().map(|score| score.to_bits()).collect()
}

/// Returns the scores of the only output, which is called `name`.
pub async fn scores(client: &mut Client, request: PredictRequest, name: &str) -> Vec<f32> {
    let answer = client.predict(request).await.expect("answer").into_inner();
    let [(output, tensor)] = &answer.outputs.into_iter().collect::<Vec<_>>()[..] else {
        panic!("one output");
    };
    assert_eq!(output, name);
    assert_eq!(tensor.dtype(), DataType::DtFloat);
    let axes = tensor.tensor_shape.clone().expect("a shape").dim;
    let axes: Vec<_> = axes.iter().map(|axis| axis.size).collect();
    let rows = i64::try_from(tensor.float_val.len()).expect("few rows");
    assert_eq!(axes, [rows, 1]);
    tensor.float_val.clone()
}

/// Returns one input of `rows` for both protocols: numbers as one block of bytes if `raw`, texts always one by one.
fn both(name: &str, datatype: Datatype, rows: &[Row], raw: bool) -> (v1::Tensor, TensorProto) {
    let axis = i64::try_from(rows.len()).expect("few rows");
    let cells = rows.iter().map(|row| {
        let cell = row.iter().find(|(column, _)| column == name);
        cell.map(|(_, cell)| cell).expect("every column exists")
    });
    let numbers = || {
        cells.clone().map(|cell| match cell {
            Cell::Number(number) => *number,
            other => panic!("a number, not {other}"),
        })
    };
    let mut native = v1::Tensor {
        name: name.into(),
        shape: vec![axis],
        ..v1::Tensor::default()
    };
    let mut theirs = match datatype {
        Datatype::Int32 => {
            #[expect(clippy::cast_possible_truncation, reason = "small whole numbers")]
            let whole: Vec<_> = numbers().map(|number| number as i32).collect();
            native.set_datatype(v1::Datatype::Int32);
            native.int32_values.clone_from(&whole);
            TensorProto {
                tensor_content: whole.iter().flat_map(|x| x.to_le_bytes()).collect(),
                int_val: whole,
                ..tensor(DataType::DtInt32, &[axis])
            }
        }
        Datatype::Fp64 => {
            let numbers: Vec<_> = numbers().collect();
            native.set_datatype(v1::Datatype::Fp64);
            native.fp64_values.clone_from(&numbers);
            TensorProto {
                tensor_content: numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
                ..doubles(&[axis], &numbers)
            }
        }
        Datatype::Bytes => {
            let texts = cells.map(|cell| match cell {
                Cell::Text(text) => text.clone().into(),
                other => panic!("a text, not {other}"),
            });
            let texts: Vec<_> = texts.collect();
            native.set_datatype(v1::Datatype::Bytes);
            native.bytes_values.clone_from(&texts);
            TensorProto {
                string_val: texts,
                ..tensor(DataType::DtString, &[axis])
            }
        }
        other => panic!("no flight has a {other}"),
    };
    if raw {
        (theirs.int_val, theirs.double_val) = Default::default();
    } else {
        theirs.tensor_content.clear();
    }
    (native, theirs)
}

#[tokio::test]
async fn answers_equal_native_ones_to_the_last_bit() {
    let mut gateway = TestGateway::start("", flights::copy_models).await;
    let mut client = client(&gateway).await;
    let signature = flights::versions()[0].signature().clone();
    let (rows, _) = flights::live(&signature);
    for (version, raw) in [(1, true), (1, false), (2, true), (2, false), (3, true)] {
        let tensors = signature.inputs().iter().map(|input| {
            let (native, theirs) = both(&input.name, input.datatype, &rows[..500], raw);
            (native, (input.name.clone(), theirs))
        });
        let (tensors, inputs): (Vec<_>, BTreeMap<_, _>) = tensors.unzip();
        let native = gateway
            .predict(v1::PredictRequest {
                model: "flight-delay".into(),
                pin: Some(v1::predict_request::Pin::Version(version)),
                tensors,
                ..Default::default()
            })
            .await
            .expect("native");
        let request = PredictRequest {
            model_spec: Some(ModelSpec {
                version_choice: Some(VersionChoice::Version(version.cast_signed())),
                ..spec("flight-delay")
            }),
            inputs,
            ..PredictRequest::default()
        };
        let theirs = scores(&mut client, request, "probability").await;
        assert_eq!(theirs.len(), 500);
        assert_eq!(bits(&theirs), bits(&native.outputs[0].fp32_values));
    }
    gateway.drain().await;
}

const TOML: &str = r#"
    [limits]
    max_message_bytes = 65536
    max_in_flight_bytes = 70000
    [models.m]
    labels = { stable = 1, canary = 2 }
    split = { stable = 9000, canary = 1000 }
    sticky_header = "x-user-id"
    header_rules = [{ header = "x-tester", value = "yes", version = 2 }]
"#;

/// Publishes versions 1 and 2, which answer, and version 7, which does not load.
fn versions(root: &Path) {
    (1..=2).for_each(|version| tiny::publish(root, "m", version));
    tiny::publish_with(root, "m", 7, |manifest| {
        manifest["files"][0]["bytes"] = 1.into();
    });
}

/// Starts a gateway where version 2 of `m` gets a tenth of the traffic, with small limits on messages.
pub async fn start() -> TestGateway {
    TestGateway::start(TOML, versions).await
}

fn header<'a, T>(response: &'a Response<T>, name: &str) -> &'a str {
    let value = response.metadata().get(name);
    value.map_or("", |value| value.to_str().expect("a text"))
}

#[tokio::test]
async fn pins_and_signature_names_are_supported_and_every_answer_names_its_version() {
    let gateway = start().await;
    let mut client = client(&gateway).await;
    let label = |label: &str| VersionChoice::VersionLabel(label.into());
    for (choice, want) in [
        (VersionChoice::Version(1), 1),
        (VersionChoice::Version(2), 2),
        (label("stable"), 1),
        (label("canary"), 2),
        (label("latest"), 2),
        (label("2"), 2),
    ] {
        for signature in ["", "serving_default"] {
            let request = PredictRequest {
                model_spec: Some(ModelSpec {
                    signature_name: signature.into(),
                    ..by(choice.clone())
                }),
                ..two_rows()
            };
            let request = with_header(request, "taper-response-id", "order-17");
            let response = client.predict(request).await.expect("answer");
            let headers = [
                ("taper-model", "m"),
                ("taper-version", &want.to_string()),
                ("taper-role", "primary"),
                ("taper-policy-revision", "1"),
                ("taper-response-id", "order-17"),
            ];
            for (name, value) in headers {
                assert_eq!(header(&response, name), value, "{name}");
            }
            let answer = response.into_inner();
            let model_spec = answer.model_spec.expect("who answered");
            assert_eq!(model_spec.name, "m");
            assert_eq!(
                model_spec.version_choice,
                Some(VersionChoice::Version(want))
            );
            assert_eq!(model_spec.signature_name, "serving_default");
            #[expect(clippy::cast_precision_loss, reason = "small versions")]
            let want = vec![want as f32; 2];
            assert_eq!(answer.outputs["value"].float_val, want);
        }
    }
    gateway.drain().await;
}

#[tokio::test]
async fn equal_keys_select_the_versions_of_native_requests() {
    let mut gateway = start().await;
    let mut client = client(&gateway).await;
    let mut canary = 0;
    for user in 0..200 {
        let key = format!("user-{user}");
        let native = gateway
            .predict(v1::PredictRequest {
                routing_key: key.clone(),
                ..rows("m", [good()])
            })
            .await
            .expect("native");
        for name in ["taper-routing-key", "x-user-id"] {
            let response = client.predict(with_header(two_rows(), name, &key)).await;
            let response = response.expect("answer");
            let version = header(&response, "taper-version");
            assert_eq!(version, native.version.to_string(), "{name}: {key}");
        }
        canary += u64::from(native.version == 2);
    }
    assert!((1..100).contains(&canary), "{canary} of 200");
    let ruled = client.predict(with_header(two_rows(), "x-tester", "yes"));
    assert_eq!(header(&ruled.await.expect("ruled"), "taper-version"), "2");
    gateway.drain().await;
}

/// Returns single values that TensorFlow Serving repeats for `rows` rows.
fn single_values(rows: i64) -> PredictRequest {
    PredictRequest {
        inputs: BTreeMap::from([
            ("x".into(), doubles(&[rows], &[1.0])),
            (
                "color".into(),
                TensorProto {
                    string_val: vec!["red".into()],
                    ..tensor(DataType::DtString, &[rows])
                },
            ),
            (
                "pair".into(),
                TensorProto {
                    float_val: vec![0.5],
                    ..tensor(DataType::DtFloat, &[rows, 2])
                },
            ),
        ]),
        ..two_rows()
    }
}

#[tokio::test]
async fn one_value_fills_a_shape_that_fits_a_message_and_no_larger_shape() {
    let gateway = start().await;
    let mut client = client(&gateway).await;
    assert_eq!(
        scores(&mut client, single_values(64), "value").await.len(),
        64
    );
    let status = client.predict(single_values(65)).await;
    let status = status.expect_err("more rows than the version takes");
    assert_eq!(
        (status.code(), fields(&status)),
        (Code::InvalidArgument, vec!["inputs".to_owned()])
    );
    // The filled tensors would take terabytes.
    for rows in [1_000_000_000_000, i64::MAX] {
        let status = client.predict(single_values(rows)).await;
        let status = status.expect_err("no memory holds it");
        assert_eq!(status.code(), Code::InvalidArgument);
        let want = ["color", "pair", "x"].map(|name| format!("inputs[{name}].tensor_shape"));
        assert_eq!(fields(&status), want);
    }
    // A filled tensor counts with its full size: 64 KiB fit a message, but not in addition to another one.
    let mut request = two_rows();
    request.inputs = BTreeMap::from([("x".into(), doubles(&[8192], &[1.0]))]);
    request
        .inputs
        .insert("n".into(), doubles(&[600], &[1.0; 600]));
    let full = client.predict(request).await.expect_err("too much at once");
    assert_eq!(
        (full.code(), reason(&full)),
        (Code::Unavailable, "OVERLOADED".to_owned())
    );
    client
        .predict(single_values(64))
        .await
        .expect("the room is given back");
    gateway.drain().await;
}

/// Tests that call programs from Debian packages or PyPI. `make check` leaves them out.
mod peers {
    use super::*;

    #[tokio::test]
    async fn stubs_generated_by_grpc_tools_predict_and_query_models() {
        let network = Fixture::read("breast_cancer_mlp");
        let mut gateway = TestGateway::start("", |root| {
            versions(root);
            network.publish(root, 3);
        })
        .await;
        let axis = |length: usize| i64::try_from(length).expect("short");
        let native = gateway
            .predict(v1::PredictRequest {
                model: network.name.into(),
                tensors: vec![v1::Tensor {
                    name: "features".into(),
                    datatype: v1::Datatype::Fp32.into(),
                    shape: vec![axis(network.rows.len()), axis(network.rows[0].len())],
                    fp32_values: network.rows.concat(),
                    ..Default::default()
                }],
                ..Default::default()
            })
            .await
            .expect("native");
        let pinned = v1::PredictRequest {
            pin: Some(v1::predict_request::Pin::Version(2)),
            ..rows("m", [good()])
        };
        let tiny = single_score(&gateway.predict(pinned).await.expect("native"));
        let rows: Vec<_> = network.rows.iter().map(|row| bits(row)).collect();
        let case = serde_json::json!({
            "model": network.name,
            "rows": rows,
            "scores": bits(&native.outputs[0].fp32_values),
            "tiny": tiny.to_bits(),
        });
        let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
        let address = gateway.addresses().data.to_string();
        let output = python(
            "tfs_predict.py",
            &[&address, protos.to_str().expect("UTF-8"), &case.to_string()],
        )
        .await;
        assert_eq!(output, "48 scores equal, twice\n");
        gateway.drain().await;
    }
}
