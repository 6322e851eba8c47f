//! A whole model loaded or unloaded at once, as clients of the Open Inference Protocol ask for it: version by version, each as if it
//! was asked for by itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::{Admin, changes, unknown_model};
use crate::api::read;
use crate::control::{ChangeOptions, Edit, ModelView, State};
use crate::error::{AdminError, InputFaults};
use crate::proto::v1;

/// The model that is to be loaded or unloaded.
#[derive(Debug)]
pub(in crate::api::grpc) struct Subject(String);

impl Subject {
    /// The model that a request names: in `model`, or, as some clients have it, in `repository`.
    ///
    /// # Errors
    /// None is named, or a repository is, or one of the `parameters` would change what is loaded.
    pub(in crate::api::grpc) fn named(
        repository: String,
        model: String,
        parameters: impl IntoIterator<Item = String>,
    ) -> Result<Self, AdminError> {
        let mut faults = InputFaults::default();
        let name = match (model.is_empty(), repository.is_empty()) {
            (true, true) => {
                faults.add("model_name", "nothing", "the name of a model");
                model
            }
            (true, false) => repository,
            (false, true) => model,
            (false, false) => {
                let wanted = "nothing: there is one registry";
                faults.add("repository_name", "a name", wanted);
                model
            }
        };
        for parameter in parameters {
            if parameter == "config" || parameter.starts_with("file:") {
                let wanted =
                    "nothing: versions come from the registry only, as they were published";
                faults.add(
                    format!("parameters[{}]", read::cut(&parameter)),
                    "a value",
                    wanted,
                );
            }
        }
        faults.into_result().map_err(AdminError::InvalidChange)?;
        Ok(Self(name))
    }
}

impl Admin {
    /// Loads every version of a model that was unloaded by hand, and waits for them. Answers whether the model has a version that
    /// is READY then.
    ///
    /// # Errors
    /// There is no such model, or a version of it is FAILED then or not complete: all of them are tried.
    pub(in crate::api::grpc) async fn load_model(
        &self,
        Subject(model): Subject,
        peer: Option<SocketAddr>,
    ) -> Result<(String, bool), AdminError> {
        let view = self.known(&model)?;
        let mut not_ready = BTreeMap::new();
        for version in &view.wanted.unload {
            let terms = terms("RepositoryModelLoad", peer)?;
            match self.load(model.clone(), version.get(), terms).await {
                // A version whose folder is gone keeps nobody from loading the others.
                Ok(_) | Err(AdminError::UnknownVersion { .. }) => {}
                Err(AdminError::NotReady(why)) => not_ready.extend(why),
                Err(error) => return Err(error),
            }
        }
        let view = self.known(&model)?;
        for (number, version) in &view.versions {
            let why = match version.state {
                State::Failed => version.faults.as_ref().map(ToString::to_string),
                State::Ready => None,
                _ => version.waits_for.clone(),
            };
            not_ready.extend(why.map(|why| (*number, why)));
        }
        if !not_ready.is_empty() {
            return Err(AdminError::NotReady(not_ready.into_iter().collect()));
        }
        let is_loaded = in_memory(&view).any(|(_, state)| state == State::Ready);
        Ok((model, is_loaded))
    }

    /// Unloads every version of a model that nobody holds. Answers whether none is left.
    ///
    /// # Errors
    /// There is no such model, or somebody holds all of its versions.
    pub(in crate::api::grpc) async fn unload_model(
        &self,
        Subject(model): Subject,
        peer: Option<SocketAddr>,
    ) -> Result<(String, bool), AdminError> {
        let view = self.known(&model)?;
        let (mut unloaded, mut held) = (0, Vec::new());
        for (version, _) in in_memory(&view) {
            let terms = terms("RepositoryModelUnload", peer)?;
            let edit = Edit::Unload(version);
            match self.control.change(model.clone(), edit, terms).await {
                Ok(_) => unloaded += 1,
                Err(AdminError::Held { what, by }) => {
                    held.extend(by.into_iter().map(|who| format!("{who} ({what})")));
                }
                Err(error) => return Err(error),
            }
        }
        if unloaded == 0 && !held.is_empty() {
            let what = format!("model {model}");
            return Err(AdminError::Held { what, by: held });
        }
        Ok((model, held.is_empty()))
    }

    fn known(&self, model: &str) -> Result<Arc<ModelView>, AdminError> {
        let known = self.control.view().models.get(model).cloned();
        known.ok_or_else(|| unknown_model(model))
    }
}

/// Versions that take memory, or soon will.
fn in_memory(model: &ModelView) -> impl Iterator<Item = (u64, State)> + '_ {
    let versions = model.versions.iter();
    let versions = versions.map(|(number, version)| (number.get(), version.state));
    versions.filter(|(_, state)| *state == State::Ready || state.is_loading())
}

/// Author by who asked, with the call as the reason.
fn terms(call: &str, peer: Option<SocketAddr>) -> Result<ChangeOptions, AdminError> {
    let raw = v1::ChangeTerms {
        reason: format!("{call} of the Open Inference Protocol"),
        ..v1::ChangeTerms::default()
    };
    changes::terms(Some(raw), peer).map_err(AdminError::InvalidChange)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(repository: &str, model: &str, parameters: &[&str]) -> Result<String, String> {
        let parameters = parameters.iter().map(|&name| name.to_owned());
        let subject = Subject::named(repository.to_owned(), model.to_owned(), parameters);
        subject
            .map(|named| named.0)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_model_is_named_in_either_field_and_in_one_of_them_only() {
        assert_eq!(named("", "m", &["unload_dependents"]), Ok("m".to_owned()));
        assert_eq!(
            named("m", "", &[]),
            Ok("m".to_owned()),
            "KServe's numbering"
        );
        for (repository, model, parameters, field) in [
            ("", "", &[][..], "model_name"),
            ("r", "m", &[], "repository_name"),
            ("", "m", &["config"], "parameters[config]"),
            (
                "",
                "m",
                &["file:1/model.onnx"],
                "parameters[file:1/model.onnx]",
            ),
        ] {
            let refused = named(repository, model, parameters).unwrap_err();
            assert!(refused.starts_with(field), "{refused}");
        }
    }
}
