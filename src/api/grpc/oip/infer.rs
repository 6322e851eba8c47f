//! Converts a `ModelInferRequest` to a query, and an answer to a `ModelInferResponse`.

use std::sync::Arc;

use http::HeaderMap;

use super::port::DataPort;
use super::tensor;
use crate::api::error_mapping::OPEN_INFERENCE;
use crate::api::grpc::stream::Item;
use crate::api::oip::{self, InferenceAnswer, RequestedOutput};
use crate::api::read::RESPONSE_ID;
use crate::api::status;
use crate::error::{InputFaults, PredictError};
use crate::proto::inference::infer_parameter::ParameterChoice;
use crate::proto::inference::model_infer_response::InferOutputTensor;
use crate::proto::inference::{
    InferParameter, ModelInferRequest, ModelInferResponse, ModelStreamInferResponse,
};
use crate::serving::Query;
use crate::serving::admission::RequestPermit;

/// Parameter of a request in a stream that asks for a mark on the last response to it.
const WANTS_FINAL_MARK: &str = "triton_enable_empty_final_response";
/// The mark. Each request has one response, so every marked response is the last one.
const FINAL_MARK: &str = "triton_final_response";

/// Answers one request with its `headers` and its permit.
///
/// # Errors
/// See [`PredictError`].
pub(super) async fn answer(
    DataPort { predictor, catalog }: &DataPort,
    message: ModelInferRequest,
    headers: HeaderMap,
    permit: Result<Arc<RequestPermit>, PredictError>,
) -> Result<ModelInferResponse, PredictError> {
    let (options, query) = read(message, headers, permit?);
    let checked = query.and_then(|query| {
        oip::check_outputs(catalog, &query, &options.outputs)?;
        Ok(query)
    });
    let answer = predictor.answer(checked).await?;
    let answer = oip::infer_answer(answer, &options.outputs)?;
    Ok(write_response(options.id, answer))
}

/// Answers one request of a stream.
pub(super) async fn answer_item(
    port: DataPort,
    mut item: Item<ModelInferRequest>,
) -> ModelStreamInferResponse {
    let id = item.message.id.clone();
    let parameter = item.message.parameters.get(WANTS_FINAL_MARK);
    let wants_final_mark = matches!(
        parameter.and_then(|parameter| parameter.parameter_choice.as_ref()),
        Some(ParameterChoice::BoolParam(true))
    );
    // A header of the call cannot be the id of every answer in the stream.
    item.headers.remove(&RESPONSE_ID);
    let answered = answer(&port, item.message, item.headers, item.permit).await;
    let (mut response, error_message) = match answered {
        Ok(response) => (response, String::new()),
        Err(error) => {
            let only_id = ModelInferResponse {
                id,
                ..ModelInferResponse::default()
            };
            let status = status::to_status(&error, &OPEN_INFERENCE);
            (only_id, status.message().to_owned())
        }
    };
    if wants_final_mark {
        let parameter_choice = Some(ParameterChoice::BoolParam(true));
        let mark = InferParameter { parameter_choice };
        response.parameters.insert(FINAL_MARK.to_owned(), mark);
    }
    ModelStreamInferResponse {
        error_message,
        infer_response: Some(response),
    }
}

/// What the response needs from the request.
struct ResponseOptions {
    id: String,
    outputs: Vec<RequestedOutput>,
}

fn read(
    message: ModelInferRequest,
    headers: HeaderMap,
    permit: Arc<RequestPermit>,
) -> (ResponseOptions, Result<Query, InputFaults>) {
    let mut faults = InputFaults::default();
    let outputs = message.outputs.into_iter().enumerate();
    let requested = outputs
        .map(|(at, output)| RequestedOutput::new(at, output.name, &output.parameters, &mut faults))
        .collect();
    if message.model_name.is_empty() {
        faults.add(OPEN_INFERENCE.model, "nothing", "the name of a model");
    }
    let tensors = tensor::read(message.inputs, message.raw_input_contents, &mut faults);
    let request = oip::InferenceRequest {
        model: message.model_name,
        version: message.model_version,
        parameters: message.parameters,
        headers,
        tensors,
        permit,
    };
    let options = ResponseOptions {
        id: message.id,
        outputs: requested,
    };
    (options, oip::query(request, faults))
}

fn write_response(id: String, answer: InferenceAnswer) -> ModelInferResponse {
    let raw = answer.outputs.iter().map(|output| output.values.raw());
    let raw_output_contents = raw.collect();
    let outputs = answer.outputs.into_iter().map(|output| InferOutputTensor {
        datatype: output.values.datatype().to_string(),
        name: output.name,
        shape: output.shape,
        ..InferOutputTensor::default()
    });
    ModelInferResponse {
        model_name: answer.model,
        model_version: answer.version,
        id,
        parameters: answer.parameters,
        outputs: outputs.collect(),
        raw_output_contents,
    }
}
