//! Faults of requests, by name.

use taper::proto::inference::model_infer_request::InferRequestedOutputTensor;
use taper::proto::inference::{InferTensorContents, ModelInferRequest};
use tonic::Code;

use super::statistics::statistics;
use super::{infer, number, raw, text, two_versions, typed, with_parameter};
use crate::harness::{fields, with_header};

struct Case {
    field: &'static str,
    got: &'static str,
    request: ModelInferRequest,
}

fn cases() -> Vec<Case> {
    let case = |field, got, request| Case {
        field,
        got,
        request,
    };
    let typed = |edit: &dyn Fn(&mut ModelInferRequest)| {
        let mut request = typed(2);
        edit(&mut request);
        request
    };
    let raw = |edit: &dyn Fn(&mut ModelInferRequest)| {
        let mut request = raw(2);
        edit(&mut request);
        request
    };
    let mut cases = vec![
        case("model_name", "nothing", raw(&|it| it.model_name.clear())),
        case(
            "inputs",
            "none",
            ModelInferRequest {
                model_name: "m".into(),
                ..Default::default()
            },
        ),
        case(
            "inputs[x]",
            "nothing",
            typed(&|it| drop(it.inputs.remove(0))),
        ),
        case(
            "raw_input_contents",
            "3 entries",
            raw(&|it| drop(it.raw_input_contents.pop())),
        ),
        case(
            "raw_input_contents",
            "5 entries",
            raw(&|it| it.raw_input_contents.push(vec![0].into())),
        ),
        case(
            "inputs[x].contents",
            "elements",
            raw(&|it| {
                let contents = InferTensorContents {
                    fp64_contents: vec![1.0, 2.0],
                    ..Default::default()
                };
                it.inputs[0].contents = Some(Box::new(contents));
            }),
        ),
        case(
            "raw_input_contents[x]",
            "15 bytes",
            raw(&|it| it.raw_input_contents[0] = vec![0; 15].into()),
        ),
        case(
            "raw_input_contents[color]",
            "4 bytes",
            raw(&|it| it.raw_input_contents[2] = vec![9, 0, 0, 0].into()),
        ),
        case(
            "inputs[x].contents.fp32_contents",
            "elements",
            typed(&|it| {
                let contents = it.inputs[0].contents.as_mut().expect("typed");
                contents.fp32_contents = vec![1.0, 2.0];
            }),
        ),
        case(
            "inputs[n].contents.uint64_contents",
            "elements",
            typed(&|it| {
                let contents = it.inputs[1].contents.as_mut().expect("typed");
                contents.uint64_contents = vec![1, 2];
            }),
        ),
        case(
            "inputs[x].parameters[shared_memory_region]",
            "a region",
            raw(&|it| {
                it.inputs[0]
                    .parameters
                    .insert("shared_memory_region".into(), text("r"));
            }),
        ),
        case(
            "outputs[0].name",
            "`values`",
            raw(&|it| it.outputs.push(wanted("values"))),
        ),
        case(
            "outputs[1].name",
            "`value`",
            raw(&|it| it.outputs.extend([wanted("value"), wanted("value")])),
        ),
        case(
            "outputs[0].parameters[classification]",
            "0",
            raw(&|it| {
                let mut wanted = wanted("value");
                wanted.parameters.insert("classification".into(), number(0));
                it.outputs.push(wanted);
            }),
        ),
        case(
            "outputs[0].parameters[shared_memory_region]",
            "a region",
            raw(&|it| {
                let mut wanted = wanted("value");
                wanted
                    .parameters
                    .insert("shared_memory_region".into(), text("r"));
                it.outputs.push(wanted);
            }),
        ),
        case(
            "parameters[routing_key]",
            "an integer",
            with_parameter(raw(&|_| {}), "routing_key", number(1)),
        ),
        case(
            "parameters[routing_key]",
            "1025 bytes",
            with_parameter(raw(&|_| {}), "routing_key", text(&"k".repeat(1025))),
        ),
        case(
            "parameters[response_id]",
            "a b",
            with_parameter(raw(&|_| {}), "response_id", text("a b")),
        ),
        case(
            "parameters[timeout]",
            "-1",
            with_parameter(raw(&|_| {}), "timeout", number(-1)),
        ),
        case(
            "parameters[timeout]",
            "a string",
            with_parameter(raw(&|_| {}), "timeout", text("1s")),
        ),
        // The version checks the request against the signature and uses the names of the protocol.
        case(
            "inputs[pair].shape",
            "[2]",
            raw(&|it| it.inputs[3].shape = vec![2]),
        ),
        case(
            "inputs[color][1]",
            "`blue`",
            typed(&|it| {
                let contents = it.inputs[2].contents.as_mut().expect("typed");
                contents.bytes_contents[1] = "blue".into();
            }),
        ),
    ];
    for datatype in ["FP8", "INT128", "STRING", "COMPLEX64", "fp64", ""] {
        cases.push(Case {
            field: "inputs[x].datatype",
            got: datatype,
            request: raw(&|it| it.inputs[0].datatype = datatype.into()),
        });
    }
    cases
}

fn wanted(name: &str) -> InferRequestedOutputTensor {
    InferRequestedOutputTensor {
        name: name.to_owned(),
        ..Default::default()
    }
}

#[tokio::test]
async fn wrong_input_is_refused_by_name_and_does_not_affect_the_next_request() {
    let (gateway, mut client) = two_versions("").await;
    for Case {
        field,
        got,
        request,
    } in cases()
    {
        let status = infer(&mut client, request).await.expect_err(field);
        assert_eq!(
            status.code(),
            Code::InvalidArgument,
            "{field} {got}: {status:?}"
        );
        assert_eq!(
            fields(&status).first().map(String::as_str),
            Some(field),
            "{status:?}"
        );
        assert!(
            status.message().contains(&format!("{field}: got ")),
            "{status:?}"
        );
        assert!(status.message().contains(got), "{field} {got}: {status:?}");
        infer(&mut client, raw(1)).await.expect("the next one");
    }
    let unknown = ModelInferRequest {
        model_name: "nobody".into(),
        ..raw(1)
    };
    let status = infer(&mut client, unknown).await.expect_err("unknown");
    assert_eq!(
        (status.code(), fields(&status)),
        (Code::NotFound, vec!["model_name".to_owned()])
    );
    let bad_header = with_header(raw(1), "taper-response-id", &"i".repeat(129));
    let status = infer(&mut client, bad_header).await.expect_err("too long");
    assert_eq!(fields(&status), ["taper-response-id"], "{status:?}");
    gateway.drain().await;
}

#[tokio::test]
async fn unknown_outputs_are_refused_before_anything_is_computed() {
    let (gateway, mut client) = two_versions("").await;
    let request = ModelInferRequest {
        outputs: vec![wanted("nothing")],
        ..raw(1)
    };
    infer(&mut client, request)
        .await
        .expect_err("no such output");
    let request = ModelInferRequest {
        outputs: vec![wanted("value")],
        ..raw(1)
    };
    infer(&mut client, request).await.expect("an answer");
    let stats = statistics(&mut client, "m", "2").await;
    assert_eq!((stats.inference_count, stats.execution_count), (1, 1));
    gateway.drain().await;
}
