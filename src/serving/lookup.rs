//! What a request names, looked up in what is served: a model, its policy, or a version past that.

use std::sync::Arc;

use super::live::{Routing, ServingModel, ServingVersion, Snapshot};
use super::query::Pin;
use crate::error::PredictError;
use crate::ident::VersionNumber;

impl Snapshot {
    /// The model of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn model(&self, name: &str) -> Result<&Arc<ServingModel>, PredictError> {
        let model = self.models.get(name);
        model.ok_or_else(|| PredictError::unknown_model(name))
    }
}

impl ServingModel {
    /// The policy in force.
    ///
    /// # Errors
    /// No version is READY, so there is none.
    pub fn routing(&self) -> Result<&Arc<Routing>, PredictError> {
        self.routing.as_ref().ok_or_else(|| self.not_ready())
    }

    /// Why a request to it gets no answer where no version is READY.
    #[must_use]
    pub fn not_ready(&self) -> PredictError {
        PredictError::NotReady {
            model: self.name.to_string(),
            why: "no version is READY".into(),
        }
    }
}

/// The version of `model` that `pin` names.
///
/// # Errors
/// There is no such version or label, or the version cannot answer.
pub fn pinned<'a>(
    model: &'a ServingModel,
    pin: &Pin,
) -> Result<&'a Arc<ServingVersion>, PredictError> {
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
) -> Result<&Arc<ServingVersion>, PredictError> {
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
