//! Wrong input is refused by name, with the right code. The connection and later requests are not affected.

use serde_json::{Value, json};
use taper::proto::v1;
use tonic::Code;
use tonic_types::StatusExt;

use crate::harness::{TestGateway, good, row, rows, single_score};
use crate::tiny;

/// Version 1 alone, with a label, and a small message limit.
pub const TOML: &str = "
    [limits]
    max_message_bytes = 65536
    [models.m]
    labels = { stable = 1 }
    split = { 1 = 10000 }
";

struct Case {
    request: v1::PredictRequest,
    code: Code,
    /// Field that the error details name; empty if the transport refuses the message.
    field: &'static str,
    why: &'static str,
}

fn with(edit: impl FnOnce(&mut Value)) -> v1::PredictRequest {
    let mut row = good();
    edit(&mut row);
    rows("m", [row])
}

/// A tensor without values.
pub fn tensor(name: &str, datatype: v1::Datatype, shape: &[i64]) -> v1::Tensor {
    v1::Tensor {
        name: name.to_owned(),
        datatype: datatype.into(),
        shape: shape.to_vec(),
        ..Default::default()
    }
}

/// Good tensors for two rows, edited.
fn tensors(edit: impl FnOnce(&mut Vec<v1::Tensor>)) -> v1::PredictRequest {
    let mut tensors = vec![
        v1::Tensor {
            fp64_values: vec![1.0, 2.0],
            ..tensor("x", v1::Datatype::Fp64, &[2])
        },
        v1::Tensor {
            int64_values: vec![1, 2],
            ..tensor("n", v1::Datatype::Int64, &[2])
        },
        v1::Tensor {
            bytes_values: vec!["red".into(), "green".into()],
            ..tensor("color", v1::Datatype::Bytes, &[2])
        },
        v1::Tensor {
            fp32_values: vec![0.0; 4],
            ..tensor("pair", v1::Datatype::Fp32, &[2, 2])
        },
    ];
    edit(&mut tensors);
    v1::PredictRequest {
        model: "m".into(),
        tensors,
        ..Default::default()
    }
}

