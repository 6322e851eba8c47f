//! Which model and version a path names.

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;

use super::refusal::Refusal;
use crate::error::InputFaults;

/// What stands in a path.
#[derive(Debug, Default)]
pub(in crate::api::http) struct Named {
    /// `{model}`
    pub(super) model: String,
    /// `{version}`: a number or a label; empty: none is asked for.
    pub(super) version: String,
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
                "version" => named.version = text.to_owned(),
                _ => named.model = text.to_owned(),
            }
        }
        Ok(named)
    }
}
