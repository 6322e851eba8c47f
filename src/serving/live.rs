//! What is being served now: an immutable [`Snapshot`] behind one `ArcSwap`.
//!
//! Readers take the whole snapshot once per request. The single writer builds the next one beside it and publishes it
//! with one store, which cannot fail. Nothing inside a snapshot changes, except for counters that are only added to.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;

use super::route::Policy;
use crate::faults::Faults;
use crate::ident::{Label, ModelName, Revision, Share, VersionNumber};
use crate::insight::metrics::{VersionMeters, Weights};
use crate::model::Version;

/// The one place that readers and the writer share.
#[derive(Debug)]
pub struct Live(ArcSwap<Snapshot>);

impl Live {
    /// Starts with `first`.
    #[must_use]
    pub fn new(first: Snapshot) -> Self {
        Self(ArcSwap::from_pointee(first))
    }

    /// What is served now. Call it once per request and keep the `Arc` to the end.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Makes `next` what is served. Requests that hold the old one finish with it. Only the writer calls this.
    pub fn publish(&self, next: Snapshot) {
        self.0.store(Arc::new(next));
    }
}

/// Everything that one request needs to know.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// By name.
    pub models: HashMap<ModelName, Arc<ServingModel>>,
}

impl Snapshot {
    /// This snapshot with one model replaced.
    #[must_use]
    pub fn with(&self, model: ServingModel) -> Self {
        let mut next = self.clone();
        next.models.insert(model.name.clone(), Arc::new(model));
        next
    }

    /// Brings the gauges of counted shares up to date; versions outside the split have none.
    pub fn report_counted_shares(&self) {
        for model in self.models.values() {
            let counted = model
                .routing
                .as_ref()
                .map_or_else(Vec::new, |routing| routing.counted());
            let all = counted.iter().sum();
            let rows = model
                .routing
                .iter()
                .flat_map(|routing| routing.policy.split().rows());
            let by_version: BTreeMap<_, _> =
                rows.map(|(version, _)| version).zip(counted).collect();
            for (number, version) in &model.ready {
                version
                    .meters
                    .counted_share(by_version.get(number).copied().unwrap_or(0), all);
            }
        }
    }
}

/// One model and its versions.
#[derive(Clone, Debug)]
pub struct ServingModel {
    /// Its name.
    pub name: ModelName,
    /// Versions that can answer.
    pub ready: BTreeMap<VersionNumber, Arc<ServingVersion>>,
    /// Versions that cannot, and why.
    pub failed: BTreeMap<VersionNumber, Arc<Faults>>,
    /// Labels, the built-in `latest` among them; each names a version in `ready`.
    pub labels: BTreeMap<Label, VersionNumber>,
    /// Who answers. `None` where no version is READY.
    pub routing: Option<Arc<Routing>>,
}

impl ServingModel {
    /// Tells the gauges of every version which share the policy gives it.
    pub fn report_target_shares(&self) {
        let rows = self
            .routing
            .as_ref()
            .map_or(&[][..], |routing| routing.policy.split().rows());
        for (number, version) in &self.ready {
            let share = rows.iter().find(|(target, _)| target == number);
            version
                .meters
                .target_share(share.map_or(Share::default(), |(_, share)| *share));
        }
    }
}

/// A version that can answer.
#[derive(Debug)]
pub struct ServingVersion {
    /// The loaded version.
    pub version: Version,
    /// Where its requests are recorded.
    pub meters: VersionMeters,
    /// Counts the weights of `version`. Declared after it, so dropped after it: what is no longer counted is freed.
    weights: Weights,
}

impl ServingVersion {
    /// A version whose requests `meters` records and whose weights `weights` counts.
    #[must_use]
    pub fn new(version: Version, meters: VersionMeters, weights: Weights) -> Self {
        Self {
            version,
            meters,
            weights,
        }
    }

    /// No snapshot that is published from now on holds it; the gauges tell it as draining until it is freed.
    pub fn draining(&self) {
        self.weights.draining();
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> VersionNumber {
        self.version.manifest().version
    }
}

/// A policy in force, with its versions resolved.
#[derive(Debug)]
pub struct Routing {
    /// Counts the changes of this model's policy.
    pub revision: Revision,
    /// What is wanted.
    pub policy: Policy,
    /// The versions of the split, in its order.
    targets: Vec<Arc<ServingVersion>>,
    /// Requests that the split sent to each target since this policy came into force.
    routed: Vec<AtomicU64>,
}

impl Routing {
    /// Resolves `policy` among `ready`. `None` where a version of the split is not among them.
    #[must_use]
    pub fn resolve(
        revision: Revision,
        policy: Policy,
        ready: &BTreeMap<VersionNumber, Arc<ServingVersion>>,
    ) -> Option<Self> {
        let rows = policy.split().rows();
        let targets: Vec<_> = rows
            .iter()
            .map(|(version, _)| ready.get(version).cloned())
            .collect::<Option<_>>()?;
        let routed = rows.iter().map(|_| AtomicU64::new(0)).collect();
        Some(Self {
            revision,
            policy,
            targets,
            routed,
        })
    }

    /// The version in row `at` of the split, which gets one request more.
    #[must_use]
    pub fn take(&self, at: usize) -> &Arc<ServingVersion> {
        self.routed[at].fetch_add(1, Ordering::Relaxed);
        &self.targets[at]
    }

    /// Requests that the split sent to each of its versions, in its order.
    #[must_use]
    pub fn counted(&self) -> Vec<u64> {
        self.routed
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .collect()
    }
}
