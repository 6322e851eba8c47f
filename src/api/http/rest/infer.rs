//! `POST /v2/models/{model}/infer`: typed tensors as the Open Inference Protocol has them, in JSON or as blocks of bytes after it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use schemars::JsonSchema;
use serde::Serialize;

use super::admit::{Received, holding};
use super::envelope::{self, Given, InferRequest};
use super::form::{self, Few, Unread};
use super::named::Named;
use super::refusal::{Refusal, json};
use super::tensor::Parts;
use crate::api::http::HttpState;
use crate::api::oip::{self, Answered, Ask, Values};
use crate::api::response_headers;
use crate::error::InputFaults;
use crate::model::payload::Datatype;
use crate::proto::inference::InferParameter;
use crate::serving::Query;
use crate::serving::admission::RequestPermit;

/// Says where the JSON of a body ends, when blocks of bytes come after it.
pub(in crate::api::http) const JSON_LENGTH: HeaderName =
    HeaderName::from_static("inference-header-content-length");

/// The answer to an inference request.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "InferResponse")]
pub(in crate::api::http) struct InferAnswer {
    /// The model that answered.
    model_name: String,
    /// The version that answered: a number.
    model_version: String,
    /// As in the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Who answered, and why: `role`, `response_id`, `policy_revision`, and `failed_version` with the role `fallback`.
    parameters: BTreeMap<String, InferParameter>,
    /// The one output of the model.
    outputs: [Output; 1],
}

/// A tensor of an answer.
#[derive(Debug, Serialize, JsonSchema)]
struct Output {
    /// Its name.
    name: String,
    /// Type of its elements: `FP32`, or `BYTES` where classes were asked for.
    datatype: Datatype,
    /// Rows, and columns of each.
    shape: [i64; 2],
    /// About the tensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<OutputParameters>,
    /// The elements, row-major; numbers in the shortest digits that give the same 32-bit float back. Left out where they come as a
    /// block of bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Elements>,
}

/// Parameters of an output.
#[derive(Debug, Serialize, JsonSchema)]
struct OutputParameters {
    /// Bytes of the tensor after the JSON.
    binary_data_size: usize,
}

/// Elements of an output.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
enum Elements {
    Numbers(Vec<f32>),
    Texts(Vec<String>),
}

/// What is to be done with the answer.
#[derive(Debug)]
pub(super) struct Reply {
    id: Option<String>,
    wanted: Vec<oip::Wanted>,
    /// Whether the output is wanted as bytes.
    binary: bool,
}

/// Answers an inference request.
pub(in crate::api::http) async fn infer(
    State(state): State<HttpState>,
    named: Named,
    request: Request,
) -> Result<Response, Refusal> {
    let Received {
        headers,
        body,
        place,
    } = state.receive(request).await?;
    let (bytes, held) = (body.len(), Arc::clone(&place));
    let read = move || {
        let parts = parts(&headers, body).map_err(Unread::Faulty)?;
        read(named, headers, parts, &held)
    };
    let (query, reply) = state.read(bytes, &place, read).await?;
    let giveable = oip::giveable(&state.catalog, &query, &reply.wanted);
    let answer = state.answer(giveable.map(|()| query), &place).await?;
    let mut head = HeaderMap::new();
    response_headers::write(&answer, &mut head);
    match oip::answered(answer, &reply.wanted) {
        Ok(answered) => Ok(reply.response(answered, head, place)),
        Err(error) => Err(Refusal::from(error).holding(place)),
    }
}

/// Cuts a body where its JSON ends.
pub(super) fn parts(headers: &HeaderMap, mut body: Bytes) -> Result<Parts, InputFaults> {
    let Some(length) = headers.get(JSON_LENGTH) else {
        let (json, blocks) = (body, Bytes::new());
        return Ok(Parts { json, blocks });
    };
    let length = length.to_str().unwrap_or("bytes");
    match length.parse() {
        Ok(length) if length <= body.len() => {
            let json = body.split_to(length);
            Ok(Parts { json, blocks: body })
        }
        _ => {
            let wanted = format!("a number of bytes, at most the {} of the body", body.len());
            Err(InputFaults::one(JSON_LENGTH.as_str(), length, wanted))
        }
    }
}

