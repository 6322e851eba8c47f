//! `POST /v2/models/{model}/infer`: typed tensors as the Open Inference Protocol has them, in JSON or as blocks of bytes after it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;

use super::Who;
use super::admit::{Received, holding};
use super::envelope::{self, Few, InferRequest, Parameters, Unread, Wanted};
use super::named::Named;
use super::refusal::{Refusal, json};
use super::tensor::Parts;
use crate::api::http::Faces;
use crate::api::{read, told};
use crate::error::InputFaults;
use crate::insight::metrics::Unreadable;
use crate::model::payload::{Datatype, Payload};
use crate::serving::gate::Arrival;
use crate::serving::{Answer, Query};

/// Says where the JSON of a body ends, when blocks of bytes come after it.
pub(super) const HEADER_LENGTH: HeaderName =
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
    /// Who answered, and why.
    parameters: Who,
    /// In the order in which they were asked for.
    outputs: Vec<Output>,
}

/// A tensor of an answer.
#[derive(Debug, Serialize, JsonSchema)]
struct Output {
    name: String,
    datatype: Datatype,
    /// Rows, and columns of each.
    shape: [usize; 2],
    /// About the tensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<OutputParameters>,
    /// The elements, row-major, in the shortest digits that give the same 32-bit float back. Left out where they come as a block of
    /// bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Vec<f32>>,
}

/// Parameters of an output.
#[derive(Debug, Serialize, JsonSchema)]
struct OutputParameters {
    /// Bytes of the tensor among the blocks after the JSON.
    binary_data_size: usize,
}

/// What is to be done with the answer.
#[derive(Debug)]
struct Reply {
    id: Option<String>,
    /// Name of each output that is wanted, and whether as bytes; `None`: all.
    wanted: Option<Vec<(String, bool)>>,
    /// Whether those are wanted as bytes about which nothing is said.
    binary: bool,
}

/// Answers an inference request.
pub(in crate::api::http) async fn infer(
    State(faces): State<Faces>,
    named: Named,
    request: Request,
) -> Result<Response, Refusal> {
    let Received {
        headers,
        body,
        place,
    } = faces.receive(request).await?;
    let read = match parts(&headers, body) {
        Ok(parts) => read(named, headers, parts, &place),
        Err(faults) => Err(Unread::Faulty(faults)),
    };
    let (query, reply) = faces.readable(read, &place)?;
    let answer = faces.answer(Ok(query), &place).await?;
    let refused = |error| Refusal::from(error).holding(Arc::clone(&place));
    let (response, blocks) = reply.response(&answer).map_err(refused)?;
    Ok(written(&answer, &response, blocks, place))
}

impl Faces {
    /// What was read of the body of a request that has `place`; what could not be is counted.
    pub(super) fn readable<T>(
        &self,
        read: Result<T, Unread>,
        place: &Arc<Arrival>,
    ) -> Result<T, Refusal> {
        let refusal = match read {
            Ok(read) => return Ok(read),
            Err(Unread::Faulty(faults)) => self.predictor.pipeline().refuse(faults).into(),
            Err(Unread::Malformed(why)) => {
                self.telemetry.unreadable(Unreadable::Malformed);
                let told = format!("the body is not well-formed JSON: {why}");
                Refusal::new(StatusCode::BAD_REQUEST, "MALFORMED_MESSAGE", told)
                    .about("body", &why, "JSON")
            }
        };
        Err(refusal.holding(Arc::clone(place)))
    }
}

/// Cuts a body where its JSON ends.
fn parts(headers: &HeaderMap, mut body: Bytes) -> Result<Parts, InputFaults> {
    let Some(length) = headers.get(HEADER_LENGTH) else {
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
            Err(InputFaults::one(HEADER_LENGTH.as_str(), length, wanted))
        }
    }
}

fn read(
    named: Named,
    headers: HeaderMap,
    mut parts: Parts,
    place: &Arc<Arrival>,
) -> Result<(Query, Reply), Unread> {
    let json = parts.json.clone();
    let message: InferRequest<'_> = envelope::read(&json)?;
    let mut faults = InputFaults::default();
    if message.inputs.0.is_empty() {
        faults.add(
            InputFaults::TENSORS,
            "nothing",
            "one tensor for each input of the model",
        );
    }
    let inputs = message.inputs.0.into_iter().enumerate();
    let tensors = inputs.filter_map(|(at, input)| parts.tensor(at, input, &mut faults));
    let tensors = tensors.collect();
    parts.rest(&mut faults);
    let parameters = message.parameters.unwrap_or_default();
    let reply = Reply {
        id: message.id,
        binary: parameters.binary_data_output.unwrap_or(false),
        wanted: wanted(message.outputs, &parameters, &mut faults),
    };
    let Parameters {
        routing_key,
        response_id,
        timeout,
        ..
    } = parameters;
    let asked = Asked {
        routing_key: routing_key.map(|key| (key, "parameters.routing_key")),
        response_id: response_id.map(|id| (id, "parameters.response_id")),
        timeout: timeout.map(Duration::from_micros),
    };
    let query = asked.query(named, headers, Payload::Tensors(tensors), place, faults);
    query.map(|query| (query, reply)).map_err(Unread::Faulty)
}

