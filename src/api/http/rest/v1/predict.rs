//! `POST /v1/models/{model}:predict`, and the same for a version or a label.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;

use super::super::error_response::{ErrorResponse, json};
use super::super::form::ParseError;
use super::super::receive::Received;
use super::answer::Written;
use super::body::{self, PredictRequest};
use super::payload::{Form, Paths, Reader};
use super::target::Target;
use super::{SIGNATURE, payload};
use crate::api::catalog::Catalog;
use crate::api::http::HttpState;
use crate::api::{read, response_headers};
use crate::error::{InputFaults, PredictError};
use crate::model::payload::Payload;
use crate::serving::Query;
use crate::serving::admission::RequestPermit;

/// Answers a request with instances or inputs.
pub(in crate::api::http) async fn predict(
    State(state): State<HttpState>,
    target: Target,
    request: Request,
) -> Result<Response, ErrorResponse> {
    let Received {
        headers,
        body,
        permit,
    } = state.receive(request).await?;
    let checked = target.check_predicts();
    checked.map_err(|response| response.holding(Arc::clone(&permit)))?;
    let (bytes, query_permit) = (body.len(), Arc::clone(&permit));
    let catalog = state.catalog.clone();
    let parse_body = move || parse(target, headers, &body, &query_permit, &catalog);
    let (query, paths) = state.parse(bytes, &permit, parse_body).await?;
    let answer = state.try_answer(Ok(query), &permit).await;
    let answer = answer.map_err(|error| {
        let renamed = match error {
            PredictError::InvalidInput(faults) => {
                PredictError::InvalidInput(faults.with_fields(|field| paths.of(field)))
            }
            other => other,
        };
        ErrorResponse::from(renamed).holding(Arc::clone(&permit))
    })?;
    let mut headers = HeaderMap::new();
    response_headers::write(&answer, &mut headers);
    let written = Written::of(&answer, paths.form());
    Ok((headers, json(&written, Some(permit))).into_response())
}

/// Parses a request for `target` that holds `permit`. Returns also how faults of its input are named.
///
/// # Errors
/// Returns an error if the JSON is malformed, or every fault found before the values are checked.
fn parse(
    target: Target,
    headers: HeaderMap,
    body: &[u8],
    permit: &Arc<RequestPermit>,
    catalog: &Catalog,
) -> Result<(Query, Paths), ParseError> {
    let message = body::read(body)?;
    let mut faults = InputFaults::default();
    let (model, pin) = target.into_names(&mut faults);
    let routing_key = read::routing_key_of(None, &headers, &mut faults);
    let response_id = read::response_id_of(None, &headers, &mut faults);
    let content = check(message, &mut faults);
    let (payload, paths) = match (content, catalog.version(&model, pin.as_ref())) {
        (Some(content), Ok(version)) => {
            let mut reader = Reader::new(version, content.form(), &mut faults);
            let payload = reader.read(content);
            (payload, reader.into_paths())
        }
        // The pipeline reports why no version would answer.
        (content, _) => {
            let form = content.map_or(Form::Instances, |content| content.form());
            (Payload::Rows(Vec::new()), Paths::unknown(form))
        }
    };
    faults.into_result().map_err(ParseError::Invalid)?;
    let query = Query {
        model,
        pin,
        routing_key,
        response_id,
        headers,
        payload,
        permit: Arc::clone(permit),
    };
    Ok((query, paths))
}

/// Returns what the message contains. Adds faults of other fields, and if it contains not exactly one of both.
fn check(message: PredictRequest, faults: &mut InputFaults) -> Option<payload::Content> {
    let signature = message.signature_name.unwrap_or_default();
    if !["", SIGNATURE].contains(&&*signature) {
        let got = format!("`{}`", read::cut(&signature));
        faults.add("signature_name", got, format!("`{SIGNATURE}` or nothing"));
    }
    let wanted = r#"either {"instances": [...]} with one entry per row, or {"inputs": ...} with all rows of each input"#;
    match (message.instances, message.inputs) {
        (Some(instances), None) => Some(payload::Content::Instances(instances.0)),
        (None, Some(inputs)) => Some(payload::Content::Inputs(inputs.0)),
        (None, None) => {
            faults.add("instances", "nothing", wanted);
            None
        }
        (Some(_), Some(_)) => {
            faults.add("inputs", "both `instances` and `inputs`", wanted);
            None
        }
    }
}
