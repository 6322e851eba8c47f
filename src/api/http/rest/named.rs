//! Which model and version a path names.

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;

use super::refusal::{REST, Refusal};
use crate::error::{InputFaults, PredictError};

/// What stands in a path.
#[derive(Debug, Default)]
pub(in crate::api::http) struct Named {
    /// `{model}`
    pub(super) model: String,
    /// `{version}`: a number or a label; where the path has none, none is asked for.
    pub(super) version: Option<String>,
}

impl Named {
    /// Adds what is not named to `faults`: between two slashes may stand nothing.
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

    /// The model, and the version as the other ports have it: empty where none is asked for.
    ///
    /// # Errors
    /// One of them is not named.
    pub(super) fn checked(self) -> Result<(String, String), Refusal> {
        let mut faults = InputFaults::default();
        self.check(&mut faults);
        faults.into_result().map_err(PredictError::from)?;
        Ok(self.into_parts())
    }

    /// As [`checked`](Self::checked), of one that was checked.
    pub(super) fn into_parts(self) -> (String, String) {
        (self.model, self.version.unwrap_or_default())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let found = RawPathParams::from_request_parts(parts, state).await;
        let found = found.map_err(|_| {
            let faults = InputFaults::one("path", "bytes that are not UTF-8", "names in UTF-8");
            Refusal::from(&faults.into())
        })?;
        let mut named = Self::default();
        for (name, text) in &found {
            match name {
                "version" => named.version = Some(text.to_owned()),
                _ => named.model = text.to_owned(),
            }
        }
        Ok(named)
    }
}
