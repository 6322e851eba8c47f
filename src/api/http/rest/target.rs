//! The model and version that a path names.

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;

use super::error_response::{ErrorResponse, REST};
use crate::error::{InputFaults, PredictError};

/// Names from a path.
#[derive(Debug, Default)]
pub(in crate::api::http) struct PathTarget {
    /// `{model}`
    pub(super) model: String,
    /// `{version}`: a number or a label; `None` if the path has no such part.
    pub(super) version: Option<String>,
}

impl PathTarget {
    /// Adds a fault for each name that is empty: a path may have nothing between two slashes.
    pub(super) fn check(&self, faults: &mut InputFaults) {
        if self.model.is_empty() {
            faults.add(REST.model, "nothing", "the name of a model");
        }
        if self.version.as_deref() == Some("") {
            faults.add(
                REST.version,
                "nothing",
                "the number of a version, or a label",
            );
        }
    }

    /// Returns model and version in the form that all protocols share, with an empty version for none.
    ///
    /// # Errors
    /// Returns an error response if a name is empty.
    pub(super) fn checked(self) -> Result<(String, String), ErrorResponse> {
        let mut faults = InputFaults::default();
        self.check(&mut faults);
        faults.into_result().map_err(PredictError::from)?;
        Ok(self.into_parts())
    }

    /// Returns what [`checked`](Self::checked) returns, for a target that was checked before.
    pub(super) fn into_parts(self) -> (String, String) {
        (self.model, self.version.unwrap_or_default())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathTarget {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorResponse> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|_| {
            let faults = InputFaults::one("path", "bytes that are not UTF-8", "names in UTF-8");
            ErrorResponse::from(&faults.into())
        })?;
        let mut target = Self::default();
        for (name, text) in &params {
            match name {
                "version" => target.version = Some(text.to_owned()),
                _ => target.model = text.to_owned(),
            }
        }
        Ok(target)
    }
}