pub(super) fn read(
    named: Named,
    headers: HeaderMap,
    mut parts: Parts,
    place: &Arc<RequestPermit>,
) -> Result<(Query, Reply), Unread> {
    let json = parts.json.clone();
    let message: InferRequest<'_> = form::read(&json)?;
    let mut faults = InputFaults::default();
    named.check(&mut faults);
    let (model, version) = named.into_parts();
    let inputs = message.inputs.0.into_iter().enumerate();
    let tensors = inputs.filter_map(|(at, input)| parts.tensor(at, input, &mut faults));
    let tensors = tensors.collect();
    parts.rest(&mut faults);
    let parameters = message.parameters.unwrap_or_default();
    let binary = parameters.binary_data_output.unwrap_or_default();
    let (wanted, binary) = wanted(message.outputs, binary, &mut faults);
    let named_parameters = [
        ("routing_key", parameters.routing_key),
        ("response_id", parameters.response_id),
        ("timeout", parameters.timeout),
    ];
    let ask = Ask {
        model,
        version,
        parameters: given(named_parameters),
        headers,
        tensors,
        permit: Arc::clone(place),
    };
    let query = oip::query(ask, faults).map_err(Unread::Faulty)?;
    let reply = Reply {
        id: message.id,
        wanted,
        binary,
    };
    Ok((query, reply))
}

/// Those that are there.
fn given<const N: usize>(
    parameters: [(&str, Option<Given>); N],
) -> HashMap<String, InferParameter> {
    let parameters = parameters.into_iter();
    let given = parameters.filter_map(|(name, value)| Some((name.to_owned(), value?.0)));
    given.collect()
}

/// Which outputs are wanted, and whether as bytes; `binary` where nothing is said about it.
fn wanted(
    outputs: Few<envelope::Wanted>,
    mut binary: bool,
    faults: &mut InputFaults,
) -> (Vec<oip::Wanted>, bool) {
    let mut all = Vec::new();
    for (at, output) in outputs.0.into_iter().enumerate() {
        let how = output.parameters.unwrap_or_default();
        if how.shared_memory_region.is_some() {
            let field = format!("outputs[{at}].parameters.shared_memory_region");
            faults.add(field, "a region", "no such parameter: no memory is shared");
        }
        let Some(name) = output.name else {
            let field = format!("outputs[{at}].name");
            faults.add(field, "nothing", "the name of an output");
            continue;
        };
        binary = how.binary_data.unwrap_or(binary);
        let parameters = given([("classification", how.classification)]);
        all.push(oip::Wanted::new(at, name, &parameters, faults));
    }
    (all, binary)
}

impl Reply {
    /// The answer as it is sent.
    fn response(
        self,
        answered: Answered,
        mut head: HeaderMap,
        place: Arc<RequestPermit>,
    ) -> Response {
        let output = answered.output;
        let datatype = output.values.datatype();
        let block = self.binary.then(|| output.values.raw());
        let parameters = block.as_ref().map(|block| OutputParameters {
            binary_data_size: block.len(),
        });
        let data = match output.values {
            _ if block.is_some() => None,
            Values::Scores(scores) => Some(Elements::Numbers(scores)),
            Values::Classes(texts) => Some(Elements::Texts(texts)),
        };
        let answer = InferAnswer {
            model_name: answered.model,
            model_version: answered.version,
            id: self.id,
            parameters: answered.parameters.into_iter().collect(),
            outputs: [Output {
                name: output.name,
                datatype,
                shape: output.shape,
                parameters,
                data,
            }],
        };
        let Some(block) = block else {
            return (head, json(&answer, Some(place))).into_response();
        };
        // Nothing in it has a key that is no text, which is all that JSON cannot hold.
        let mut body = serde_json::to_vec(&answer).unwrap_or_default();
        head.insert(JSON_LENGTH, body.len().into());
        let bytes = HeaderValue::from_static("application/octet-stream");
        head.insert(header::CONTENT_TYPE, bytes);
        body.extend_from_slice(&block);
        (head, holding(body, place)).into_response()
    }
}
