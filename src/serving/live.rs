//! What is served now: an immutable [`Snapshot`] behind one `ArcSwap`.
//!
//! A request takes the whole snapshot once. The single writer builds the next one beside it and publishes it with one store,
//! which cannot fail. Nothing in a snapshot changes, except for counters that only grow.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;

use super::route::{self, Policy, Shadow, ShadowSelection};
use super::shadow::ShadowQueue;
use super::version::VersionRuntime;
use crate::ident::{Label, ModelName, Revision, Share, Target, VersionNumber};
use crate::insight::query;

/// The current snapshot. The only state that requests and the writer share.
#[derive(Debug)]
pub struct Live(ArcSwap<Snapshot>);

impl Live {
    /// Starts with the snapshot `first`.
    #[must_use]
    pub fn new(first: Snapshot) -> Self {
        Self(ArcSwap::from_pointee(first))
    }

    /// Returns the current snapshot. Call it once per request, and keep the `Arc` to the end.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Replaces the current snapshot by `next`. Requests that hold the old one finish with it. Only the writer calls this.
    pub fn publish(&self, next: Snapshot) {
        self.0.store(Arc::new(next));
    }
}

/// Everything that one request needs to know.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The models, by name.
    pub models: HashMap<ModelName, Arc<ServingModel>>,
}

impl Snapshot {
    /// Returns this snapshot with one model replaced.
    #[must_use]
    pub fn with(&self, model: ServingModel) -> Self {
        let mut next = self.clone();
        next.models.insert(model.name.clone(), Arc::new(model));
        next
    }

    /// Updates the gauges of counted shares and of the memory that statistics take, and discards comparisons with retired
    /// versions. A version outside the split has a counted share of zero.
    pub fn report_counted_shares(&self) {
        for model in self.models.values() {
            let mut by_version = BTreeMap::<_, u64>::new();
            if let Some(routing) = &model.routing {
                for (version, count) in routing.request_counts() {
                    *by_version.entry(version).or_default() += count;
                }
            }
            let all = by_version.values().sum();
            for (number, version) in &model.ready {
                let own = by_version.get(number).copied().unwrap_or(0);
                version.insight.meters.counted_share(own, all);
                version.insight.report_memory();
                version.insight.comparisons.remove_retired();
            }
        }
    }

    /// Updates the gauges of drift. Takes some milliseconds for a version with many inputs, so no thread that serves requests
    /// may call it.
    pub fn report_drift(&self) {
        for version in self.versions() {
            if let Some(drift) = query::drift::assess_for_gauges(version.observed()) {
                version.insight.meters.drift(&drift.columns, &drift.report);
            }
        }
    }

    /// Updates the gauges of outcome quality.
    pub fn report_quality(&self) {
        for version in self.versions() {
            version.insight.quality().report_gauges();
        }
    }

    fn versions(&self) -> impl Iterator<Item = &Arc<VersionRuntime>> {
        self.models.values().flat_map(|model| model.ready.values())
    }
}

/// One model and its versions.
#[derive(Clone, Debug)]
pub struct ServingModel {
    /// Its name.
    pub name: ModelName,
    /// The versions that can answer.
    pub ready: BTreeMap<VersionNumber, Arc<VersionRuntime>>,
    /// The versions that exist and cannot answer, with the name of their state: `FAILED`, `LOADING`.
    pub others: BTreeMap<VersionNumber, &'static str>,
    /// The labels, including the built-in `latest`. Each names a version in `ready`.
    pub labels: BTreeMap<Label, VersionNumber>,
    /// The policy in force; `None` while no version is READY.
    pub routing: Option<Arc<Routing>>,
}

impl ServingModel {
    /// Sets the gauge of every version to the share that the policy gives it.
    pub fn report_target_shares(&self) {
        let routing = self.routing.as_ref();
        let shares = routing.map(|routing| routing.shares()).unwrap_or_default();
        let shares: BTreeMap<_, _> = shares.into_iter().collect();
        for (number, version) in &self.ready {
            let share = shares.get(number).copied().unwrap_or_default();
            version.insight.meters.target_share(share);
        }
    }
}

/// A policy in force, with every target resolved to a version.
#[derive(Debug)]
pub struct Routing {
    /// The revision that set the policy.
    pub revision: Revision,
    /// The policy.
    pub policy: Policy,
    /// The version of each row of the split.
    targets: Vec<Arc<VersionRuntime>>,
    /// Requests that the split sent to each row since this policy came into force.
    routed: Vec<AtomicU64>,
    /// The version of each header rule.
    rules: Vec<Arc<VersionRuntime>>,
    /// The shadows, each version once, in the order of the policy.
    shadows: Vec<Shadow>,
    /// The queue of each shadow.
    shadow_queues: Vec<ShadowQueue>,
    /// The version that answers if another one cannot.
    fallback: Option<Arc<VersionRuntime>>,
}

impl Routing {
    /// Resolves every target of `policy` to a version in `ready`, through `labels`. Returns `None` if a target names a label
    /// that does not exist, or a version that is not ready.
    #[must_use]
    pub fn resolve(
        revision: Revision,
        policy: Policy,
        labels: &BTreeMap<Label, VersionNumber>,
        ready: &BTreeMap<VersionNumber, Arc<VersionRuntime>>,
    ) -> Option<Self> {
        let version = |target: &Target| {
            let number = match target {
                Target::Version(number) => number,
                Target::Label(label) => labels.get(label)?,
            };
            ready.get(number).cloned()
        };
        let rows = policy.split().rows().iter();
        let targets: Vec<_> = rows
            .map(|(target, _)| version(target))
            .collect::<Option<_>>()?;
        let rules = policy.header_rules().iter();
        let rules: Vec<_> = rules
            .map(|rule| version(rule.target()))
            .collect::<Option<_>>()?;
        let shadows = policy.shadows().iter();
        let resolved_shadows = shadows
            .map(|shadow| Some((shadow.clone(), version(shadow.target())?)))
            .collect::<Option<_>>()?;
        let (shadows, shadow_queues) = shadow_queues(resolved_shadows);
        let fallback = match policy.fallback() {
            Some(fallback) => Some(version(fallback.target())?),
            None => None,
        };
        let routing = Self {
            revision,
            routed: targets.iter().map(|_| AtomicU64::new(0)).collect(),
            policy,
            targets,
            rules,
            shadows,
            shadow_queues,
            fallback,
        };
        routing.register_series();
        Some(routing)
    }

