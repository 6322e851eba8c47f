//! Every error of the HTTP port as JSON: a sentence for people, a stable word for programs, and the fields that it is about.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;

use super::receive::body_holding;
use crate::api::error_mapping::ErrorMapping;
use crate::api::status::cut;
use crate::error::{Code, InputFault, PredictError};
use crate::serving::admission::RequestPermit;

/// Limit on the bytes of the sentence.
const MAX_SENTENCE_BYTES: usize = 1024;
/// Limit on the bytes of each text about a field.
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
    /// What is wrong, as a sentence.
    error: String,
    /// A stable word for this kind of error, for programs.
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
pub(in crate::api::http) struct Refusal {
    status: StatusCode,
    body: ErrorBody,
    retry_after: Option<Duration>,
    /// The permit of the request, held until the response has left.
    permit: Option<Arc<RequestPermit>>,
}

impl Refusal {
    /// Creates a refusal for an error that only HTTP has.
    pub(super) fn new(status: StatusCode, reason: &'static str, error: impl Into<String>) -> Self {
        let error: String = error.into();
        Self {
            status,
            body: ErrorBody {
                error: cut(&error, MAX_SENTENCE_BYTES, char::len_utf8),
                reason,
                fields: Vec::new(),
            },
            retry_after: None,
            permit: None,
        }
    }

    /// Sets the permit to hold until the response has left.
    pub(super) fn holding(self, permit: Arc<RequestPermit>) -> Self {
        let permit = Some(permit);
        Self { permit, ..self }
    }

    /// Adds a faulty part of the request.
    pub(super) fn about(mut self, field: &str, got: &str, wanted: &str) -> Self {
        self.body.fields.push(Field::new(field, got, wanted));
        self
    }

    /// Creates the refusal of new work while the gateway drains.
    pub(super) fn draining() -> Self {
        let text = "the gateway is shutting down and takes no new work: send the request to another replica";
        let reason = PredictError::Draining.reason();
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason, text)
    }
}

impl From<&PredictError> for Refusal {
    fn from(error: &PredictError) -> Self {
        let faults = match error {
            PredictError::InvalidInput(faults) => Some(faults.with_tensors_as(REST.tensors)),
            _ => None,
        };
        let sentence = match &faults {
            Some(faults) => faults.to_string(),
            None => error.to_string(),
        };
        let mut refusal = Self::new(status((REST.code)(error)), error.reason(), sentence);
        match error {
            PredictError::UnknownModel(name) => {
                refusal.about(REST.model, name, "the name of a model")
            }
            PredictError::UnknownVersion { version, .. } => {
                refusal.about(REST.version, &version.to_string(), "a version of the model")
            }
            PredictError::UnknownLabel { label, .. } => {
                refusal.about(REST.label, label, "a version or a label of the model")
            }
            PredictError::Overloaded { retry_after, .. }
            | PredictError::TooLate { retry_after, .. } => {
                refusal.retry_after = Some(*retry_after);
                refusal
            }
            // The cause of a failed forward pass is in the log only.
            PredictError::InvalidInput(_)
            | PredictError::Draining
            | PredictError::Forward { .. }
            | PredictError::NotReady { .. }
            | PredictError::DeadlineExceeded => {
                let faults = faults.as_deref().into_iter();
                let fields = faults.flat_map(|faults| faults.iter().map(Field::of));
                refusal.body.fields.extend(fields);
                refusal
            }
        }
    }
}

impl From<PredictError> for Refusal {
    fn from(error: PredictError) -> Self {
        Self::from(&error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut head = HeaderMap::new();
        if let Some(after) = self.retry_after {
            // HTTP counts whole seconds.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            head.insert(header::RETRY_AFTER, seconds.into());
        }
        (self.status, head, json(&self.body, self.permit)).into_response()
    }
}

/// Makes a JSON response of `body`, with a final newline for terminals. It holds `permit` until it has left.
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

/// Refuses a path that has no route.
pub(in crate::api::http) async fn no_such_path(request: Request) -> Refusal {
    let text = "unknown path: `/openapi.json` lists all paths";
    Refusal::new(StatusCode::NOT_FOUND, "UNKNOWN_PATH", text).about(
        "path",
        request.uri().path(),
        "one that `/openapi.json` lists",
    )
}

/// Refuses a method that the path does not have.
pub(in crate::api::http) async fn no_such_method(request: Request) -> Refusal {
    let text = "method not allowed on this path: the header `Allow` lists those that are";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "UNKNOWN_METHOD", text).about(
        "method",
        request.method().as_str(),
        "one that the header `Allow` lists",
    )
}
