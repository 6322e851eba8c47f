//! What there is and how it stands, as Triton tells it in JSON. What is told is the same as over gRPC, and made in [`oip`].

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::form::{self, Unread};
use super::named::Named;
use super::refusal::{Refusal, json};
use crate::api::http::HttpState;
use crate::api::{MESSAGE_PATIENCE, oip, read};
use crate::error::PredictError;

/// Bytes of a request for the index, which says one word.
const SHORT: usize = 4096;

/// Whether the process answers.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::api::http) struct Live {
    live: bool,
}

/// Whether every model can answer.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::api::http) struct Ready {
    ready: bool,
}

/// Whether a model can answer.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::api::http) struct ModelReady {
    /// The model.
    name: String,
    ready: bool,
}

/// What of the index is wanted.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "IndexRequest")]
pub(in crate::api::http) struct Index {
    /// Only the versions that are READY.
    ready: Option<bool>,
}

pub(in crate::api::http) async fn server() -> Response {
    json(&oip::server_metadata(), None)
}

pub(in crate::api::http) async fn live() -> Response {
    json(&Live { live: true }, None)
}

pub(in crate::api::http) async fn ready(
    State(state): State<HttpState>,
) -> Result<Response, Refusal> {
    let reasons = state.catalog.unready();
    if reasons.is_empty() {
        return Ok(json(&Ready { ready: true }, None));
    }
    let told = reasons.join("; ");
    Err(Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "NOT_READY",
        told,
    ))
}

/// Ready, or why not.
pub(in crate::api::http) async fn model_ready(
    State(state): State<HttpState>,
    named: Named,
) -> Result<Response, Refusal> {
    let (name, version) = named.checked()?;
    state.catalog.version(&name, read::pin(version).as_ref())?;
    let ready = ModelReady { name, ready: true };
    Ok(json(&ready, None))
}

pub(in crate::api::http) async fn metadata(
    State(state): State<HttpState>,
    named: Named,
) -> Result<Response, Refusal> {
    let (model, version) = named.checked()?;
    let told = oip::metadata(&state.catalog, &model, version)?;
    Ok(json(&told, None))
}

pub(in crate::api::http) async fn config(
    State(state): State<HttpState>,
    named: Named,
) -> Result<Response, Refusal> {
    let (model, version) = named.checked()?;
    let told = oip::config(&state.catalog, &model, version)?;
    Ok(json(&told, None))
}

pub(in crate::api::http) async fn statistics(
    State(state): State<HttpState>,
    named: Named,
) -> Result<Response, Refusal> {
    let (model, version) = named.checked()?;
    statistics_of(state, model, version).await
}

pub(in crate::api::http) async fn all_statistics(
    State(state): State<HttpState>,
) -> Result<Response, Refusal> {
    statistics_of(state, String::new(), String::new()).await
}

async fn statistics_of(
    state: HttpState,
    model: String,
    version: String,
) -> Result<Response, Refusal> {
    // It waits for locks, which no thread that serves should do for who only looks.
    let told = spawn_blocking(move || oip::statistics(&state.catalog, &model, version));
    match told.await {
        Ok(told) => Ok(json(&told?, None)),
        Err(error) => {
            tracing::error!(%error, "statistics are not told");
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Err(Refusal::new(
                status,
                "INTERNAL",
                "the statistics cannot be told",
            ))
        }
    }
}

/// The index. A request without a body wants all of it.
pub(in crate::api::http) async fn index(
    State(state): State<HttpState>,
    request: Request,
) -> Result<Response, Refusal> {
    let read = timeout(MESSAGE_PATIENCE, to_bytes(request.into_body(), SHORT)).await;
    let Ok(Ok(body)) = read else {
        let told = format!("the body did not come, or is larger than {SHORT} bytes");
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "MALFORMED_MESSAGE",
            told,
        ));
    };
    let wanted = match &*body {
        [] => Index::default(),
        body => form::read(body).map_err(|unread| match unread {
            Unread::Faulty(faults) => Refusal::from(PredictError::from(faults)),
            Unread::Malformed(why) => {
                Refusal::new(StatusCode::BAD_REQUEST, "MALFORMED_MESSAGE", why)
            }
        })?,
    };
    let ready = wanted.ready.unwrap_or_default();
    Ok(json(&oip::index(&state.catalog, ready).models, None))
}

/// Loading and unloading: operators do it, and this port does not know who asks.
pub(in crate::api::http) async fn refused(named: Named) -> Response {
    let model = named.model;
    let told = format!(
        "versions of `{}` are not loaded or unloaded on this port, where nobody is authorised: use the admin port over gRPC, or \
            `taper versions load`",
        read::cut(&model)
    );
    Refusal::new(StatusCode::FORBIDDEN, "FORBIDDEN", told).into_response()
}
