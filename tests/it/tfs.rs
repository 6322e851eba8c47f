//! TensorFlow Serving's clients get the answers that native ones get, and hear what is wrong by the names that they know.

use std::collections::BTreeMap;
use std::path::Path;

use prost::Message;
use taper::model::payload::{Cell, Datatype, Row};
use taper::proto::tensorflow::serving::model_service_client::ModelServiceClient;
use taper::proto::tensorflow::serving::model_spec::VersionChoice;
use taper::proto::tensorflow::serving::model_version_status::State;
use taper::proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;
use taper::proto::tensorflow::serving::{
    GetModelMetadataRequest, GetModelStatusRequest, ModelSpec, PredictRequest, SignatureDefMap,
};
use taper::proto::tensorflow::{DataType, TensorProto, TensorShapeProto, tensor_shape_proto::Dim};
use taper::proto::v1;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::fixtures::Fixture;
use crate::flights;
use crate::harness::{Running, connect, fields, good, only, reason, rows, with_header};
use crate::python::python;
use crate::tiny;

type Client = PredictionServiceClient<Channel>;

async fn client(gateway: &Running) -> Client {
    PredictionServiceClient::new(connect(gateway.addresses().data).await)
}

/// A tensor without elements.
fn tensor(dtype: DataType, axes: &[i64]) -> TensorProto {
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

fn doubles(axes: &[i64], values: &[f64]) -> TensorProto {
    TensorProto {
        double_val: values.to_vec(),
        ..tensor(DataType::DtDouble, axes)
    }
}

fn spec(model: &str) -> ModelSpec {
    ModelSpec {
        name: model.into(),
        ..ModelSpec::default()
    }
}

fn by(choice: VersionChoice) -> ModelSpec {
    ModelSpec {
        version_choice: Some(choice),
        ..spec("m")
    }
}

/// Two rows for a tiny model, each datatype in the field of its own.
fn two_rows() -> PredictRequest {
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

/// The same, with one tensor edited.
fn with(name: &str, edit: impl FnOnce(&mut TensorProto)) -> PredictRequest {
    let mut request = two_rows();
    edit(request.inputs.get_mut(name).expect("an input"));
    request
}

fn bits(scores: &[f32]) -> Vec<u32> {
    scores.iter().map(|score| score.to_bits()).collect()
}

/// Scores of the only output, which is called `name`.
async fn scores(client: &mut Client, request: PredictRequest, name: &str) -> Vec<f32> {
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

/// One input of `rows` for both protocols: numbers as one block of bytes where `raw`, texts always one by one.
fn both(name: &str, datatype: Datatype, rows: &[Row], raw: bool) -> (v1::Tensor, TensorProto) {
    let axis = i64::try_from(rows.len()).expect("few rows");
    let cells = rows.iter().map(|row| {
        let cell = row.iter().find(|(column, _)| column == name);
        cell.map(|(_, cell)| cell).expect("every column is there")
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
    let mut gateway = Running::start("", flights::copy_models).await;
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

/// Versions 1 and 2 answer, version 7 does not load.
fn versions(root: &Path) {
    (1..=2).for_each(|version| tiny::publish(root, "m", version));
    tiny::publish_with(root, "m", 7, |manifest| {
        manifest["files"][0]["bytes"] = 1.into();
    });
}

async fn start() -> Running {
    Running::start(TOML, versions).await
}

fn header<'a, T>(response: &'a Response<T>, name: &str) -> &'a str {
    let value = response.metadata().get(name);
    value.map_or("", |value| value.to_str().expect("a text"))
}

#[tokio::test]
async fn pins_and_names_of_signatures_are_understood_and_every_answer_says_who_gave_it() {
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
            let told = [
                ("taper-model", "m"),
                ("taper-version", &want.to_string()),
                ("taper-role", "primary"),
                ("taper-policy-revision", "1"),
                ("taper-response-id", "order-17"),
            ];
            for (name, value) in told {
                assert_eq!(header(&response, name), value, "{name}");
            }
            let answer = response.into_inner();
            let told = answer.model_spec.expect("who answered");
            assert_eq!(told.name, "m");
            assert_eq!(told.version_choice, Some(VersionChoice::Version(want)));
            assert_eq!(told.signature_name, "serving_default");
            #[expect(clippy::cast_precision_loss, reason = "small versions")]
            let want = vec![want as f32; 2];
            assert_eq!(answer.outputs["value"].float_val, want);
        }
    }
    gateway.drain().await;
}

#[tokio::test]
async fn equal_keys_go_where_native_requests_go() {
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

/// Single values that stand for `rows` rows.
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
async fn one_value_fills_a_shape_that_a_message_could_have_held_and_no_larger_one() {
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
    // Terabytes, were they made.
    for rows in [1_000_000_000_000, i64::MAX] {
        let status = client.predict(single_values(rows)).await;
        let status = status.expect_err("no memory holds it");
        assert_eq!(status.code(), Code::InvalidArgument);
        let want = ["color", "pair", "x"].map(|name| format!("inputs[{name}].tensor_shape"));
        assert_eq!(fields(&status), want);
    }
    // What is filled takes room as if it had been sent: 64 KiB fit a message, and not beside it.
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

struct Case {
    why: &'static str,
    request: PredictRequest,
    code: Code,
    /// Field that the details name; empty: none.
    field: &'static str,
}

fn cases() -> Vec<Case> {
    use Code::{InvalidArgument, NotFound, Unavailable};
    let case = |why, field, code, request| Case {
        why,
        request,
        code,
        field,
    };
    let bad = |why, field, request| case(why, field, InvalidArgument, request);
    let asking = |spec| PredictRequest {
        model_spec: spec,
        ..two_rows()
    };
    let label = |label: &str| VersionChoice::VersionLabel(label.into());
    let dtype = |dtype: DataType| with("x", |x| x.dtype = dtype.into());
    vec![
        bad("no model", "model_spec.name", asking(None)),
        bad("an empty name", "model_spec.name", asking(Some(spec("")))),
        case(
            "unknown model",
            "model_spec.name",
            NotFound,
            asking(Some(spec("nobody"))),
        ),
        case(
            "unknown version",
            "model_spec.version",
            NotFound,
            asking(Some(by(VersionChoice::Version(9)))),
        ),
        case(
            "version zero",
            "model_spec.version",
            NotFound,
            asking(Some(by(VersionChoice::Version(0)))),
        ),
        bad(
            "a version below zero",
            "model_spec.version",
            asking(Some(by(VersionChoice::Version(-1)))),
        ),
        case(
            "a version that failed",
            "",
            Unavailable,
            asking(Some(by(VersionChoice::Version(7)))),
        ),
        bad(
            "unknown label",
            "model_spec.version_label",
            asking(Some(by(label("nobody")))),
        ),
        bad(
            "an empty label",
            "model_spec.version_label",
            asking(Some(by(label("")))),
        ),
        bad(
            "another signature",
            "model_spec.signature_name",
            asking(Some(ModelSpec {
                signature_name: "train".into(),
                ..spec("m")
            })),
        ),
        bad("half floats", "inputs[x].dtype", dtype(DataType::DtHalf)),
        bad("short integers", "inputs[x].dtype", dtype(DataType::DtInt8)),
        bad("no type", "inputs[x].dtype", dtype(DataType::DtInvalid)),
        bad(
            "a type from the future",
            "inputs[x].dtype",
            with("x", |x| x.dtype = 99),
        ),
        bad(
            "the type of another field",
            "inputs[x].double_val",
            dtype(DataType::DtFloat),
        ),
        bad(
            "a type that the input has not",
            "inputs[x].datatype",
            with("x", |x| {
                *x = TensorProto {
                    float_val: vec![1.0, 2.0],
                    ..tensor(DataType::DtFloat, &[2])
                }
            }),
        ),
        bad(
            "no shape",
            "inputs[x].tensor_shape",
            with("x", |x| x.tensor_shape = None),
        ),
        bad(
            "a scalar",
            "inputs[x].tensor_shape",
            with("x", |x| *x = doubles(&[], &[1.0])),
        ),
        bad(
            "an unknown rank",
            "inputs[x].tensor_shape",
            with("x", |x| {
                x.tensor_shape.as_mut().expect("shape").unknown_rank = true
            }),
        ),
        bad(
            "an axis below zero",
            "inputs[x].shape",
            with("x", |x| *x = doubles(&[-1], &[1.0])),
        ),
        bad(
            "axes that the input has not",
            "inputs[x].shape",
            with("x", |x| *x = doubles(&[2, 1], &[1.0])),
        ),
        bad(
            "two of three values",
            "inputs[x].shape",
            with("x", |x| *x = doubles(&[3], &[1.0, 2.0])),
        ),
        bad(
            "no values",
            "inputs[x].shape",
            with("x", |x| x.double_val.clear()),
        ),
        bad(
            "values and a block",
            "inputs[x].double_val",
            with("x", |x| x.tensor_content = vec![0; 16].into()),
        ),
        bad(
            "half an element",
            "inputs[x].tensor_content",
            with("x", |x| {
                x.double_val.clear();
                x.tensor_content = vec![0; 12].into();
            }),
        ),
        bad(
            "a block of texts",
            "inputs[color].tensor_content",
            with("color", |color| {
                color.string_val.clear();
                color.tensor_content = b"\x03\0\0\0red".to_vec().into();
            }),
        ),
        bad(
            "a value out of range",
            "inputs[x][1]",
            with("x", |x| x.double_val[1] = 1e9),
        ),
        bad(
            "an unknown category",
            "inputs[color][0]",
            with("color", |color| color.string_val[0] = "blue".into()),
        ),
        bad("a missing input", "inputs[pair]", {
            let mut request = two_rows();
            request.inputs.remove("pair");
            request
        }),
        bad("a surplus input", "inputs[y]", {
            let mut request = two_rows();
            request.inputs.insert("y".into(), doubles(&[2], &[1.0]));
            request
        }),
        bad(
            "an unknown output",
            "output_filter[1]",
            PredictRequest {
                output_filter: vec!["value".into(), "nobody".into()],
                ..two_rows()
            },
        ),
    ]
}

#[tokio::test]
async fn each_bad_request_is_refused_by_name_and_the_next_good_one_succeeds() {
    let gateway = start().await;
    let mut client = client(&gateway).await;
    for Case {
        why,
        request,
        code,
        field,
    } in cases()
    {
        let status = client.predict(request).await.expect_err(why);
        assert_eq!(status.code(), code, "{why}: {status:?}");
        let want: Vec<_> = [field]
            .into_iter()
            .filter(|field| !field.is_empty())
            .collect();
        assert_eq!(fields(&status), want, "{why}: {status:?}");
        client.predict(two_rows()).await.expect("the next one");
    }
    for (name, value) in [
        ("taper-response-id", "a b".to_owned()),
        ("taper-routing-key", "k".repeat(1025)),
    ] {
        let status = client.predict(with_header(two_rows(), name, &value)).await;
        assert_eq!(fields(&status.expect_err(name)), [name]);
    }
    gateway.drain().await;
}

#[tokio::test]
async fn outputs_that_are_asked_for_by_name_come() {
    let gateway = start().await;
    let mut client = client(&gateway).await;
    let request = PredictRequest {
        output_filter: vec!["value".into()],
        ..two_rows()
    };
    assert_eq!(scores(&mut client, request, "value").await.len(), 2);
    // Where nobody would answer, that is what is told.
    let request = PredictRequest {
        model_spec: Some(spec("nobody")),
        output_filter: vec!["value".into()],
        ..two_rows()
    };
    let status = client.predict(request).await.expect_err("unknown model");
    assert_eq!(fields(&status), ["model_spec.name"]);
    gateway.drain().await;
}

fn asking(spec: ModelSpec, field: &[&str]) -> GetModelMetadataRequest {
    GetModelMetadataRequest {
        model_spec: Some(spec),
        metadata_field: field.iter().map(|&field| field.into()).collect(),
    }
}

#[tokio::test]
async fn metadata_holds_the_signature_of_the_version_that_would_answer() {
    let gateway = start().await;
    let mut client = client(&gateway).await;
    for (asked, version) in [
        (spec("m"), 2),
        (by(VersionChoice::Version(1)), 1),
        (by(VersionChoice::VersionLabel("stable".into())), 1),
    ] {
        let told = client.get_model_metadata(asking(asked, &["signature_def"]));
        let told = told.await.expect("metadata").into_inner();
        let who = told.model_spec.expect("who");
        assert_eq!(who.name, "m");
        assert_eq!(who.version_choice, Some(VersionChoice::Version(version)));
        let [(name, any)] = &told.metadata.into_iter().collect::<Vec<_>>()[..] else {
            panic!("one field");
        };
        assert_eq!(name, "signature_def");
        assert_eq!(
            any.type_url,
            "type.googleapis.com/tensorflow.serving.SignatureDefMap"
        );
        let map = SignatureDefMap::decode(&any.value[..]).expect("a map");
        assert_eq!(map.signature_def.len(), 1);
        let signature = &map.signature_def["serving_default"];
        assert_eq!(signature.method_name, "tensorflow/serving/predict");
        let told = |tensors: &BTreeMap<_, taper::proto::tensorflow::TensorInfo>| {
            let told = tensors.iter().map(|(name, info): (&String, _)| {
                assert_eq!(*name, info.name);
                let shape = info.tensor_shape.clone().expect("a shape");
                let axes: Vec<_> = shape.dim.iter().map(|axis| axis.size).collect();
                format!("{name} {} {axes:?}", info.dtype().as_str_name())
            });
            told.collect::<Vec<_>>()
        };
        assert_eq!(
            told(&signature.inputs),
            [
                "color DT_STRING [-1]",
                "n DT_INT64 [-1]",
                "pair DT_FLOAT [-1, 2]",
                "x DT_DOUBLE [-1]"
            ]
        );
        assert_eq!(told(&signature.outputs), ["value DT_FLOAT [-1, 1]"]);
    }
    for (asked, fields_asked, code, field) in [
        (spec("m"), &[][..], Code::InvalidArgument, "metadata_field"),
        (
            spec("m"),
            &["signature_def", "assets"],
            Code::InvalidArgument,
            "metadata_field",
        ),
        (
            spec(""),
            &["signature_def"],
            Code::InvalidArgument,
            "model_spec.name",
        ),
        (
            spec("nobody"),
            &["signature_def"],
            Code::NotFound,
            "model_spec.name",
        ),
        (
            by(VersionChoice::Version(9)),
            &["signature_def"],
            Code::NotFound,
            "model_spec.version",
        ),
    ] {
        let refused = client.get_model_metadata(asking(asked, fields_asked)).await;
        let refused = refused.expect_err("refused");
        assert_eq!(
            (refused.code(), fields(&refused)),
            (code, vec![field.to_owned()])
        );
    }
    gateway.drain().await;
}

async fn standing(
    client: &mut ModelServiceClient<Channel>,
    spec: ModelSpec,
) -> Result<Vec<(i64, State, i32, String)>, Status> {
    let request = GetModelStatusRequest {
        model_spec: Some(spec),
    };
    let told = client.get_model_status(request).await?.into_inner();
    let told = told.model_version_status.into_iter().map(|told| {
        let status = told.status.clone().expect("a status");
        (
            told.version,
            told.state(),
            status.error_code,
            status.error_message,
        )
    });
    Ok(told.collect())
}

#[tokio::test]
async fn status_tells_how_versions_stand_and_not_why_one_failed() {
    let gateway = start().await;
    let mut client = ModelServiceClient::new(connect(gateway.addresses().data).await);
    let fine = |version| (version, State::Available, 0, String::new());
    let failed = "version 7 failed to load; `GetModel` says why".to_owned();
    let seven = (7, State::End, 9, failed);
    let all = standing(&mut client, spec("m")).await.expect("all");
    assert_eq!(all, [seven.clone(), fine(2), fine(1)]);
    for (choice, want) in [
        (VersionChoice::Version(7), seven),
        (VersionChoice::Version(1), fine(1)),
        (VersionChoice::VersionLabel("canary".into()), fine(2)),
        (VersionChoice::VersionLabel("latest".into()), fine(2)),
    ] {
        let one = standing(&mut client, by(choice)).await.expect("one");
        assert_eq!(one, [want]);
    }
    for (asked, code, field) in [
        (spec(""), Code::InvalidArgument, "model_spec.name"),
        (spec("nobody"), Code::NotFound, "model_spec.name"),
        (
            by(VersionChoice::Version(9)),
            Code::NotFound,
            "model_spec.version",
        ),
        (
            by(VersionChoice::VersionLabel("nobody".into())),
            Code::InvalidArgument,
            "model_spec.version_label",
        ),
    ] {
        let refused = standing(&mut client, asked).await.expect_err("refused");
        assert_eq!(
            (refused.code(), fields(&refused)),
            (code, vec![field.to_owned()])
        );
    }
    gateway.drain().await;
}

#[tokio::test]
async fn stubs_that_grpc_tools_makes_of_our_protos_predict_and_ask() {
    let network = Fixture::read("breast_cancer_mlp");
    let mut gateway = Running::start("", |root| {
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
    let tiny = only(&gateway.predict(pinned).await.expect("native"));
    let rows: Vec<_> = network.rows.iter().map(|row| bits(row)).collect();
    let case = serde_json::json!({
        "model": network.name,
        "rows": rows,
        "scores": bits(&native.outputs[0].fp32_values),
        "tiny": tiny.to_bits(),
    });
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let address = gateway.addresses().data.to_string();
    let told = python(
        "tensorflow_serving.py",
        &[&address, protos.to_str().expect("UTF-8"), &case.to_string()],
    );
    assert_eq!(told.await, "48 scores equal, twice\n");
    gateway.drain().await;
}
