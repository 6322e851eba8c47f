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
    time::Duration,
};

use arc_swap::ArcSwap;

use super::batch::{Batching, BatchingHints, Costs, Queue};
use super::execute::FallbackIsolation;
use super::route::{self, Copies, Policy, Shadow};
use super::shadow::{ShadowQueue, Slots};
use crate::ident::{Label, ModelName, Revision, Share, Target, VersionNumber};
use crate::insight::VersionInsight;
use crate::insight::metrics::Weights;
use crate::insight::query::{self, ObservedVersion};
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

    /// Brings the gauges of counted shares, and of the memory of statistics, up to date; of shares, versions outside the split have none. What was
    /// compared with versions that are gone is forgotten.
    pub fn report_counted_shares(&self) {
        for model in self.models.values() {
            let mut by_version = BTreeMap::<_, u64>::new();
            if let Some(routing) = &model.routing {
                for (version, count) in routing.counted() {
                    *by_version.entry(version).or_default() += count;
                }
            }
            let all = by_version.values().sum();
            for (number, version) in &model.ready {
                version
                    .insight
                    .meters
                    .counted_share(by_version.get(number).copied().unwrap_or(0), all);
                version.insight.report_memory();
                version.insight.comparisons.remove_retired();
            }
        }
    }

    /// Brings the gauges of drift up to date. Takes some milliseconds a version of many inputs: not for a thread that serves.
    pub fn report_drift(&self) {
        for version in self.models.values().flat_map(|model| model.ready.values()) {
            if let Some(drift) = query::drift::assess_for_gauges(version.observed()) {
                version.insight.meters.drift(&drift.columns, &drift.report);
            }
        }
    }

    /// Brings the gauges of quality up to date.
    pub fn report_quality(&self) {
        for version in self.models.values().flat_map(|model| model.ready.values()) {
            version.insight.quality().report_gauges();
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
    /// Versions that exist and cannot, with the word of their state: `FAILED`, `LOADING`.
    pub others: BTreeMap<VersionNumber, &'static str>,
    /// Labels, the built-in `latest` among them; each names a version in `ready`.
    pub labels: BTreeMap<Label, VersionNumber>,
    /// Who answers. `None` where no version is READY.
    pub routing: Option<Arc<Routing>>,
}

impl ServingModel {
    /// Tells the gauges of every version which share the policy gives it.
    pub fn report_target_shares(&self) {
        let shares: BTreeMap<_, _> = self
            .routing
            .as_ref()
            .map(|routing| routing.shares())
            .unwrap_or_default()
            .into_iter()
            .collect();
        for (number, version) in &self.ready {
            let share = shares.get(number).copied().unwrap_or_default();
            version.insight.meters.target_share(share);
        }
    }
}

/// A version that can answer.
#[derive(Debug)]
pub struct ServingVersion {
    /// The loaded version.
    pub version: Version,
    /// What is observed of it.
    pub insight: Arc<VersionInsight>,
    /// What it computes as a shadow.
    pub slots: Slots,
    /// What it computes while a fallback stands by.
    pub apart: FallbackIsolation,
    /// What waits to be computed.
    pub queue: Queue,
    /// Counts the weights of `version`. Declared after it, so dropped after it: what is no longer counted is freed.
    weights: Weights,
}

impl ServingVersion {
    /// A version that `insight` observes and whose weights `weights` counts. They are put together as its manifest
    /// hints.
    #[must_use]
    pub fn new(version: Version, insight: VersionInsight, weights: Weights) -> Self {
        Self::configured(version, insight, weights, &BatchingHints::default())
    }

    /// The same, put together as `batching` says.
    #[must_use]
    pub fn configured(
        version: Version,
        insight: VersionInsight,
        weights: Weights,
        batching: &BatchingHints,
    ) -> Self {
        let rules = Batching::of(version.manifest(), batching);
        let queue = Queue::new(rules, Costs::of(version.measured()));
        Self {
            version,
            insight: Arc::new(insight),
            slots: Slots::default(),
            apart: FallbackIsolation::default(),
            queue,
            weights,
        }
    }

    /// No snapshot that is published from now on holds it; the gauges tell it as draining until it is freed.
    pub fn draining(&self) {
        self.weights.draining();
    }

    /// Returns it as `insight::query` reads it.
    #[must_use]
    pub fn observed(&self) -> ObservedVersion<'_> {
        ObservedVersion {
            manifest: self.version.manifest(),
            insight: &self.insight,
        }
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> VersionNumber {
        self.version.manifest().version
    }
}

/// A policy in force, with its targets resolved.
#[derive(Debug)]
pub struct Routing {
    /// The change that brought it.
    pub revision: Revision,
    /// What is wanted.
    pub policy: Policy,
    /// The versions of the split, in its order.
    targets: Vec<Arc<ServingVersion>>,
    /// The versions of the header rules, in their order.
    rules: Vec<Arc<ServingVersion>>,
    /// Requests that the split sent to each target since this policy came into force.
    routed: Vec<AtomicU64>,
    /// The shadows as they are resolved, each version once, in the order of the policy.
    shadows: Vec<Shadow>,
    /// Their queues, in the same order.
    lanes: Vec<ShadowQueue>,
    /// Who answers where another version cannot.
    fallback: Option<Arc<ServingVersion>>,
}

impl Routing {
    /// Resolves `policy` through `labels` among `ready`. `None` where a row of the split or a header rule names a label that
    /// is not there, or a version that is not ready.
    #[must_use]
    pub fn resolve(
        revision: Revision,
        policy: Policy,
        labels: &BTreeMap<Label, VersionNumber>,
        ready: &BTreeMap<VersionNumber, Arc<ServingVersion>>,
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
        let shadows: Vec<_> = shadows
            .map(|shadow| Some((shadow.clone(), version(shadow.target())?)))
            .collect::<Option<_>>()?;
        let (shadows, lanes) = lanes(shadows);
        let fallback = match policy.fallback() {
            Some(fallback) => Some(version(fallback.target())?),
            None => None,
        };
        for lane in &lanes {
            lane.version().insight.meters.register_shadow();
        }
        if let Some(fallback) = &fallback {
            for other in targets.iter().chain(&rules) {
                if !Arc::ptr_eq(other, fallback) {
                    other.insight.meters.register_fallback();
                }
            }
        }
        let routed = targets.iter().map(|_| AtomicU64::new(0)).collect();
        Some(Self {
            revision,
            policy,
            targets,
            rules,
            routed,
            shadows,
            lanes,
            fallback,
        })
    }

    /// Whether `other` sends every request where this one does, under the same revision.
    #[must_use]
    pub fn is_as(&self, other: &Self) -> bool {
        let same = |ours: &[Arc<ServingVersion>], theirs: &[Arc<ServingVersion>]| {
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
            && self.lanes.len() == other.lanes.len()
            && self
                .lanes
                .iter()
                .zip(&other.lanes)
                .all(|(one, two)| Arc::ptr_eq(one.version(), two.version()))
    }

    /// Whether requests may be copied, or answered by another version than the one that was chosen.
    #[must_use]
    pub fn has_shadows_or_fallback(&self) -> bool {
        !self.lanes.is_empty() || self.fallback.is_some()
    }

    /// Which shadows get a copy of one request; see [`route::copies`].
    pub fn copies(&self, draw: impl FnOnce() -> u32) -> Copies {
        route::copies(&self.shadows, draw)
    }

    /// The queue of one of the shadows in [`copies`](Self::copies).
    #[must_use]
    pub fn lane(&self, at: usize) -> &ShadowQueue {
        &self.lanes[at]
    }

    /// Who answers where `by` cannot, and how long `by` gets. `None` where nobody would.
    #[must_use]
    pub fn fallback_for(
        &self,
        by: &Arc<ServingVersion>,
    ) -> Option<(&Arc<ServingVersion>, Option<Duration>)> {
        let fallback = self.fallback.as_ref()?;
        let within = self.policy.fallback().and_then(route::Fallback::within);
        (!Arc::ptr_eq(fallback, by)).then_some((fallback, within))
    }

    /// The version in row `at` of the split, which gets one request more.
    #[must_use]
    pub fn take(&self, at: usize) -> &Arc<ServingVersion> {
        self.routed[at].fetch_add(1, Ordering::Relaxed);
        &self.targets[at]
    }

    /// The version of header rule `at`. Its requests are not counted here.
    #[must_use]
    pub fn rule(&self, at: usize) -> &Arc<ServingVersion> {
        &self.rules[at]
    }

    /// What the split gives to each version that it names, directly or by a label: ascending, each version once.
    #[must_use]
    pub fn shares(&self) -> Vec<(VersionNumber, Share)> {
        let mut shares = BTreeMap::<_, Share>::new();
        for (target, (_, share)) in self.targets.iter().zip(self.policy.split().rows()) {
            let all = shares.entry(target.number()).or_default();
            *all = all.and(*share);
        }
        shares.into_iter().collect()
    }

    /// The version that each row of the split sends to, and the requests that it sent there, in its order.
    #[must_use]
    pub fn counted(&self) -> Vec<(VersionNumber, u64)> {
        let targets = self.targets.iter().map(|target| target.number());
        let counts = self
            .routed
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        targets.zip(counts).collect()
    }
}

/// A queue for each version among `shadows`. Where several of them mean one version, by its number and by labels, it is one
/// shadow: the one with the largest share, of equals the first. Two would score every copy twice.
fn lanes(shadows: Vec<(Shadow, Arc<ServingVersion>)>) -> (Vec<Shadow>, Vec<ShadowQueue>) {
    let mut each: Vec<(Shadow, Arc<ServingVersion>)> = Vec::with_capacity(shadows.len());
    for (shadow, version) in shadows {
        let same = each.iter_mut().find(|(_, one)| Arc::ptr_eq(one, &version));
        match same {
            None => each.push((shadow, version)),
            Some((one, _)) if one.share() < shadow.share() => *one = shadow,
            Some(_) => {}
        }
    }
    let lane = |(shadow, version): (Shadow, _)| (shadow.clone(), ShadowQueue::new(shadow, version));
    each.into_iter().map(lane).unzip()
}

#[cfg(test)]
mod tests;
