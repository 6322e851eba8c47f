//! Which models and versions there are and their states, in Triton's JSON. The content is the same as over gRPC, and is made in [`oip`].

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::error_response::{ErrorResponse, json};
use super::form::{self, ParseError};
use super::target::PathTarget;
use crate::api::catalog::Readiness;
use crate::api::http::HttpState;
use crate::api::{MESSAGE_PATIENCE, oip, read};
use crate::error::PredictError;

/// Limit on the bytes of a request for the index, which has one field.
const MAX_INDEX_REQUEST_BYTES: usize = 4096;

/// Whether the process answers.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Live")]
pub(in crate::api::http) struct ServerLive {
    live: bool,
}

/// Whether every model can answer.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Ready")]
pub(in crate::api::http) struct ServerReady {
    ready: bool,
}

/// Whether a model can answer.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::api::http) struct ModelReady {
    /// The model.
    name: String,
    ready: bool,
}

/// Which versions the index should list.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(in crate::api::http) struct IndexRequest {
    /// Only the versions that are READY.
    ready: Option<bool>,
}

pub(in crate::api::http) async fn server_metadata() -> Response {
    json(&oip::server_metadata(), None)
}

pub(in crate::api::http) async fn server_live() -> Response {
    json(&ServerLive { live: true }, None)
}

pub(in crate::api::http) async fn server_ready(
    State(state): State<HttpState>,
) -> Result<Response, ErrorResponse> {
    let Readiness { is_ready, problems } = state.catalog.readiness();
    if is_ready {
        return Ok(json(&ServerReady { ready: true }, None));
    }
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Err(ErrorResponse::new(status, "NOT_READY", problems.join("; ")))
}

/// Answers that the model or version is ready, or refuses with the reason why it is not.
pub(in crate::api::http) async fn model_ready(
    State(state): State<HttpState>,
    target: PathTarget,
) -> Result<Response, ErrorResponse> {
    let (name, version) = target.checked()?;
    state.catalog.version(&name, read::pin(version).as_ref())?;
    let ready = ModelReady { name, ready: true };
    Ok(json(&ready, None))
}

pub(in crate::api::http) async fn model_metadata(
    State(state): State<HttpState>,
    target: PathTarget,
) -> Result<Response, ErrorResponse> {
    let (model, version) = target.checked()?;
    let metadata = oip::metadata(&state.catalog, &model, version)?;
    Ok(json(&metadata, None))
}

pub(in crate::api::http) async fn model_config(
    State(state): State<HttpState>,
    target: PathTarget,
) -> Result<Response, ErrorResponse> {
    let (model, version) = target.checked()?;
    let config = oip::config(&state.catalog, &model, version)?;
    Ok(json(&config, None))
}

pub(in crate::api::http) async fn model_statistics(
    State(state): State<HttpState>,
    target: PathTarget,
) -> Result<Response, ErrorResponse> {
    let (model, version) = target.checked()?;
    statistics_of(state, model, version).await
}

pub(in crate::api::http) async fn all_statistics(
    State(state): State<HttpState>,
) -> Result<Response, ErrorResponse> {
    statistics_of(state, String::new(), String::new()).await
}

async fn statistics_of(
    state: HttpState,
    model: String,
    version: String,
) -> Result<Response, ErrorResponse> {
    // Reading takes locks, on which a thread that serves requests must not wait.
    let read = spawn_blocking(move || oip::statistics(&state.catalog, &model, version));
    match read.await {
        Ok(statistics) => Ok(json(&statistics?, None)),
        Err(error) => {
            tracing::error!(%error, "failed to read statistics");
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            let text = "failed to read statistics";
            Err(ErrorResponse::new(status, "INTERNAL", text))
        }
    }
}

/// Lists all known versions. A request without a body asks for all of them.
pub(in crate::api::http) async fn repository_index(
    State(state): State<HttpState>,
    request: Request,
) -> Result<Response, ErrorResponse> {
    let malformed = |text| ErrorResponse::new(StatusCode::BAD_REQUEST, "MALFORMED_MESSAGE", text);
    let body = to_bytes(request.into_body(), MAX_INDEX_REQUEST_BYTES);
    let Ok(Ok(body)) = timeout(MESSAGE_PATIENCE, body).await else {
        return Err(malformed(format!(
            "the body did not arrive, or is larger than {MAX_INDEX_REQUEST_BYTES} bytes"
        )));
    };
    let wanted = match &*body {
        [] => IndexRequest::default(),
        body => form::parse_object(body).map_err(|error| match error {
            ParseError::Invalid(faults) => ErrorResponse::from(PredictError::from(faults)),
            ParseError::Malformed(text) => malformed(text),
        })?,
    };
    let ready_only = wanted.ready.unwrap_or_default();
    Ok(json(&oip::index(&state.catalog, ready_only).models, None))
}

/// Refuses to load or unload a model: only operators may, and this port does not know its callers.
pub(in crate::api::http) async fn refuse_load_or_unload(target: PathTarget) -> Response {
    let text = format!(
        "versions of `{}` cannot be loaded or unloaded on the HTTP port, which does not authenticate callers: use the admin port \
            over gRPC, or `taper versions load`",
        read::cut(&target.model)
    );
    ErrorResponse::new(StatusCode::FORBIDDEN, "FORBIDDEN", text).into_response()
}
