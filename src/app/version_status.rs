//! The states of all versions, for the listing that `serve` prints after the start.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Gateway;
use crate::control::{ModelView, State, VersionView};
use crate::ident::VersionNumber;

/// The state of one version, for a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionStatus {
    /// The model.
    pub model: String,
    /// The number of the version.
    pub version: u64,
    /// The name of the state: `READY`.
    pub state: &'static str,
    /// Its share in the split: `95%`; `None` if it cannot answer.
    pub share: Option<String>,
    /// Why it cannot answer, one reason per entry.
    pub why: Vec<String>,
}

impl Gateway {
    /// Returns the states of all versions, by model and number.
    #[must_use]
    pub fn version_statuses(&self) -> Vec<VersionStatus> {
        let snapshot = self.live.snapshot();
        let views = Arc::clone(&self.views.borrow());
        let of_model = |model: &Arc<ModelView>| {
            let routing = snapshot
                .models
                .get(&model.name)
                .and_then(|model| model.routing.clone());
            let shares: BTreeMap<_, _> = routing
                .iter()
                .flat_map(|routing| routing.shares())
                .collect();
            let status = |(version, view): (&VersionNumber, &VersionView)| VersionStatus {
                model: model.name.to_string(),
                version: version.get(),
                state: view.state.as_str(),
                share: (view.state == State::Ready)
                    .then(|| shares.get(version).copied().unwrap_or_default().to_string()),
                why: match (&view.faults, &view.waits_for) {
                    (Some(faults), _) => faults.iter().map(ToString::to_string).collect(),
                    (None, Some(waits)) => vec![waits.clone()],
                    (None, None) => Vec::new(),
                },
            };
            model.versions.iter().map(status).collect::<Vec<_>>()
        };
        views.models.values().flat_map(of_model).collect()
    }

    /// Returns why models cannot answer as their policies want, one reason per entry.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let views = Arc::clone(&self.views.borrow());
        let models = views.models.values();
        models.filter_map(|model| model.problem_line()).collect()
    }
}
