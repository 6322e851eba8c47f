//! `POST /v2/models/{model}/infer`: typed tensors in the form of the Open Inference Protocol, as JSON or as blocks of bytes after the JSON.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use schemars::JsonSchema;
use serde::Serialize;

use super::elements::Elements;
use super::envelope::{self, InferRequest, ParameterValue};
use super::error_response::{ErrorResponse, json};
use super::footprint::{self, Costs};
use super::form::{self, BoundedList, ParseError};
use super::receive::{Received, body_holding};
use super::target::PathTarget;
use super::tensor::BodyParts;
use crate::api::http::HttpState;
use crate::api::oip::{self, InferenceAnswer, InferenceRequest, RequestedOutput, Values};
use crate::api::response_headers;
use crate::error::InputFaults;
use crate::model::payload::Datatype;
use crate::proto::inference::InferParameter;
use crate::serving::Query;
use crate::serving::admission::RequestPermit;

/// Header with the length of the JSON, for a body that has blocks of bytes after the JSON.
pub(in crate::api::http) const JSON_LENGTH: HeaderName =
    HeaderName::from_static("inference-header-content-length");

/// The response to an inference request.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::api::http) struct InferResponse {
    /// The model that answered.
    model_name: String,
    /// The version that answered: a number.
    model_version: String,
    /// The id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Which version answered, and why: `role`, `response_id`, `policy_revision`, and `failed_version` with the role `fallback`.
    parameters: BTreeMap<String, InferParameter>,
    /// The outputs that were requested, in that order; all if none was requested.
    outputs: Vec<Output>,
}

/// A tensor of a response.
#[derive(Debug, Serialize, JsonSchema)]
struct Output {
    /// Its name.
    name: String,
    /// Type of its elements; `BYTES` if classes were requested.
    datatype: Datatype,
    /// Length of each axis; the first is the number of rows.
    shape: Vec<i64>,
    /// Parameters of the tensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<OutputParameters>,
    /// The elements, row-major; floats in the shortest digits that parse to the same float, and `null` for those that are not finite. Left
    /// out if they come as a block of bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Elements>,
}

/// Parameters of an output.
#[derive(Debug, Serialize, JsonSchema)]
struct OutputParameters {
    /// Bytes of the tensor after the JSON.
    binary_data_size: usize,
}

/// How to write the response to a request.
#[derive(Debug)]
pub(super) struct ResponseOptions {
    id: Option<String>,
    outputs: Vec<RequestedOutput>,
    /// Whether to send each requested output as a block of bytes; if none was requested, the first entry counts for all.
    binary: Vec<bool>,
}

/// Answers an inference request.
pub(in crate::api::http) async fn infer(
    State(state): State<HttpState>,
    target: PathTarget,
    request: Request,
) -> Result<Response, ErrorResponse> {
    let Received {
        headers,
        body,
        permit,
    } = state.receive(request).await?;
    let (bytes, query_permit) = (body.len(), Arc::clone(&permit));
    let parse_body = move || {
        let parts = split_body(&headers, body).map_err(ParseError::Invalid)?;
        parse(target, headers, parts, &query_permit)
    };
    let (query, options) = state.parse(bytes, &permit, parse_body).await?;
    let checked = oip::check_outputs(&state.catalog, &query, &options.outputs);
    let answer = state.answer(checked.map(|()| query), &permit).await?;
    let mut headers = HeaderMap::new();
    response_headers::write(&answer, &mut headers);
    match oip::infer_answer(answer, &options.outputs) {
        Ok(answer) => Ok(options.response(answer, headers, permit)),
        Err(error) => Err(ErrorResponse::from(error).holding(permit)),
    }
}

/// Splits a body where its JSON ends.
///
/// # Errors
/// Returns an error if the header's length is not a length within the body.
pub(super) fn split_body(headers: &HeaderMap, mut body: Bytes) -> Result<BodyParts, InputFaults> {
    let Some(length) = headers.get(JSON_LENGTH) else {
        let (json, blocks) = (body, Bytes::new());
        return Ok(BodyParts { json, blocks });
    };
    let length = length.to_str().unwrap_or("bytes");
    match length.parse() {
        Ok(length) if length <= body.len() => {
            let json = body.split_to(length);
            Ok(BodyParts { json, blocks: body })
        }
        _ => {
            let wanted = format!("a number of bytes, at most the {} of the body", body.len());
            Err(InputFaults::one(JSON_LENGTH.as_str(), length, wanted))
        }
    }
}

