//! Many requests on one call.

use taper::proto::inference::infer_parameter::ParameterChoice;
use taper::proto::inference::{InferParameter, ModelInferRequest, ModelStreamInferResponse};
use tokio_stream::StreamExt as _;

use super::{Client, parameter_of, raw, scores, two_versions, with_parameter};
use crate::harness::with_header;

async fn answers(
    client: &mut Client,
    requests: Vec<ModelInferRequest>,
) -> Vec<ModelStreamInferResponse> {
    let stream = tokio_stream::iter(requests);
    let answers = client.model_stream_infer(with_header(stream, "taper-response-id", "ours"));
    let answers = answers.await.expect("a stream").into_inner();
    let answers: Result<_, _> = answers.collect().await;
    answers.expect("no error ends it")
}

#[tokio::test]
async fn answers_arrive_in_order_and_an_error_affects_one_request_only() {
    let (gateway, mut client) = two_versions("").await;
    let requests = (0..100).map(|at| {
        let mut request = ModelInferRequest {
            id: format!("request {at}"),
            model_version: (1 + at % 2).to_string(),
            ..raw(1 + at % 5)
        };
        match at % 10 {
            3 => request.model_version = "7".into(),
            7 => request.inputs[0].datatype = "FP8".into(),
            _ => {}
        }
        request
    });
    let answers = answers(&mut client, requests.collect()).await;
    assert_eq!(answers.len(), 100);
    let mut ids = std::collections::BTreeSet::new();
    for (at, answer) in answers.iter().enumerate() {
        let response = answer.infer_response.as_ref().expect("with its id");
        assert_eq!(response.id, format!("request {at}"));
        assert_eq!(
            parameter_of(response, "triton_final_response"),
            None,
            "not requested"
        );
        match at % 10 {
            3 => assert_eq!(answer.error_message, "model `m` has no version 7"),
            7 => assert!(
                answer
                    .error_message
                    .starts_with("inputs[x].datatype: got `FP8`"),
                "{answer:?}"
            ),
            _ => {
                assert_eq!(answer.error_message, "");
                let version = if at % 2 == 0 { 1.0 } else { 2.0 };
                assert_eq!(scores(response), vec![version; 1 + at % 5]);
                let id = parameter_of(response, "response_id").expect("every answer has one");
                assert!(
                    ids.insert(id),
                    "a header of the call names no single answer"
                );
            }
        }
        let is_answer = answer.error_message.is_empty();
        assert_eq!(!response.outputs.is_empty(), is_answer);
    }
    gateway.drain().await;
}

#[tokio::test]
async fn the_last_answer_to_a_request_is_marked_on_request() {
    let (gateway, mut client) = two_versions("").await;
    let asks = |is: bool| {
        let parameter_choice = Some(ParameterChoice::BoolParam(is));
        let asks = InferParameter { parameter_choice };
        with_parameter(raw(1), "triton_enable_empty_final_response", asks)
    };
    let wrong = ModelInferRequest {
        model_version: "7".into(),
        ..asks(true)
    };
    let answers = answers(&mut client, vec![asks(true), asks(false), wrong]).await;
    let ends: Vec<_> = answers
        .iter()
        .map(|answer| {
            parameter_of(
                answer.infer_response.as_ref().expect("a response"),
                "triton_final_response",
            )
        })
        .collect();
    assert_eq!(
        ends,
        [Some("true".to_owned()), None, Some("true".to_owned())]
    );
    gateway.drain().await;
}
