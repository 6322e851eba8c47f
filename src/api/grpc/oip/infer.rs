//! `ModelInferRequest` to a query, an answer to `ModelInferResponse`.

use std::sync::Arc;

use http::HeaderMap;

use super::port::DataPort;
use super::tensor;
use crate::api::error_mapping::OPEN_INFERENCE;
use crate::api::grpc::stream::Item;
use crate::api::read::RESPONSE_ID;
use crate::api::{oip, status};
use crate::error::{InputFaults, PredictError};
use crate::proto::inference::infer_parameter::ParameterChoice;
use crate::proto::inference::model_infer_response::InferOutputTensor;
use crate::proto::inference::{
    InferParameter, ModelInferRequest, ModelInferResponse, ModelStreamInferResponse,
};
use crate::serving::Query;
use crate::serving::admission::RequestPermit;

/// Asks in a stream to be told with each answer that it is the last one to its request, which every answer here is.
const ASKS_FOR_END: &str = "triton_enable_empty_final_response";
/// Tells it.
const END: &str = "triton_final_response";

/// Answers one request that came with `headers`.
///
/// # Errors
/// See [`PredictError`].
pub(super) async fn answer(
    DataPort { predictor, catalog }: &DataPort,
    message: ModelInferRequest,
    headers: HeaderMap,
    place: Result<Arc<RequestPermit>, PredictError>,
) -> Result<ModelInferResponse, PredictError> {
    let (asked, query) = read(message, headers, place?);
    let query = query.and_then(|query| {
        oip::giveable(catalog, &query, &asked.wanted)?;
        Ok(query)
    });
    let answer = predictor.answer(query).await?;
    let answered = oip::answered(answer, &asked.wanted)?;
    Ok(response(asked.id, answered))
}

/// Answers one request of a stream.
pub(super) async fn item(
    port: DataPort,
    mut item: Item<ModelInferRequest>,
) -> ModelStreamInferResponse {
    let id = item.message.id.clone();
    let asks_for_end = item.message.parameters.get(ASKS_FOR_END);
    let asks_for_end = asks_for_end.and_then(|asks| asks.parameter_choice.as_ref());
    let asks_for_end = matches!(asks_for_end, Some(ParameterChoice::BoolParam(true)));
    // The header of a call cannot name each answer of its stream.
    item.headers.remove(&RESPONSE_ID);
    let answered = answer(&port, item.message, item.headers, item.place).await;
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
    if asks_for_end {
        let parameter_choice = Some(ParameterChoice::BoolParam(true));
        let end = InferParameter { parameter_choice };
        response.parameters.insert(END.to_owned(), end);
    }
    ModelStreamInferResponse {
        error_message,
        infer_response: Some(response),
    }
}

/// What is needed of a request when its answer is there.
struct Asked {
    id: String,
    wanted: Vec<oip::Wanted>,
}

fn read(
    message: ModelInferRequest,
    headers: HeaderMap,
    permit: Arc<RequestPermit>,
) -> (Asked, Result<Query, InputFaults>) {
    let mut faults = InputFaults::default();
    let outputs = message.outputs.into_iter().enumerate();
    let wanted = outputs
        .map(|(at, output)| oip::Wanted::new(at, output.name, &output.parameters, &mut faults))
        .collect();
    if message.model_name.is_empty() {
        faults.add(OPEN_INFERENCE.model, "nothing", "the name of a model");
    }
    let tensors = tensor::read(message.inputs, message.raw_input_contents, &mut faults);
    let ask = oip::Ask {
        model: message.model_name,
        version: message.model_version,
        parameters: message.parameters,
        headers,
        tensors,
        permit,
    };
    let asked = Asked {
        id: message.id,
        wanted,
    };
    (asked, oip::query(ask, faults))
}

fn response(id: String, answered: oip::Answered) -> ModelInferResponse {
    let output = answered.output;
    let raw = output.values.raw();
    ModelInferResponse {
        model_name: answered.model,
        model_version: answered.version,
        id,
        parameters: answered.parameters,
        outputs: vec![InferOutputTensor {
            name: output.name,
            datatype: output.values.datatype().to_string(),
            shape: output.shape.into(),
            ..InferOutputTensor::default()
        }],
        raw_output_contents: vec![raw],
    }
}