fn cases() -> Vec<Case> {
    use Code::{FailedPrecondition, InvalidArgument, NotFound, OutOfRange};
    let case = |code, field, why, request| Case {
        request,
        code,
        field,
        why,
    };
    let plain = || rows("m", [good()]);
    let pinned = |pin| v1::PredictRequest {
        pin: Some(pin),
        ..plain()
    };
    use v1::predict_request::Pin::{Label, Version};
    vec![
        case(NotFound, "model", "unknown model", rows("nobody", [good()])),
        case(InvalidArgument, "model", "no model", rows("", [good()])),
        case(NotFound, "version", "unknown version", pinned(Version(9))),
        case(NotFound, "version", "version zero", pinned(Version(0))),
        case(
            NotFound,
            "version",
            "version past i64",
            pinned(Version(u64::MAX)),
        ),
        case(
            FailedPrecondition,
            "",
            "a version that failed to load",
            pinned(Version(7)),
        ),
        case(
            NotFound,
            "label",
            "unknown label",
            pinned(Label("nobody".into())),
        ),
        case(
            InvalidArgument,
            "rows[0].x",
            "missing",
            with(|row| row["x"] = Value::Null),
        ),
        case(
            InvalidArgument,
            "rows[0].color",
            "left out",
            with(|row| {
                row.as_object_mut().expect("object").remove("color");
            }),
        ),
        case(
            InvalidArgument,
            "rows[0].extra",
            "surplus",
            with(|row| row["extra"] = json!(1)),
        ),
        case(
            InvalidArgument,
            "rows[0].colour",
            "misspelt",
            with(|row| {
                row["colour"] = json!("red");
            }),
        ),
        case(
            InvalidArgument,
            "rows[0].x",
            "a text for a number",
            with(|row| row["x"] = json!("1")),
        ),
        case(
            InvalidArgument,
            "rows[0].color",
            "a number for a text",
            with(|row| row["color"] = json!(1)),
        ),
        case(
            InvalidArgument,
            "rows[0].n",
            "half an integer",
            with(|row| row["n"] = json!(2.5)),
        ),
        case(
            InvalidArgument,
            "rows[0].x",
            "an object",
            with(|row| row["x"] = json!({"a": 1})),
        ),
        case(
            InvalidArgument,
            "rows[0].pair",
            "one of two values",
            with(|row| row["pair"] = json!([1])),
        ),
        case(
            InvalidArgument,
            "rows[0].pair",
            "a number for a list",
            with(|row| row["pair"] = json!(1)),
        ),
        case(
            InvalidArgument,
            "rows[0].x",
            "past the range",
            with(|row| row["x"] = json!(100.5)),
        ),
        case(
            InvalidArgument,
            "rows[0].color",
            "unknown category",
            with(|row| row["color"] = json!("blue")),
        ),
        case(InvalidArgument, "rows[0].x", "NaN in a row", {
            let mut request = plain();
            number(&mut request, "x", f64::NAN);
            request
        }),
        case(InvalidArgument, "rows[0].x", "infinite in a row", {
            let mut request = plain();
            number(&mut request, "x", f64::INFINITY);
            request
        }),
        case(InvalidArgument, "rows", "empty batch", rows("m", [])),
        case(
            InvalidArgument,
            "rows",
            "a batch past the limit of 64 rows",
            v1::PredictRequest {
                rows: vec![row(&good()); 65],
                ..plain()
            },
        ),
        case(
            InvalidArgument,
            "rows",
            "rows and tensors",
            v1::PredictRequest {
                rows: plain().rows,
                ..tensors(|_| {})
            },
        ),
        case(
            InvalidArgument,
            "tensors[x][1]",
            "NaN in a tensor",
            tensors(|tensors| {
                tensors[0].fp64_values[1] = f64::NAN;
            }),
        ),
        case(
            InvalidArgument,
            "tensors[x][0]",
            "infinite in a tensor",
            tensors(|tensors| {
                tensors[0].fp64_values[0] = f64::NEG_INFINITY;
            }),
        ),
        case(
            InvalidArgument,
            "tensors[x].datatype",
            "wrong datatype",
            tensors(|tensors| {
                tensors[0] = v1::Tensor {
                    bool_values: vec![true, false],
                    ..tensor("x", v1::Datatype::Bool, &[2])
                };
            }),
        ),
        case(
            InvalidArgument,
            "tensors[x].datatype",
            "no datatype",
            tensors(|tensors| {
                tensors[0].datatype = 0;
            }),
        ),
        case(
            InvalidArgument,
            "tensors[x].datatype",
            "a datatype from the future",
            tensors(|tensors| {
                tensors[0].datatype = 99;
            }),
        ),
        case(
            InvalidArgument,
            "tensors[x].fp64_values",
            "values of another type",
            tensors(|tensors| {
                tensors[0].datatype = v1::Datatype::Fp32.into();
            }),
        ),
        case(
            InvalidArgument,
            "tensors[x].shape",
            "more elements than the shape",
            tensors(|tensors| {
                tensors[0].fp64_values.push(3.0);
            }),
        ),
        case(
            InvalidArgument,
            "tensors[x].shape",
            "a negative axis",
            tensors(|tensors| {
                tensors[0].shape = vec![-1];
            }),
        ),
        case(
            InvalidArgument,
            "tensors[x].shape",
            "an axis too many",
            tensors(|tensors| {
                tensors[0].shape = vec![2, 1, 1];
            }),
        ),
        case(
            InvalidArgument,
            "tensors[pair].shape",
            "three columns of two",
            tensors(|tensors| {
                tensors[3].shape = vec![2, 3];
                tensors[3].fp32_values = vec![0.0; 6];
            }),
        ),
        case(
            InvalidArgument,
            "tensors[pair].shape",
            "a shape that overflows",
            tensors(|tensors| {
                tensors[3].shape = vec![i64::MAX, 2];
            }),
        ),
        case(
            InvalidArgument,
            "tensors[pair].shape",
            "another number of rows",
            tensors(|tensors| {
                tensors[3].shape = vec![1, 2];
                tensors[3].fp32_values = vec![0.0; 2];
            }),
        ),
        case(
            InvalidArgument,
            "tensors[x].raw",
            "half an element",
            tensors(|tensors| {
                tensors[0].fp64_values.clear();
                tensors[0].raw = vec![0; 12].into();
            }),
        ),
        case(
            InvalidArgument,
            "tensors[color][1]",
            "not UTF-8",
            tensors(|tensors| {
                tensors[2].bytes_values[1] = vec![0xff, 0xfe].into();
            }),
        ),
        case(
            InvalidArgument,
            "tensors[color][0]",
            "unknown category",
            tensors(|tensors| {
                tensors[2].bytes_values[0] = "blue".into();
            }),
        ),
        case(
            InvalidArgument,
            "tensors[color]",
            "missing tensor",
            tensors(|tensors| {
                tensors.remove(2);
            }),
        ),
        case(
            InvalidArgument,
            "tensors[zzz]",
            "surplus tensor",
            tensors(|tensors| {
                tensors.push(v1::Tensor {
                    fp64_values: vec![1.0, 2.0],
                    ..tensor("zzz", v1::Datatype::Fp64, &[2])
                });
            }),
        ),
        case(
            InvalidArgument,
            "tensors[x]",
            "a tensor twice",
            tensors(|tensors| {
                let twice = tensors[0].clone();
                tensors.push(twice);
            }),
        ),
        case(
            InvalidArgument,
            "response_id",
            "blanks in the id",
            v1::PredictRequest {
                response_id: "a b".into(),
                ..plain()
            },
        ),
        case(
            InvalidArgument,
            "routing_key",
            "an endless key",
            v1::PredictRequest {
                routing_key: "k".repeat(1025),
                ..plain()
            },
        ),
        case(
            OutOfRange,
            "",
            "a message past the limit",
            v1::PredictRequest {
                routing_key: "k".repeat(100_000),
                ..plain()
            },
        ),
    ]
}

