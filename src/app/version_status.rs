//! How versions stand, for whoever starts a gateway and wants to tell.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Gateway;
use crate::control::{ModelView, State, VersionView};
use crate::ident::VersionNumber;

/// How one version stands, for a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionStatus {
    /// Its model.
    pub model: String,
    /// Its number.
    pub version: u64,
    /// The word for its state: `READY`.
    pub state: &'static str,
    /// What the split gives to it, `95%`; `None` where it cannot answer.
    pub share: Option<String>,
    /// Why it cannot answer, a line each.
    pub why: Vec<String>,
}

impl Gateway {
    /// How every version stands, by model and number.
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
            let standing = |(version, view): (&VersionNumber, &VersionView)| VersionStatus {
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
            model.versions.iter().map(standing).collect::<Vec<_>>()
        };
        views.models.values().flat_map(of_model).collect()
    }

    /// Why models cannot answer as it is wanted, a line each.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let views = Arc::clone(&self.views.borrow());
        let models = views.models.values();
        models.filter_map(|model| model.problem_line()).collect()
    }
}
