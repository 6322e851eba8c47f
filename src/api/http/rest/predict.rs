//! `POST /v2/models/{model}/predict`: rows with a name for each value, the shortest form for a person to write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use schemars::JsonSchema;
use serde::Serialize;

use super::AnswerSource;
use super::elements::Elements;
use super::error_response::{ErrorResponse, json};
use super::footprint::{self, Costs};
use super::form::{self, ParseError};
use super::receive::Received;
use super::rows::{AnyCell, Rows};
use super::target::PathTarget;
use crate::api::http::HttpState;
use crate::api::read;
use crate::api::response_headers;
use crate::error::InputFaults;
use crate::model::payload::Payload;
use crate::serving::admission::RequestPermit;
use crate::serving::{Answer, Query};

/// Rows to predict.
// `rows` has a default, so that a request without it gets an error that names the field. The schema says that it is required.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["rows"]))]
pub(in crate::api::http) struct PredictRequest {
    /// At least one: a value for each input, by its name.
    #[serde(default)]
    #[schemars(with = "Vec<BTreeMap<String, AnyCell>>", length(min = 1))]
    rows: Rows,
    /// Requests with equal keys get the same version as long as the shares do not change. At most 1024 bytes. Alternatively, the header
    /// `taper-routing-key`.
    routing_key: Option<String>,
    /// The caller's own id for the answer: 1 to 128 visible ASCII characters. Alternatively, the header `taper-response-id`.
    response_id: Option<String>,
    /// How long the caller waits, in milliseconds; no limit if 0 or left out.
    timeout_ms: Option<u64>,
}

/// Predictions, and the version that made them.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::api::http) struct PredictResponse {
    /// The model that answered.
    model: String,
    /// The version that answered.
    version: u64,
    #[serde(flatten)]
    source: AnswerSource,
    /// One for each row, in order.
    predictions: Vec<Prediction>,
}

/// The prediction for one row.
#[derive(Debug, Serialize, JsonSchema)]
struct Prediction {
    /// The most probable class, if the model has classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    /// Its probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f32>,
    /// The elements that the model returned for this row, row-major, by the name of the output.
    outputs: BTreeMap<String, Elements>,
}

/// Answers a request with named rows.
pub(in crate::api::http) async fn predict(
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
    let parse_body = move || parse(target, headers, &body, &query_permit);
    let query = state.parse(bytes, &permit, parse_body).await?;
    let answer = state.answer(Ok(query), &permit).await?;
    let mut headers = HeaderMap::new();
    response_headers::write(&answer, &mut headers);
    Ok((headers, json(&PredictResponse::of(answer), Some(permit))).into_response())
}

/// Parses a request for `target` that holds `permit`.
///
/// # Errors
/// Returns an error if the JSON is malformed, or every fault that no model could accept.
pub(super) fn parse(
    target: PathTarget,
    headers: HeaderMap,
    body: &[u8],
    permit: &Arc<RequestPermit>,
) -> Result<Query, ParseError> {
    footprint::check(body, Costs::CELLS).map_err(ParseError::Invalid)?;
    let message: PredictRequest = form::parse_object_with_words(body)?;
    let mut faults = InputFaults::default();
    target.check(&mut faults);
    let (model, version) = target.into_parts();
    if message.rows.0.is_empty() {
        faults.add(
            "rows",
            "nothing",
            r#"at least one row, as in {"rows": [{"x": 1.5}]}"#,
        );
    }
    let key = message.routing_key.map(|key| ("routing_key", key));
    let routing_key = read::routing_key_of(key, &headers, &mut faults);
    let id = message.response_id.map(|id| ("response_id", id));
    let response_id = read::response_id_of(id, &headers, &mut faults);
    faults.into_result().map_err(ParseError::Invalid)?;
    let timeout = message.timeout_ms.filter(|timeout| *timeout > 0);
    let timeout = timeout.map(Duration::from_millis);
    if let Some(deadline) = timeout.and_then(|timeout| permit.arrived.checked_add(timeout)) {
        permit.set_message_deadline(deadline);
    }
    Ok(Query {
        model,
        pin: read::pin(version),
        routing_key,
        response_id,
        headers,
        payload: Payload::Rows(message.rows.0),
        permit: Arc::clone(permit),
    })
}

impl PredictResponse {
    fn of(answer: Answer) -> Self {
        let signature = answer.version.signature();
        let source = AnswerSource::of(&answer);
        let rows = answer.pass.scores.rows().len();
        let outputs: Vec<_> = answer.outputs().collect();
        let predictions = (0..rows).map(|at| {
            let top = answer.top.get(at);
            let of_row = outputs.iter().filter_map(|output| {
                let data = output.row(at, rows)?;
                Some((output.output.name.clone(), Elements::from(data)))
            });
            Prediction {
                class: top.and_then(|top| signature.classes.get(top.index).cloned()),
                probability: top.map(|top| top.probability),
                outputs: of_row.collect(),
            }
        });
        let predictions = predictions.collect();
        Self {
            version: answer.version.number().get(),
            source,
            predictions,
            model: answer.model,
        }
    }
}
