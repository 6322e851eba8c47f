//! Every error of the HTTP door as JSON: a sentence for people, a word for programs, and which fields it is about.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;

use super::admit::holding;
use crate::api::error_mapping::ErrorMapping;
use crate::api::status::cut;
use crate::error::{Code, InputFault, PredictError};
use crate::serving::admission::RequestPermit;

/// Bytes of a sentence.
const SENTENCE: usize = 1024;
/// Bytes of each text about a field.
const TEXT: usize = 320;

/// How this door calls what errors are about: the model and its version stand in the path.
pub(super) static REST: ErrorMapping = ErrorMapping {
    model: "model",
    version: "version",
    label: "version",
    tensors: "inputs",
    code: PredictError::code,
};

/// An error.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(in crate::api::http) struct Told {
    /// What is wrong, for people.
    error: String,
    /// The stable word for this kind of error, for programs.
    reason: &'static str,
    /// What is wrong with which part of the request; the first of them, where there are many.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    fields: Vec<Field>,
}

/// What is wrong with one part of a request.
#[derive(Debug, Serialize, JsonSchema)]
struct Field {
    /// Which part: `inputs[x].data[3]`, `rows[0].color`, `routing_key`, `body`.
    field: String,
    /// What came.
    got: String,
    /// What was wanted.
    wanted: String,
}

impl Field {
    fn new(field: &str, got: &str, wanted: &str) -> Self {
        let [field, got, wanted] = [field, got, wanted].map(|text| cut(text, TEXT, char::len_utf8));
        Self { field, got, wanted }
    }

    fn of(fault: &InputFault) -> Self {
        Self::new(&fault.field, &fault.got, &fault.wanted)
    }
}

/// An error as an answer.
#[derive(Debug)]
pub(in crate::api::http) struct Refusal {
    status: StatusCode,
    told: Told,
    retry_after: Option<Duration>,
    /// Of the request, until the answer has left.
    place: Option<Arc<RequestPermit>>,
}

impl Refusal {
    /// An error that no other door knows.
    pub(super) fn new(status: StatusCode, reason: &'static str, error: impl Into<String>) -> Self {
        let error: String = error.into();
        Self {
            status,
            told: Told {
                error: cut(&error, SENTENCE, char::len_utf8),
                reason,
                fields: Vec::new(),
            },
            retry_after: None,
            place: None,
        }
    }

    /// The same, of a request that has its place.
    pub(super) fn holding(self, place: Arc<RequestPermit>) -> Self {
        let place = Some(place);
        Self { place, ..self }
    }

    /// The same, about a part of the request.
    pub(super) fn about(mut self, field: &str, got: &str, wanted: &str) -> Self {
        self.told.fields.push(Field::new(field, got, wanted));
        self
    }

    /// New work, when the gateway goes down.
    pub(super) fn going_down() -> Self {
        let told = "the gateway is going down: no new work is taken";
        let reason = PredictError::Draining.reason();
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason, told)
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
            // Why a forward pass failed is in the log, not here.
            PredictError::InvalidInput(_)
            | PredictError::Draining
            | PredictError::Forward { .. }
            | PredictError::NotReady { .. }
            | PredictError::DeadlineExceeded => {
                let faults = faults.as_deref().into_iter();
                let fields = faults.flat_map(|faults| faults.iter().map(Field::of));
                refusal.told.fields.extend(fields);
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
        (self.status, head, json(&self.told, self.place)).into_response()
    }
}

/// `body` as JSON, with an end of line for whoever reads it in a terminal; it holds `place` until it has left.
pub(in crate::api::http) fn json(
    body: &impl Serialize,
    place: Option<Arc<RequestPermit>>,
) -> Response {
    // Nothing here has a key that is no text, which is all that JSON cannot hold.
    let mut text = serde_json::to_vec(body).unwrap_or_default();
    text.push(b'\n');
    let body = match place {
        Some(place) => holding(text, place),
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
        // Nobody reads what is told to a caller who has gone.
        Code::DeadlineExceeded | Code::Cancelled => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// For paths that are not there.
pub(in crate::api::http) async fn no_such_path(request: Request) -> Refusal {
    let told = "no such path: `/openapi.json` lists all";
    Refusal::new(StatusCode::NOT_FOUND, "UNKNOWN_PATH", told).about(
        "path",
        request.uri().path(),
        "one that `/openapi.json` lists",
    )
}

/// For paths that are there, but not for this method.
pub(in crate::api::http) async fn no_such_method(request: Request) -> Refusal {
    let told = "not by this method: the header `Allow` lists those that go";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "UNKNOWN_METHOD", told).about(
        "method",
        request.method().as_str(),
        "one that the header `Allow` lists",
    )
}
