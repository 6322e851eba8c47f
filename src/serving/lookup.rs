//! Finds what a request names in a snapshot: a model, its policy, or a pinned version.

use std::sync::Arc;

use super::live::{Routing, ServingModel, Snapshot};
use super::query::Pin;
use super::version::VersionRuntime;
use crate::error::PredictError;
use crate::ident::VersionNumber;

impl Snapshot {
    /// Returns the model with this name.
    ///
    /// # Errors
    /// Returns an error if there is no such model.
    pub fn model(&self, name: &str) -> Result<&Arc<ServingModel>, PredictError> {
        let model = self.models.get(name);
        model.ok_or_else(|| PredictError::unknown_model(name))
    }
}

impl ServingModel {
    /// Returns the policy in force.
    ///
    /// # Errors
    /// Returns an error if no version is READY: then there is no policy in force.
    pub fn routing(&self) -> Result<&Arc<Routing>, PredictError> {
        self.routing.as_ref().ok_or_else(|| self.not_ready())
    }

    /// Returns the error of a request to this model while no version is READY.
    #[must_use]
    pub fn not_ready(&self) -> PredictError {
        PredictError::NotReady {
            model: self.name.to_string(),
            why: "no version is READY".into(),
        }
    }
}

/// Returns the version of `model` that `pin` names.
///
/// # Errors
/// Returns an error if there is no such version or label, or if the version cannot answer.
pub fn pinned<'a>(
    model: &'a ServingModel,
    pin: &Pin,
) -> Result<&'a Arc<VersionRuntime>, PredictError> {
    let name = || model.name.to_string();
    let version = match pin {
        Pin::Version(number) => {
            let unknown = |_| PredictError::UnknownVersion {
                model: name(),
                version: *number,
            };
            VersionNumber::try_from(*number).map_err(unknown)?
        }
        Pin::Label(label) => {
            let known = model.labels.get(label.as_str()).copied();
            known.ok_or_else(|| PredictError::unknown_label(model.name.as_str(), label))?
        }
    };
    ready(model, version)
}

fn ready(
    model: &ServingModel,
    version: VersionNumber,
) -> Result<&Arc<VersionRuntime>, PredictError> {
    model.ready.get(&version).ok_or_else(|| {
        let name = model.name.to_string();
        if let Some(state) = model.others.get(&version) {
            let why = format!("version {version} is {state}; `GetModel` says why");
            PredictError::NotReady { model: name, why }
        } else {
            PredictError::UnknownVersion {
                model: name,
                version: version.get(),
            }
        }
    })
}