/// Parses a request for `target` that holds `permit`.
///
/// # Errors
/// Returns an error if the JSON is malformed, or every fault that no model could accept.
pub(super) fn parse(
    target: PathTarget,
    headers: HeaderMap,
    mut parts: BodyParts,
    permit: &Arc<RequestPermit>,
) -> Result<(Query, ResponseOptions), ParseError> {
    let json = parts.json.clone();
    footprint::check(&json, Costs::ELEMENTS).map_err(ParseError::Invalid)?;
    let message: InferRequest<'_> = match form::parse_object(&json) {
        Err(ParseError::Malformed(why)) => {
            let Some(json) = form::without_words(&json) else {
                return Err(ParseError::Malformed(explain_malformed(why, &headers)));
            };
            let json = json.into();
            return parse(target, headers, BodyParts { json, ..parts }, permit);
        }
        read => read?,
    };
    let mut faults = InputFaults::default();
    target.check(&mut faults);
    let (model, version) = target.into_parts();
    let inputs = message.inputs.0.into_iter().enumerate();
    let tensors = inputs
        .filter_map(|(at, input)| parts.tensor(at, input, &mut faults))
        .collect();
    parts.check_rest(&mut faults);
    let parameters = message.parameters.unwrap_or_default();
    let binary = parameters.binary_data_output.unwrap_or_default();
    let (outputs, binary) = requested_outputs(message.outputs, binary, &mut faults);
    let request = InferenceRequest {
        model,
        version,
        parameters: collect_present([
            ("routing_key", parameters.routing_key),
            ("response_id", parameters.response_id),
            ("timeout", parameters.timeout),
        ]),
        headers,
        tensors,
        permit: Arc::clone(permit),
    };
    let query = oip::query(request, faults).map_err(ParseError::Invalid)?;
    let options = ResponseOptions {
        id: message.id,
        outputs,
        binary,
    };
    Ok((query, options))
}

/// Adds to `why` what is likely if more follows the JSON.
fn explain_malformed(why: String, headers: &HeaderMap) -> String {
    if why.starts_with("trailing characters") && !headers.contains_key(JSON_LENGTH) {
        format!(
            "{why}; if blocks of bytes follow the JSON, the header `{JSON_LENGTH}` must say where it ends"
        )
    } else {
        why
    }
}

/// Returns the parameters that have a value.
fn collect_present<const N: usize>(
    parameters: [(&str, Option<ParameterValue>); N],
) -> HashMap<String, InferParameter> {
    let parameters = parameters.into_iter();
    parameters
        .filter_map(|(name, value)| Some((name.to_owned(), value?.0)))
        .collect()
}

/// Returns the requested outputs, and whether to send each as bytes: `binary` for outputs that do not say it themselves.
fn requested_outputs(
    outputs: BoundedList<envelope::WantedOutput>,
    binary: bool,
    faults: &mut InputFaults,
) -> (Vec<RequestedOutput>, Vec<bool>) {
    let mut blocks = Vec::new();
    let mut all = Vec::new();
    for (at, output) in outputs.0.into_iter().enumerate() {
        let parameters = output.parameters.unwrap_or_default();
        if parameters.shared_memory_region.is_some() {
            let field = format!("outputs[{at}].parameters.shared_memory_region");
            faults.add(field, "a region", "no such parameter: no memory is shared");
        }
        let Some(name) = output.name else {
            let field = format!("outputs[{at}].name");
            faults.add(field, "nothing", "the name of an output");
            continue;
        };
        blocks.push(parameters.binary_data.unwrap_or(binary));
        let parameters = collect_present([("classification", parameters.classification)]);
        all.push(RequestedOutput::new(at, name, &parameters, faults));
    }
    if blocks.is_empty() {
        blocks.push(binary);
    }
    (all, blocks)
}

impl ResponseOptions {
    /// Writes the response, which holds `permit` until it has left.
    fn response(
        self,
        answer: InferenceAnswer,
        mut headers: HeaderMap,
        permit: Arc<RequestPermit>,
    ) -> Response {
        let mut blocks: Vec<Bytes> = Vec::new();
        let outputs = answer.outputs.into_iter().enumerate();
        let outputs = outputs.map(|(at, output)| {
            let datatype = output.values.datatype();
            let is_block = self.binary.get(at).or(self.binary.first());
            let block = is_block.is_some_and(|is| *is).then(|| output.values.raw());
            let parameters = block.as_ref().map(|block| OutputParameters {
                binary_data_size: block.len(),
            });
            let data = block.is_none().then(|| match output.values {
                Values::Data(data) => Elements::from(data),
                Values::Classes(texts) => Elements::Texts(texts),
            });
            blocks.extend(block);
            Output {
                name: output.name,
                datatype,
                shape: output.shape,
                parameters,
                data,
            }
        });
        let response = InferResponse {
            model_name: answer.model,
            model_version: answer.version,
            id: self.id,
            parameters: answer.parameters.into_iter().collect(),
            outputs: outputs.collect(),
        };
        if blocks.is_empty() {
            return (headers, json(&response, Some(permit))).into_response();
        }
        // Serializing fails only for keys that are not strings, and the response has none.
        let mut body = serde_json::to_vec(&response).unwrap_or_default();
        headers.insert(JSON_LENGTH, body.len().into());
        let bytes = HeaderValue::from_static("application/octet-stream");
        headers.insert(header::CONTENT_TYPE, bytes);
        blocks
            .iter()
            .for_each(|block| body.extend_from_slice(block));
        (headers, body_holding(body, permit)).into_response()
    }
}
