//! Every version that is known, and how it stands.

use crate::api::catalog::Catalog;
use crate::control::State;
use crate::proto::inference;
use crate::proto::inference::repository_index_response::ModelIndex;

/// Every version that is known, or only those that are READY.
pub(in crate::api) fn index(
    catalog: &Catalog,
    ready_only: bool,
) -> inference::RepositoryIndexResponse {
    let view = catalog.view();
    let versions = view.models.values().flat_map(|model| {
        let versions = model.versions.iter();
        versions.map(|(number, version)| (&model.name, number, version.state))
    });
    let wanted = versions.filter(|(.., state)| !ready_only || *state == State::Ready);
    let models = wanted.map(|(model, version, state)| {
        let (word, reason) = told(state);
        ModelIndex {
            name: model.to_string(),
            version: version.to_string(),
            state: word.to_owned(),
            reason: reason.to_owned(),
        }
    });
    inference::RepositoryIndexResponse {
        models: models.collect(),
    }
}

/// Triton's word for a state, and why it is not READY. Why a version failed is told to operators only.
fn told(state: State) -> (&'static str, &'static str) {
    match state {
        State::Ready => ("READY", ""),
        State::Loading => ("LOADING", "its files are read"),
        State::Verifying => ("LOADING", "its golden requests are answered"),
        State::Warming => ("LOADING", "it is warmed up"),
        State::Draining => ("UNLOADING", "its last requests finish"),
        State::Discovered => ("UNAVAILABLE", "it is not loaded"),
        State::Retired => ("UNAVAILABLE", "it is unloaded"),
        State::Failed => ("UNAVAILABLE", "it failed to load"),
    }
}