fn number(request: &mut v1::PredictRequest, name: &str, number: f64) {
    let kind = Some(prost_types::value::Kind::NumberValue(number));
    request.rows[0]
        .fields
        .insert(name.to_owned(), prost_types::Value { kind });
}

#[tokio::test]
async fn each_bad_request_is_refused_by_name_and_the_next_good_request_succeeds() {
    let mut gateway = TestGateway::start(TOML, |root| {
        tiny::publish(root, "m", 1);
        tiny::publish_with(root, "m", 7, |manifest| {
            manifest["files"][0]["bytes"] = json!(1)
        });
    })
    .await;
    for Case {
        request,
        code,
        field,
        why,
    } in cases()
    {
        let status = gateway.predict(request).await.expect_err(why);
        assert_eq!(status.code(), code, "{why}: {status:?}");
        assert!(
            !status.message().is_empty(),
            "{why}: the message says something"
        );
        if !field.is_empty() {
            let details = status.get_error_details();
            let named: Vec<_> = details
                .bad_request()
                .map(|bad| {
                    bad.field_violations
                        .iter()
                        .map(|v| v.field.as_str())
                        .collect()
                })
                .unwrap_or_default();
            assert!(
                named.contains(&field),
                "{why}: {field} is not among {named:?}"
            );
            let info = details.error_info().expect("error info");
            assert_eq!(info.domain, "taper.v1", "{why}");
        }
        let next = gateway.predict(rows("m", [good()])).await.expect(why);
        assert_eq!(
            single_score(&next),
            1.0,
            "{why}: the next request on the same connection succeeds"
        );
    }
    gateway.drain().await;
}
