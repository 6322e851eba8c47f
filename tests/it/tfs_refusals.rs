//! Errors that clients of TensorFlow Serving get for bad requests.

use taper::proto::tensorflow::serving::model_spec::VersionChoice;
use taper::proto::tensorflow::serving::{ModelSpec, PredictRequest};
use taper::proto::tensorflow::{DataType, TensorProto};
use tonic::Code;

use crate::harness::{fields, with_header};
use crate::tfs::{by, client, doubles, scores, spec, start, tensor, two_rows};

/// Returns two rows with one tensor edited.
fn with(name: &str, edit: impl FnOnce(&mut TensorProto)) -> PredictRequest {
    let mut request = two_rows();
    edit(request.inputs.get_mut(name).expect("an input"));
    request
}

struct Case {
    why: &'static str,
    request: PredictRequest,
    code: Code,
    /// Field that the error details name; empty if they name none.
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
    let request_of = |spec| PredictRequest {
        model_spec: spec,
        ..two_rows()
    };
    let label = |label: &str| VersionChoice::VersionLabel(label.into());
    let dtype = |dtype: DataType| with("x", |x| x.dtype = dtype.into());
    vec![
        bad("no model", "model_spec.name", request_of(None)),
        bad(
            "an empty name",
            "model_spec.name",
            request_of(Some(spec(""))),
        ),
        case(
            "unknown model",
            "model_spec.name",
            NotFound,
            request_of(Some(spec("nobody"))),
        ),
        case(
            "unknown version",
            "model_spec.version",
            NotFound,
            request_of(Some(by(VersionChoice::Version(9)))),
        ),
        case(
            "version zero",
            "model_spec.version",
            NotFound,
            request_of(Some(by(VersionChoice::Version(0)))),
        ),
        bad(
            "a version below zero",
            "model_spec.version",
            request_of(Some(by(VersionChoice::Version(-1)))),
        ),
        case(
            "a version that failed",
            "",
            Unavailable,
            request_of(Some(by(VersionChoice::Version(7)))),
        ),
        bad(
            "unknown label",
            "model_spec.version_label",
            request_of(Some(by(label("nobody")))),
        ),
        bad(
            "an empty label",
            "model_spec.version_label",
            request_of(Some(by(label("")))),
        ),
        bad(
            "another signature",
            "model_spec.signature_name",
            request_of(Some(ModelSpec {
                signature_name: "train".into(),
                ..spec("m")
            })),
        ),
        bad(
            "half floats",
            "inputs[x].double_val",
            dtype(DataType::DtHalf),
        ),
        bad(
            "complex numbers",
            "inputs[x].dtype",
            dtype(DataType::DtComplex64),
        ),
        bad(
            "quantised integers",
            "inputs[x].dtype",
            dtype(DataType::DtResource),
        ),
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
                    bool_val: vec![true, false],
                    ..tensor(DataType::DtBool, &[2])
                }
            }),
        ),
        bad(
            "no shape",
            "inputs[x].shape",
            with("x", |x| x.tensor_shape = None),
        ),
        bad(
            "a scalar",
            "inputs[x].shape",
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
            with("x", |x| *x = doubles(&[2, 2], &[1.0])),
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
async fn each_bad_request_is_refused_by_name_and_the_next_good_request_succeeds() {
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
async fn outputs_requested_by_name_are_returned() {
    let gateway = start().await;
    let mut client = client(&gateway).await;
    let request = PredictRequest {
        output_filter: vec!["value".into()],
        ..two_rows()
    };
    assert_eq!(scores(&mut client, request, "value").await.len(), 2);
    // If no version would answer, the error reports that.
    let request = PredictRequest {
        model_spec: Some(spec("nobody")),
        output_filter: vec!["value".into()],
        ..two_rows()
    };
    let status = client.predict(request).await.expect_err("unknown model");
    assert_eq!(fields(&status), ["model_spec.name"]);
    gateway.drain().await;
}
