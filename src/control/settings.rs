//! What the configuration says about versions, and the initial desired state of models.

use std::collections::BTreeMap;

use super::reconcile::VersionChoice;
use super::wanted::Wanted;
use crate::ident::{Label, ModelName, VersionNumber};
use crate::model::ContentStores;
use crate::serving::batch::BatchingHints;
use crate::serving::route::RawPolicy;

/// Settings of all models.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Version policy of models without one of their own.
    pub versions: VersionChoice,
    /// Maximum bytes of weights in memory at one time, including a version that is being loaded; `None`: no limit.
    pub max_weight_bytes: Option<u64>,
    /// Where files of versions may be besides their folders.
    pub content_stores: ContentStores,
    /// Settings by model.
    pub models: BTreeMap<ModelName, ModelSettings>,
}

/// Settings of one model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelSettings {
    /// Version policy; `None`: that of all models.
    pub versions: Option<VersionChoice>,
    /// Initial labels.
    pub labels: BTreeMap<Label, VersionNumber>,
    /// Initial traffic policy, already checked; `None`: everything to `latest`.
    pub policy: Option<RawPolicy>,
    /// How requests are batched. Takes precedence over the hints in manifests.
    pub batching: BatchingHints,
}

impl ModelSettings {
    /// Returns the desired state before the first change; `None` if the configuration does not set it.
    #[must_use]
    pub fn initial(&self) -> Option<Wanted> {
        let is_set = self.policy.is_some() || !self.labels.is_empty();
        is_set.then(|| Wanted {
            policy: self.policy.clone(),
            labels: self.labels.clone(),
            ..Wanted::default()
        })
    }
}