    /// Registers the series of shadows and of versions with a fallback, so that they begin at zero.
    fn register_series(&self) {
        for queue in &self.shadow_queues {
            queue.version().insight.meters.register_shadow();
        }
        for version in self.targets.iter().chain(&self.rules) {
            if self.fallback_for(version).is_some() {
                version.insight.meters.register_fallback();
            }
        }
    }

    /// Returns whether `other` has the same revision and sends every request to the same versions.
    #[must_use]
    pub fn is_equivalent(&self, other: &Self) -> bool {
        let same = |ours: &[Arc<VersionRuntime>], theirs: &[Arc<VersionRuntime>]| {
            ours.len() == theirs.len()
                && ours
                    .iter()
                    .zip(theirs)
                    .all(|(one, two)| Arc::ptr_eq(one, two))
        };
        self.revision == other.revision
            && self.policy == other.policy
            && same(&self.targets, &other.targets)
            && same(&self.rules, &other.rules)
            && same(self.fallback.as_slice(), other.fallback.as_slice())
            && self.shadows == other.shadows
            && self.shadow_queues.len() == other.shadow_queues.len()
            && self
                .shadow_queues
                .iter()
                .zip(&other.shadow_queues)
                .all(|(one, two)| Arc::ptr_eq(one.version(), two.version()))
    }

    /// Returns whether requests may be copied to shadows, or answered by a fallback.
    #[must_use]
    pub fn has_shadows_or_fallback(&self) -> bool {
        !self.shadow_queues.is_empty() || self.fallback.is_some()
    }

    /// Selects the shadows that get a copy of one request; see [`route::select_shadows`].
    pub fn select_shadows(&self, draw: impl FnOnce() -> u32) -> ShadowSelection {
        route::select_shadows(&self.shadows, draw)
    }

    /// Returns the queue of the shadow at `index` of those in [`select_shadows`](Self::select_shadows).
    #[must_use]
    pub fn shadow_queue(&self, index: usize) -> &ShadowQueue {
        &self.shadow_queues[index]
    }

    /// Returns the version that answers if `version` cannot, and the time limit that the policy sets for `version`. Returns
    /// `None` without a fallback, and if `version` is the fallback.
    #[must_use]
    pub fn fallback_for(
        &self,
        version: &Arc<VersionRuntime>,
    ) -> Option<(&Arc<VersionRuntime>, Option<Duration>)> {
        let fallback = self.fallback.as_ref()?;
        let within = self.policy.fallback().and_then(route::Fallback::within);
        (!Arc::ptr_eq(fallback, version)).then_some((fallback, within))
    }

    /// Returns the version in row `row` of the split, and counts one request for that row.
    #[must_use]
    pub fn split_target(&self, row: usize) -> &Arc<VersionRuntime> {
        self.routed[row].fetch_add(1, Ordering::Relaxed);
        &self.targets[row]
    }

    /// Returns the version of header rule `rule`. Requests of rules are not counted here.
    #[must_use]
    pub fn rule_target(&self, rule: usize) -> &Arc<VersionRuntime> {
        &self.rules[rule]
    }

    /// Returns the share that the split gives to each version that it names, directly or by labels: ascending, each version
    /// once.
    #[must_use]
    pub fn shares(&self) -> Vec<(VersionNumber, Share)> {
        let mut shares = BTreeMap::<_, Share>::new();
        for (target, (_, share)) in self.targets.iter().zip(self.policy.split().rows()) {
            let sum = shares.entry(target.number()).or_default();
            *sum = sum.and(*share);
        }
        shares.into_iter().collect()
    }

    /// Returns the version of each row of the split, and the number of requests that the split sent to the row.
    #[must_use]
    pub fn request_counts(&self) -> Vec<(VersionNumber, u64)> {
        let targets = self.targets.iter().map(|target| target.number());
        let counts = self
            .routed
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        targets.zip(counts).collect()
    }
}

/// Creates a queue for each version in `shadows`. If several shadows mean one version, by its number and by labels, they become
/// one shadow: the one with the largest share, and of equal shares the first. Two would score every copy twice.
fn shadow_queues(shadows: Vec<(Shadow, Arc<VersionRuntime>)>) -> (Vec<Shadow>, Vec<ShadowQueue>) {
    let mut distinct: Vec<(Shadow, Arc<VersionRuntime>)> = Vec::with_capacity(shadows.len());
    for (shadow, version) in shadows {
        let same = distinct
            .iter_mut()
            .find(|(_, other)| Arc::ptr_eq(other, &version));
        match same {
            None => distinct.push((shadow, version)),
            Some((other, _)) if other.share() < shadow.share() => *other = shadow,
            Some(_) => {}
        }
    }
    let with_queue =
        |(shadow, version): (Shadow, _)| (shadow.clone(), ShadowQueue::new(shadow, version));
    distinct.into_iter().map(with_queue).unzip()
}

#[cfg(test)]
mod tests;
