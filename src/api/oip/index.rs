//! The index of all known versions and their states.

use crate::api::catalog::Catalog;
use crate::control::State;
use crate::proto::inference;
use crate::proto::inference::repository_index_response::ModelIndex;

/// Lists every known version, or only those that are READY.
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
        let (word, reason) = describe(state);
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

/// Returns Triton's word for a state, and why it is not READY. Only operators may see why a version failed.
fn describe(state: State) -> (&'static str, &'static str) {
    match state {
        State::Ready => ("READY", ""),
        State::Loading => ("LOADING", "reading its files"),
        State::Verifying => ("LOADING", "verifying its golden requests"),
        State::Warming => ("LOADING", "warming up"),
        State::Draining => ("UNLOADING", "waiting for its last requests"),
        State::Discovered => ("UNAVAILABLE", "not loaded"),
        State::Retired => ("UNAVAILABLE", "unloaded"),
        State::Failed => ("UNAVAILABLE", "failed to load"),
    }
}
