//! Who is asked for past the policy.

use std::sync::Arc;

use super::live::{ServingModel, ServingVersion};
use super::query::Pin;
use crate::error::PredictError;
use crate::ident::VersionNumber;

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
            known.ok_or_else(|| {
                let label = label.chars().take(64).collect();
                PredictError::UnknownLabel {
                    model: name(),
                    label,
                }
            })?
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
