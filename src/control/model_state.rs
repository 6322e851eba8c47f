//! One model as control knows it: its versions, what is wanted of them, and the serving model that follows from both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::admit::{Means, admit};
use super::reconcile::{Situation, Step, VersionChoice, VersionFacts, latest, reconcile};
use super::state::State;
use super::store::Record;
use super::version_entry::VersionEntry;
use super::view::ModelView;
use super::wanted::Wanted;
use crate::error::AdminError;
use crate::ident::{ModelName, Revision, VersionNumber};
use crate::insight::metrics::ModelMeters;
use crate::registry::Seen;
use crate::serving::live::{Routing, ServingModel};
use crate::serving::route::RawPolicy;
use crate::serving::version::VersionRuntime;

/// One model.
#[derive(Debug)]
pub(super) struct ModelState {
    pub(super) name: ModelName,
    choice: VersionChoice,
    /// The change in force; `None`: nobody has changed anything.
    pub(super) record: Option<Record>,
    pub(super) wanted: Arc<Wanted>,
    /// What comes back when the change in force is not confirmed: its versions are kept.
    pub(super) comes_back: Option<Arc<Wanted>>,
    pub(super) versions: BTreeMap<VersionNumber, VersionEntry>,
    /// Whether the registry has a folder for it.
    listed: bool,
    meters: ModelMeters,
    routing: Option<Arc<Routing>>,
    /// Why a change that was not confirmed could not be reverted.
    pub(super) stuck: Option<String>,
}

impl ModelState {
    pub(super) fn new(name: ModelName, choice: VersionChoice, meters: ModelMeters) -> Self {
        Self {
            name,
            choice,
            record: None,
            wanted: Arc::default(),
            comes_back: None,
            versions: BTreeMap::new(),
            listed: false,
            meters,
            routing: None,
            stuck: None,
        }
    }

    pub(super) fn revision(&self) -> Revision {
        self.record
            .as_ref()
            .map_or(Revision::default(), |record| record.revision)
    }

    /// Takes over what the store holds.
    pub(super) fn follow(&mut self, record: Record, comes_back: Option<Wanted>) {
        self.wanted = Arc::new(record.wanted.clone());
        self.comes_back = comes_back.map(Arc::new);
        self.record = Some(record);
        self.stuck = None;
    }

    /// The folders as they are now; `None`: the model's own folder has gone. Tells whether anything differs.
    pub(super) fn see(&mut self, listed: Option<&BTreeMap<VersionNumber, Seen>>) -> bool {
        let mut differs = self.listed != listed.is_some();
        self.listed = listed.is_some();
        let none = BTreeMap::new();
        let listed = listed.unwrap_or(&none);
        for (version, member) in &mut self.versions {
            differs |= member.see(listed.get(version).cloned());
        }
        for (version, seen) in listed {
            if !self.versions.contains_key(version) {
                self.versions
                    .insert(*version, VersionEntry::discovered(seen.clone()));
                differs = true;
            }
        }
        differs
    }

    /// Whether nothing is left of it: no folder, no version in memory, and nobody has ever wanted anything of it.
    pub(super) fn is_gone(&self) -> bool {
        !self.listed && self.versions.is_empty() && self.record.is_none()
    }

    /// The version that `latest` names.
    pub(super) fn latest(&self) -> Option<VersionNumber> {
        self.latest_by(&self.wanted, None)
    }

    /// The version that `latest` would name if `wanted` were in force, and `new` READY too.
    fn latest_by(&self, wanted: &Wanted, new: Option<VersionNumber>) -> Option<VersionNumber> {
        let mut versions = self.version_statuses(Instant::now());
        if let Some(standing) = new.and_then(|new| versions.get_mut(&new)) {
            standing.state = State::Ready;
        }
        latest(&Situation {
            versions: &versions,
            choice: &self.choice,
            held: &BTreeSet::new(),
            load: &wanted.load,
            unload: &wanted.unload,
        })
    }

    fn version_statuses(&self, now: Instant) -> BTreeMap<VersionNumber, VersionFacts> {
        let versions = self.versions.iter();
        versions
            .map(|(version, member)| (*version, member.standing(now)))
            .collect()
    }

    /// Who holds which version, in words.
    pub(super) fn holders(&self) -> BTreeMap<VersionNumber, Vec<String>> {
        let mut holders = self.wanted.holders(&self.name, self.latest());
        if let Some(back) = &self.comes_back {
            let who = format!(
                "the revert of revision {} unless it is confirmed",
                self.revision()
            );
            for version in back
                .holders(&self.name, self.latest_by(back, None))
                .into_keys()
            {
                holders.entry(version).or_default().push(who.clone());
            }
        }
        holders
    }

    /// What to do next about its versions.
    pub(super) fn steps(&self, now: Instant) -> Vec<Step> {
        self.steps_with(now, true)
    }

    /// As [`steps`](Self::steps); without `retries`, a version that failed stays as it is.
    pub(super) fn steps_with(&self, now: Instant, retries: bool) -> Vec<Step> {
        let mut versions = self.version_statuses(now);
        for standing in versions.values_mut() {
            standing.may_retry &= retries;
        }
        let held = self.held();
        reconcile(&Situation {
            versions: &versions,
            choice: &self.choice,
            held: &held,
            load: &self.wanted.load,
            unload: &self.wanted.unload,
        })
    }

