//! Errors of the HTTP port as JSON: a message, a machine-readable error code, and the faulty fields.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use schemars::JsonSchema;
use serde::Serialize;

use super::receive::body_holding;
use crate::api::error_mapping::ErrorMapping;
use crate::api::status::cut;
use crate::error::{Code, InputFault, PredictError};
use crate::serving::admission::RequestPermit;

/// Maximum length of the error message, in bytes.
const MAX_MESSAGE_BYTES: usize = 1024;
/// Maximum length of each text about a field, in bytes.
const MAX_FIELD_BYTES: usize = 320;

/// The error mapping of the HTTP port, where paths name the model and its version.
pub(super) static REST: ErrorMapping = ErrorMapping {
    model: "model",
    version: "version",
    label: "version",
    tensors: "inputs",
    code: PredictError::code,
};

/// The body of an error response.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(in crate::api::http) struct ErrorBody {
    /// The error message.
    error: String,
    /// Stable, machine-readable error code.
    reason: &'static str,
    /// The faulty parts of the request; the first ones if there are many.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    fields: Vec<Field>,
}

/// A fault in one part of a request.
#[derive(Debug, Serialize, JsonSchema)]
struct Field {
    /// The part: `inputs[x].data[3]`, `rows[0].color`, `routing_key`, `body`.
    field: String,
    /// What was found.
    got: String,
    /// What was expected.
    wanted: String,
}

impl Field {
    fn new(field: &str, got: &str, wanted: &str) -> Self {
        let [field, got, wanted] =
            [field, got, wanted].map(|text| cut(text, MAX_FIELD_BYTES, char::len_utf8));
        Self { field, got, wanted }
    }

    fn of(fault: &InputFault) -> Self {
        Self::new(&fault.field, &fault.got, &fault.wanted)
    }
}

/// An error response.
#[derive(Debug)]
pub(in crate::api::http) struct ErrorResponse {
    status: StatusCode,
    body: ErrorBody,
    retry_after: Option<Duration>,
    /// The method that the path has instead.
    allowed: Option<&'static str>,
    /// The permit of the request. It is released after the response body has been handed to the operating system.
    permit: Option<Arc<RequestPermit>>,
}

impl ErrorResponse {
    /// Creates an error response without fields, `Retry-After` or permit.
    pub(super) fn new(status: StatusCode, reason: &'static str, error: impl Into<String>) -> Self {
        let error: String = error.into();
        Self {
            status,
            body: ErrorBody {
                error: cut(&error, MAX_MESSAGE_BYTES, char::len_utf8),
                reason,
                fields: Vec::new(),
            },
            retry_after: None,
            allowed: None,
            permit: None,
        }
    }

    /// Sets the permit. It is released after the response body has been handed to the operating system.
    pub(super) fn holding(self, permit: Arc<RequestPermit>) -> Self {
        let permit = Some(permit);
        Self { permit, ..self }
    }

    /// Creates the response to a method that the path does not support; it supports `allowed`.
    pub(super) fn method_not_allowed(method: &str, allowed: &'static str) -> Self {
        let text = "method not allowed on this path: the header `Allow` lists those that are";
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let response = Self::new(status, "UNKNOWN_METHOD", text);
        let mut response = response.about("method", method, "one that the header `Allow` lists");
        response.allowed = Some(allowed);
        response
    }

    /// Adds a faulty part of the request.
    pub(super) fn about(mut self, field: &str, got: &str, wanted: &str) -> Self {
        self.body.fields.push(Field::new(field, got, wanted));
        self
    }

    /// Creates the response to new work while the gateway drains.
    pub(super) fn draining() -> Self {
        let text = "the gateway is shutting down and takes no new work: send the request to another replica";
        let reason = PredictError::Draining.reason();
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason, text)
    }
}

