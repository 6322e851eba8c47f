//! What the configuration says about versions and first wishes.

use std::collections::BTreeMap;

use super::reconcile::VersionChoice;
use super::wanted::Wanted;
use crate::ident::{Label, ModelName, VersionNumber};
use crate::serving::batch::BatchingHints;
use crate::serving::route::RawPolicy;

/// What the configuration says about all models.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The version policy of models that have none of their own.
    pub versions: VersionChoice,
    /// Bytes of weights in memory at one time, of a version that is being loaded too; `None`: no limit.
    pub max_weight_bytes: Option<u64>,
    /// By model.
    pub models: BTreeMap<ModelName, ModelSettings>,
}

/// What it says about one model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelSettings {
    /// The version policy; `None`: that of all models.
    pub versions: Option<VersionChoice>,
    /// Labels to begin with.
    pub labels: BTreeMap<Label, VersionNumber>,
    /// The traffic policy to begin with, checked; `None`: everything to `latest`.
    pub policy: Option<RawPolicy>,
    /// How requests of its versions are put together, before what manifests hint at.
    pub batching: BatchingHints,
}

impl ModelSettings {
    /// What is wanted before anybody has changed anything; `None` where the configuration leaves it open.
    #[must_use]
    pub fn first(&self) -> Option<Wanted> {
        let any = self.policy.is_some() || !self.labels.is_empty();
        any.then(|| Wanted {
            policy: self.policy.clone(),
            labels: self.labels.clone(),
            ..Wanted::default()
        })
    }
}