    /// Versions that must stay. Where nobody has ever wanted anything of the model, its folders are its operator: one that
    /// was removed holds nothing, as long as another version can take over or the model's own folder has gone too.
    fn held(&self) -> BTreeSet<VersionNumber> {
        let mut held: BTreeSet<_> = self.holders().into_keys().collect();
        let is_there = |member: &VersionEntry| member.seen.is_some() && member.ready.is_some();
        if *self.wanted == Wanted::default()
            && (!self.listed || self.versions.values().any(is_there))
        {
            held.retain(|version| {
                self.versions
                    .get(version)
                    .is_some_and(|member| member.seen.is_some())
            });
        }
        held
    }

    /// When a version that failed is to be tried again.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        // One that is not wanted is not tried again, so its time must not wake anybody.
        let due = |version: &VersionNumber| {
            let at = self.versions.get(version)?.retry_at()?;
            self.steps(at).contains(&Step::Load(*version)).then_some(at)
        };
        self.versions.keys().filter_map(due).min()
    }

    pub(super) fn ready(&self) -> BTreeMap<VersionNumber, Arc<VersionRuntime>> {
        let versions = self.versions.iter();
        versions
            .filter_map(|(version, member)| Some((*version, Arc::clone(member.ready.as_ref()?))))
            .collect()
    }

    /// Whether `wanted` could be honoured by what is READY.
    pub(super) fn admits(&self, wanted: &Wanted) -> Result<(), AdminError> {
        self.admits_with(wanted, None)
    }

    /// As [`admits`](Self::admits), as if `new` were READY too.
    pub(super) fn admits_with(
        &self,
        wanted: &Wanted,
        new: Option<&Arc<VersionRuntime>>,
    ) -> Result<(), AdminError> {
        let mut ready = self.ready();
        ready.extend(new.map(|new| (new.number(), Arc::clone(new))));
        let others = self
            .versions
            .iter()
            .filter(|(_, member)| member.ready.is_none());
        let others = others
            .map(|(version, member)| (*version, member.why_not()))
            .collect();
        admit(
            wanted,
            Means {
                model: &self.name,
                latest: self.latest_by(wanted, new.map(|new| new.number())),
                ready: &ready,
                others: &others,
            },
        )
    }

    /// What requests see of it from now on, and why it cannot answer, if it cannot.
    pub(super) fn serving(&mut self) -> (ServingModel, Option<String>) {
        let ready = self.ready();
        let latest = self.latest();
        // A label whose version cannot answer is told as a problem, and costs only those who name it.
        let mut usable = (*self.wanted).clone();
        usable
            .labels
            .retain(|_, version| ready.contains_key(version));
        let labels = usable.all_labels(latest);
        let mut can_route = latest.is_some() && self.admits(&usable).is_ok();
        if !can_route && let Some(less) = self.without_shadows_and_fallback(&usable) {
            usable = less;
            can_route = latest.is_some();
        }
        let problem = match (latest, self.admits(&self.wanted)) {
            (None, _) => Some(if self.record.is_some() && !self.listed {
                format!(
                    "revision {} is in force, and the registry has no such model",
                    self.revision()
                )
            } else {
                "no version is READY".to_owned()
            }),
            (Some(_), Err(error)) => Some(format!(
                "revision {} cannot be honoured: {error}",
                self.revision()
            )),
            (Some(_), Ok(())) => None,
        };
        self.routing = match usable.policy(&self.name) {
            Ok(policy) if can_route => {
                let next = Routing::resolve(self.revision(), policy, &labels, &ready);
                // What was counted goes on where nothing moved.
                match (next, self.routing.take()) {
                    (Some(next), Some(old)) if old.is_equivalent(&next) => Some(old),
                    (next, _) => next.map(Arc::new),
                }
            }
            _ => None,
        };
        let others = self
            .versions
            .iter()
            .filter(|(_, member)| member.ready.is_none());
        let model = ServingModel {
            name: self.name.clone(),
            others: others
                .map(|(version, member)| (*version, member.state().as_str()))
                .collect(),
            ready,
            labels,
            routing: self.routing.clone(),
        };
        let mut counts = [0_usize; State::ALL.len()];
        for member in self.versions.values() {
            counts[member.state() as usize] += 1;
        }
        self.meters.versions(&counts);
        self.meters.revision(self.revision());
        (model, problem.or_else(|| self.stuck.clone()))
    }

    /// What is left of `wanted` where a shadow or the fallback cannot be honoured: neither may cost anybody an answer. `None`
    /// where it cannot be honoured without them either.
    fn without_shadows_and_fallback(&self, wanted: &Wanted) -> Option<Wanted> {
        let policy = wanted.policy.as_ref()?;
        let mut left = wanted.clone();
        left.policy = Some(RawPolicy {
            shadows: Vec::new(),
            fallback: None,
            ..policy.clone()
        });
        self.admits(&left).ok()?;
        // Each is put back alone, so that one that cannot does not take the others along.
        let mut put_back = |change: &dyn Fn(&mut RawPolicy)| {
            let mut more = left.clone();
            more.policy.iter_mut().for_each(change);
            if self.admits(&more).is_ok() {
                left = more;
            }
        };
        put_back(&|left| left.fallback = policy.fallback.clone());
        for shadow in &policy.shadows {
            put_back(&|left| left.shadows.push(shadow.clone()));
        }
        Some(left)
    }

    pub(super) fn view(&self, problem: Option<String>, now: Instant) -> ModelView {
        let mut holders = self.holders();
        let view = |(version, member): (&VersionNumber, &VersionEntry)| {
            let held_by = holders.remove(version).unwrap_or_default();
            (*version, member.view(held_by, now))
        };
        let versions = self.versions.iter().map(view).collect();
        ModelView {
            name: self.name.clone(),
            revision: self.revision(),
            wanted: Arc::clone(&self.wanted),
            labels: self.wanted.all_labels(self.latest()),
            versions,
            problem,
        }
    }
}