impl From<&PredictError> for ErrorResponse {
    fn from(error: &PredictError) -> Self {
        let faults = match error {
            PredictError::InvalidInput(faults) => Some(faults.with_tensors_as(REST.tensors)),
            _ => None,
        };
        let message = match &faults {
            Some(faults) => faults.to_string(),
            None => error.to_string(),
        };
        let mut response = Self::new(status((REST.code)(error)), error.reason(), message);
        match error {
            PredictError::UnknownModel(name) => {
                response.about(REST.model, name, "the name of a model")
            }
            PredictError::UnknownVersion { version, .. } => {
                response.about(REST.version, &version.to_string(), "a version of the model")
            }
            PredictError::UnknownLabel { label, .. } => {
                response.about(REST.label, label, "a version or a label of the model")
            }
            PredictError::Overloaded { retry_after, .. }
            | PredictError::TooLate { retry_after, .. } => {
                response.retry_after = Some(*retry_after);
                response
            }
            // The cause of a failed forward pass is in the log only.
            PredictError::InvalidInput(_)
            | PredictError::Draining
            | PredictError::Forward { .. }
            | PredictError::NotReady { .. }
            | PredictError::DeadlineExceeded => {
                let faults = faults.as_deref().into_iter();
                let fields = faults.flat_map(|faults| faults.iter().map(Field::of));
                response.body.fields.extend(fields);
                response
            }
        }
    }
}

impl From<PredictError> for ErrorResponse {
    fn from(error: PredictError) -> Self {
        Self::from(&error)
    }
}

impl IntoResponse for ErrorResponse {
    fn into_response(self) -> Response {
        let mut head = HeaderMap::new();
        if let Some(after) = self.retry_after {
            // HTTP counts whole seconds.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            head.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(method) = self.allowed {
            head.insert(header::ALLOW, HeaderValue::from_static(method));
        }
        (self.status, head, json(&self.body, self.permit)).into_response()
    }
}

/// Makes a JSON response of `body`, with a final newline for terminals. `permit` is released after the response
/// body has been handed to the operating system.
pub(in crate::api::http) fn json(
    body: &impl Serialize,
    permit: Option<Arc<RequestPermit>>,
) -> Response {
    // Serializing fails only for keys that are not strings, and none of these types has one.
    let mut text = serde_json::to_vec(body).unwrap_or_default();
    text.push(b'\n');
    let body = match permit {
        Some(permit) => body_holding(text, permit),
        None => text.into(),
    };
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Aborted | Code::AlreadyExists => StatusCode::CONFLICT,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Code::FailedPrecondition | Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        // A caller that cancelled does not read the response.
        Code::DeadlineExceeded | Code::Cancelled => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// Returns the error response for a path that has no route. A path that ends with a slash is redirected to the one without.
pub(in crate::api::http) async fn no_such_path(
    request: Request,
) -> Result<Redirect, ErrorResponse> {
    if let Some(path) = without_slash(request.uri()) {
        return Ok(Redirect::temporary(&path));
    }
    let text = "unknown path: `/openapi.json` lists all paths";
    Err(
        ErrorResponse::new(StatusCode::NOT_FOUND, "UNKNOWN_PATH", text).about(
            "path",
            request.uri().path(),
            "one that `/openapi.json` lists",
        ),
    )
}

/// Returns the path of `uri` without the slash at its end, and the query; `None` if there is no such slash.
fn without_slash(uri: &Uri) -> Option<String> {
    // Two slashes would begin the name of another host, and browsers read a backslash as a slash.
    let path = uri.path().strip_suffix('/')?;
    let is_path =
        path.len() > 1 && !path.starts_with("//") && !path.ends_with('/') && !path.contains('\\');
    let query = uri.query().map(|query| format!("?{query}"));
    is_path.then(|| format!("{path}{}", query.unwrap_or_default()))
}

/// Returns the error response for a method that the path does not support.
pub(in crate::api::http) async fn no_such_method(request: Request) -> ErrorResponse {
    let text = "method not allowed on this path: the header `Allow` lists those that are";
    ErrorResponse::new(StatusCode::METHOD_NOT_ALLOWED, "UNKNOWN_METHOD", text).about(
        "method",
        request.method().as_str(),
        "one that the header `Allow` lists",
    )
}
