//! The model, the version or label, and the verb that a path names: `/v1/models/m/versions/3:predict`.

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use http::{Method, StatusCode};

use super::super::error_response::{ErrorResponse, REST};
use crate::api::read;
use crate::error::{InputFaults, PredictError};
use crate::serving::Pin;

/// The only verb.
const PREDICT: &str = "predict";

/// Names from a path.
#[derive(Debug)]
pub(in crate::api::http) struct Target {
    method: Method,
    model: String,
    /// A number or a label.
    version: Option<String>,
    label: Option<String>,
    /// What follows the last colon of the last name.
    verb: Option<String>,
}

impl Target {
    /// Checks that the path ends with the verb `predict`.
    ///
    /// # Errors
    /// Returns an error response if it has no verb or another one.
    pub(super) fn check_predicts(&self) -> Result<(), ErrorResponse> {
        match self.verb.as_deref() {
            Some(PREDICT) => Ok(()),
            Some(other) => Err(unknown_verb(other)),
            None => Err(ErrorResponse::method_not_allowed(
                self.method.as_str(),
                "GET,HEAD",
            )),
        }
    }

    /// Returns the model and the pin of a path without a verb.
    ///
    /// # Errors
    /// Returns an error response if a name is empty, or if the path has a verb.
    pub(super) fn described(self) -> Result<(String, Option<Pin>), ErrorResponse> {
        match self.verb.as_deref() {
            None => {}
            Some(PREDICT) => {
                let method = self.method.as_str();
                return Err(ErrorResponse::method_not_allowed(method, "POST"));
            }
            Some(other) => return Err(unknown_verb(other)),
        }
        let mut faults = InputFaults::default();
        let names = self.into_names(&mut faults);
        faults.into_result().map_err(PredictError::from)?;
        Ok(names)
    }

    /// Returns the model and the pin. Adds a fault for each name that is empty.
    pub(super) fn into_names(self, faults: &mut InputFaults) -> (String, Option<Pin>) {
        if self.model.is_empty() {
            faults.add(REST.model, "nothing", "the name of a model");
        }
        if self.version.as_deref() == Some("") {
            let wanted = "the number of a version, or a label";
            faults.add(REST.version, "nothing", wanted);
        }
        if self.label.as_deref() == Some("") {
            faults.add("label", "nothing", "a label");
        }
        let pin = match self.label {
            Some(label) => Some(Pin::Label(label)),
            None => self.version.and_then(read::pin),
        };
        (self.model, pin)
    }
}

fn unknown_verb(verb: &str) -> ErrorResponse {
    let text = "unknown verb after the last colon of the path: only `:predict` is supported";
    let got = format!(":{}", read::cut(verb));
    ErrorResponse::new(StatusCode::NOT_FOUND, "UNKNOWN_PATH", text).about("path", &got, ":predict")
}

impl<S: Send + Sync> FromRequestParts<S> for Target {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorResponse> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|_| {
            let faults = InputFaults::one("path", "bytes that are not UTF-8", "names in UTF-8");
            ErrorResponse::from(&faults.into())
        })?;
        let mut target = Self {
            method: parts.method.clone(),
            model: String::new(),
            version: None,
            label: None,
            verb: None,
        };
        for (name, text) in &params {
            // No name contains a colon.
            let (text, verb) = match text.rsplit_once(':') {
                Some((text, verb)) => (text, Some(verb.to_owned())),
                None => (text, None),
            };
            target.verb = target.verb.or(verb);
            match name {
                "version" => target.version = Some(text.to_owned()),
                "label" => target.label = Some(text.to_owned()),
                _ => target.model = text.to_owned(),
            }
        }
        Ok(target)
    }
}