/// What a body says about a request as a whole, and where it says so.
pub(super) struct Asked {
    pub(super) routing_key: Option<(String, &'static str)>,
    pub(super) response_id: Option<(String, &'static str)>,
    /// None where it is zero.
    pub(super) timeout: Option<Duration>,
}

impl Asked {
    /// The query, or everything that is wrong with it. What the body does not say, headers may.
    pub(super) fn query(
        self,
        named: Named,
        headers: HeaderMap,
        payload: Payload,
        place: &Arc<Arrival>,
        mut faults: InputFaults,
    ) -> Result<Query, InputFaults> {
        let (key, field) = self.routing_key.unwrap_or_else(|| {
            let key = read::header(&headers, &read::ROUTING_KEY, &mut faults);
            (key, "taper-routing-key")
        });
        let routing_key = read::routing_key(key, field, &mut faults);
        let (id, field) = self.response_id.unwrap_or_else(|| {
            let id = read::header(&headers, &read::RESPONSE_ID, &mut faults);
            (id, "taper-response-id")
        });
        let response_id = read::response_id(id, field, &mut faults);
        let timeout = self.timeout.filter(|timeout| !timeout.is_zero());
        if let Some(deadline) = timeout.and_then(|timeout| place.at.checked_add(timeout)) {
            place.ends_by(deadline);
        }
        faults.into_result()?;
        Ok(Query {
            model: named.model,
            pin: named.pin,
            routing_key,
            response_id,
            headers,
            payload,
            arrival: Arc::clone(place),
        })
    }
}

/// Which outputs are wanted, and which of them as bytes.
fn wanted(
    outputs: Few<Wanted>,
    parameters: &Parameters,
    faults: &mut InputFaults,
) -> Option<Vec<(String, bool)>> {
    let binary = parameters.binary_data_output.unwrap_or(false);
    let mut all = Vec::new();
    for (at, output) in outputs.0.into_iter().enumerate() {
        let how = output.parameters.unwrap_or_default();
        for (given, name) in [
            (how.shared_memory_region.is_some(), "shared_memory_region"),
            (how.classification.is_some(), "classification"),
        ] {
            if given {
                let field = format!("outputs[{at}].parameters.{name}");
                faults.add(
                    field,
                    "a value",
                    "no such parameter: outputs are told as they are",
                );
            }
        }
        match output.name {
            Some(name) => all.push((name, how.binary_data.unwrap_or(binary))),
            None => faults.add(
                format!("outputs[{at}].name"),
                "nothing",
                "the name of an output",
            ),
        }
    }
    (!all.is_empty()).then_some(all)
}

impl Reply {
    /// The JSON of the answer, and the blocks of bytes that come after it.
    fn response(
        self,
        answer: &Answer,
    ) -> Result<(InferAnswer, Vec<u8>), crate::error::PredictError> {
        let scores = &answer.scores;
        let output = &answer.by.version.signature().output.name;
        let all = || vec![(output.clone(), self.binary)];
        let mut blocks = Vec::new();
        let mut outputs = Vec::new();
        let mut faults = InputFaults::default();
        for (at, (name, binary)) in self.wanted.unwrap_or_else(all).into_iter().enumerate() {
            if name != *output || at > 0 {
                let got = if at > 0 && name == *output {
                    "the name again"
                } else {
                    "an unknown name"
                };
                faults.add(
                    format!("outputs[{at}].name"),
                    got,
                    format!("`{output}`, once"),
                );
                continue;
            }
            let elements = || scores.rows().flatten();
            let (parameters, data) = if binary {
                blocks.extend(elements().flat_map(|score| score.to_le_bytes()));
                let binary_data_size = blocks.len();
                (Some(OutputParameters { binary_data_size }), None)
            } else {
                (None, Some(elements().copied().collect()))
            };
            outputs.push(Output {
                name,
                datatype: Datatype::Fp32,
                shape: [scores.rows().len(), scores.columns()],
                parameters,
                data,
            });
        }
        faults.into_result()?;
        let response = InferAnswer {
            model_name: answer.model.clone(),
            model_version: answer.by.number().to_string(),
            id: self.id,
            parameters: Who::gave(answer),
            outputs,
        };
        Ok((response, blocks))
    }
}

/// The answer as it is sent.
fn written(
    answer: &Answer,
    response: &InferAnswer,
    blocks: Vec<u8>,
    place: Arc<Arrival>,
) -> Response {
    let mut head = HeaderMap::new();
    told::tell(answer, &mut head);
    if response
        .outputs
        .iter()
        .all(|output| output.parameters.is_none())
    {
        return (head, json(response, Some(place))).into_response();
    }
    let mut body = serde_json::to_vec(response).unwrap_or_default();
    head.insert(HEADER_LENGTH, body.len().into());
    let bytes = HeaderValue::from_static("application/octet-stream");
    head.insert(header::CONTENT_TYPE, bytes);
    body.extend(blocks);
    (head, holding(body, place)).into_response()
}
