//! Loads or unloads all versions of a model, as clients of the Open Inference Protocol request it: one version after the other, each as if
//! it was requested by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Admin, changes};
use crate::api::context::RequestContext;
use crate::api::read;
use crate::control::{ChangeOptions, Edit, ModelView, State};
use crate::error::{AdminError, InputFaults};
use crate::proto::v1;

/// The model to load or to unload.
#[derive(Debug)]
pub(in crate::api::grpc) struct LoadTarget(String);

impl LoadTarget {
    /// Reads the model that a request names in `model`, or as some clients do, in `repository`.
    ///
    /// # Errors
    /// Returns an error if both or none are named, or if one of the `parameters` would change what is loaded.
    pub(in crate::api::grpc) fn read(
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
    /// Loads every version of a model that an operator unloaded, and waits for them. Returns the model's name, and whether a version of it
    /// is READY afterwards.
    ///
    /// # Errors
    /// Returns an error if the model does not exist, or, after all versions were tried, if one has failed or is incomplete.
    pub(in crate::api::grpc) async fn load_model(
        &self,
        LoadTarget(model): LoadTarget,
        context: &RequestContext,
    ) -> Result<(String, bool), AdminError> {
        let view = self.find(&model)?;
        let mut not_ready = BTreeMap::new();
        for version in &view.wanted.unload {
            let options = make_options("RepositoryModelLoad", context)?;
            match self.load(model.clone(), version.get(), options).await {
                // A version whose folder is gone must not keep the others from loading.
                Ok(_) | Err(AdminError::UnknownVersion { .. }) => {}
                Err(AdminError::NotReady(why)) => not_ready.extend(why),
                Err(error) => return Err(error),
            }
        }
        let loaded = self.find(&model)?;
        for (number, version) in &loaded.versions {
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
        let is_loaded = in_memory(&loaded).any(|(_, state)| state == State::Ready);
        Ok((model, is_loaded))
    }

    /// Unloads every version of a model that is not referenced by its policy or labels. Returns the model's name, and whether no version is
    /// left.
    ///
    /// # Errors
    /// Returns an error if the model does not exist, or if all of its versions are referenced.
    pub(in crate::api::grpc) async fn unload_model(
        &self,
        LoadTarget(model): LoadTarget,
        context: &RequestContext,
    ) -> Result<(String, bool), AdminError> {
        let view = self.find(&model)?;
        let (mut unloaded, mut held) = (0, Vec::new());
        for (version, _) in in_memory(&view) {
            let options = make_options("RepositoryModelUnload", context)?;
            let edit = Edit::Unload(version);
            match self.control.change(model.clone(), edit, options).await {
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

    fn find(&self, model: &str) -> Result<Arc<ModelView>, AdminError> {
        let found = self.control.view().models.get(model).cloned();
        found.ok_or_else(|| AdminError::unknown_model(model))
    }
}

/// Returns the versions that take memory, or soon will, with their states.
fn in_memory(model: &ModelView) -> impl Iterator<Item = (u64, State)> + '_ {
    let versions = model.versions.iter();
    let states = versions.map(|(number, version)| (number.get(), version.state));
    states.filter(|(_, state)| *state == State::Ready || state.is_loading())
}

/// Makes the options of a change whose reason is the call.
fn make_options(call: &str, context: &RequestContext) -> Result<ChangeOptions, AdminError> {
    let raw = v1::ChangeTerms {
        reason: format!("{call} of the Open Inference Protocol"),
        ..v1::ChangeTerms::default()
    };
    changes::read_options(Some(raw), context).map_err(AdminError::InvalidChange)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(repository: &str, model: &str, parameters: &[&str]) -> Result<String, String> {
        let parameters = parameters.iter().map(|&name| name.to_owned());
        let target = LoadTarget::read(repository.to_owned(), model.to_owned(), parameters);
        target
            .map(|target| target.0)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_model_is_named_in_either_field_and_in_one_of_them_only() {
        assert_eq!(read("", "m", &["unload_dependents"]), Ok("m".to_owned()));
        assert_eq!(read("m", "", &[]), Ok("m".to_owned()), "KServe's numbering");
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
            let refused = read(repository, model, parameters).unwrap_err();
            assert!(refused.starts_with(field), "{refused}");
        }
    }
}
