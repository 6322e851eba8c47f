//! `POST /v2/models/{model}/predict`: rows with a name for each value, the shortest way for a person.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use schemars::JsonSchema;
use serde::Serialize;

use super::Who;
use super::admit::Received;
use super::form::{self, Unread};
use super::named::Named;
use super::refusal::{Refusal, json};
use super::rows::{AnyCell, Rows};
use crate::api::http::HttpState;
use crate::api::read;
use crate::api::response_headers;
use crate::error::InputFaults;
use crate::model::payload::Payload;
use crate::serving::admission::RequestPermit;
use crate::serving::{Answer, Query};

/// Rows to predict.
// Rows that are missing have a default so that they are refused by name. That they must be there is said here, beside the default.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PredictRequest", extend("required" = ["rows"]))]
pub(in crate::api::http) struct PredictBody {
    /// At least one: a value for each input, by its name.
    #[serde(default)]
    #[schemars(with = "Vec<BTreeMap<String, AnyCell>>", length(min = 1))]
    rows: Rows,
    /// Equal keys get the same version for as long as the shares stay. At most 1024 bytes. The header `taper-routing-key` says the same.
    routing_key: Option<String>,
    /// The caller's own id for the answer: 1 to 128 visible ASCII characters. The header `taper-response-id` says the same.
    response_id: Option<String>,
    /// Milliseconds that the caller waits; 0, and where it is left out: for ever.
    timeout_ms: Option<u64>,
}

/// What is predicted, and by whom.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PredictResponse")]
pub(in crate::api::http) struct PredictAnswer {
    /// The model that answered.
    model: String,
    /// The version that answered.
    version: u64,
    #[serde(flatten)]
    who: Who,
    /// One for each row, in order.
    predictions: Vec<Prediction>,
}

/// What is predicted for one row.
#[derive(Debug, Serialize, JsonSchema)]
struct Prediction {
    /// The most probable class, where the model has classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    /// Its probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f32>,
    /// The model's own numbers, by the name of the output.
    outputs: BTreeMap<String, Vec<f32>>,
}

/// Answers rows.
pub(in crate::api::http) async fn predict(
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
    let read = move || read(named, headers, &body, &held);
    let query = state.read(bytes, &place, read).await?;
    let answer = state.answer(Ok(query), &place).await?;
    let mut head = HeaderMap::new();
    response_headers::write(&answer, &mut head);
    Ok((head, json(&PredictAnswer::of(answer), Some(place))).into_response())
}

pub(super) fn read(
    named: Named,
    headers: HeaderMap,
    body: &[u8],
    place: &Arc<RequestPermit>,
) -> Result<Query, Unread> {
    let message: PredictBody = form::read(body)?;
    let mut faults = InputFaults::default();
    named.check(&mut faults);
    let (model, version) = named.into_parts();
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
    faults.into_result().map_err(Unread::Faulty)?;
    let timeout = message.timeout_ms.filter(|timeout| *timeout > 0);
    let timeout = timeout.map(Duration::from_millis);
    if let Some(deadline) = timeout.and_then(|timeout| place.arrived.checked_add(timeout)) {
        place.set_message_deadline(deadline);
    }
    Ok(Query {
        model,
        pin: read::pin(version),
        routing_key,
        response_id,
        headers,
        payload: Payload::Rows(message.rows.0),
        permit: Arc::clone(place),
    })
}

impl PredictAnswer {
    fn of(answer: Answer) -> Self {
        let signature = answer.version.signature();
        let who = Who::gave(&answer);
        let predictions = answer.scores.rows().enumerate().map(|(at, scores)| {
            let top = answer.top.get(at);
            Prediction {
                class: top.and_then(|top| signature.classes.get(top.index).cloned()),
                probability: top.map(|top| top.probability),
                outputs: [(signature.output.name.clone(), scores.to_vec())].into(),
            }
        });
        let predictions = predictions.collect();
        Self {
            version: answer.version.number().get(),
            who,
            predictions,
            model: answer.model,
        }
    }
}
