//! One model as control tracks it: its versions, its desired state, and the serving model that follows from both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use super::admit::{Availability, admit};
use super::clock::Moment;
use super::reconcile::{Situation, Step, VersionChoice, VersionFacts, latest, reconcile};
use super::state::State;
use super::store::Record;
use super::version_entry::VersionEntry;
use super::view::ModelView;
use super::wanted::Wanted;
use crate::error::AdminError;
use crate::faults::Faults;
use crate::ident::{ModelName, Revision, VersionNumber};
use crate::insight::metrics::ModelMeters;
use crate::registry::ListedVersion;
use crate::serving::live::{Routing, ServingModel};
use crate::serving::route::RawPolicy;
use crate::serving::version::VersionRuntime;

/// One model.
#[derive(Debug)]
pub(super) struct ModelState {
    pub(super) name: ModelName,
    choice: VersionChoice,
    /// The change in force; `None` before the first change.
    pub(super) record: Option<Record>,
    pub(super) wanted: Arc<Wanted>,
    /// The desired state that is restored unless the change in force is confirmed. Its versions are held.
    pub(super) restored_by_revert: Option<Arc<Wanted>>,
    /// When it is restored. Set when the change is followed, so that a wall clock that is set later neither delays nor hastens it.
    reverts_at: Option<Instant>,
    pub(super) versions: BTreeMap<VersionNumber, VersionEntry>,
    /// Whether the registry has a folder for it.
    listed: bool,
    meters: ModelMeters,
    routing: Option<Arc<Routing>>,
    /// Why an unconfirmed change could not be reverted.
    pub(super) revert_problem: Option<String>,
}

impl ModelState {
    pub(super) fn new(name: ModelName, choice: VersionChoice, meters: ModelMeters) -> Self {
        Self {
            name,
            choice,
            record: None,
            wanted: Arc::default(),
            restored_by_revert: None,
            reverts_at: None,
            versions: BTreeMap::new(),
            listed: false,
            meters,
            routing: None,
            revert_problem: None,
        }
    }

    /// Returns the revision in force; 0 before the first change.
    pub(super) fn revision(&self) -> Revision {
        self.record
            .as_ref()
            .map_or(Revision::default(), |record| record.revision)
    }

    /// Makes `record` the change in force. `restored_by_revert` is the desired state that it reverts to unless it is confirmed.
    pub(super) fn follow(
        &mut self,
        record: Record,
        restored_by_revert: Option<Arc<Wanted>>,
        now: Moment,
    ) {
        self.reverts_at = record.wanted.pending.map(|pending| {
            let wait = pending.until().duration_since(now.wall);
            now.monotonic + wait.unwrap_or_default()
        });
        self.wanted = Arc::new(record.wanted.clone());
        self.restored_by_revert = restored_by_revert;
        self.record = Some(record);
        self.revert_problem = None;
    }

    /// Returns when the change in force reverts unless it is confirmed.
    pub(super) fn reverts_at(&self) -> Option<Instant> {
        self.reverts_at
    }

    /// Updates the folders; `None` if the model's own folder was removed. Returns whether anything differs.
    pub(super) fn update_folders(
        &mut self,
        listed: Option<&BTreeMap<VersionNumber, ListedVersion>>,
        now: SystemTime,
    ) -> bool {
        let mut differs = self.listed != listed.is_some();
        self.listed = listed.is_some();
        let none = BTreeMap::new();
        let listed = listed.unwrap_or(&none);
        for (version, entry) in &mut self.versions {
            differs |= entry.update_folder(listed.get(version).cloned(), now);
        }
        for (version, folder) in listed {
            if !self.versions.contains_key(version) {
                self.versions
                    .insert(*version, VersionEntry::discovered(folder.clone(), now));
                differs = true;
            }
        }
        differs
    }

    /// Returns whether nothing is left of it: no folder, no version in memory, and no change was ever made.
    pub(super) fn is_gone(&self) -> bool {
        !self.listed && self.versions.is_empty() && self.record.is_none()
    }

    /// Returns the version that `latest` names.
    pub(super) fn latest(&self) -> Option<VersionNumber> {
        self.latest_by(&self.wanted, None)
    }

    /// Returns the version that `latest` would name if `wanted` were in force and `new` were READY.
    fn latest_by(&self, wanted: &Wanted, new: Option<VersionNumber>) -> Option<VersionNumber> {
        let mut versions = self.version_facts(Instant::now());
        if let Some(facts) = new.and_then(|new| versions.get_mut(&new)) {
            facts.state = State::Ready;
        }
        latest(&Situation {
            versions: &versions,
            choice: &self.choice,
            held: &BTreeSet::new(),
            load: &wanted.load,
            unload: &wanted.unload,
        })
    }

    fn version_facts(&self, now: Instant) -> BTreeMap<VersionNumber, VersionFacts> {
        let versions = self.versions.iter();
        versions
            .map(|(version, entry)| (*version, entry.facts(now)))
            .collect()
    }

    /// Returns the held versions, each with descriptions of what refers to it.
    pub(super) fn holders(&self) -> BTreeMap<VersionNumber, Vec<String>> {
        let mut holders = self.wanted.holders(&self.name, self.latest());
        if let Some(restored) = &self.restored_by_revert {
            let reference = format!(
                "the revert of revision {} unless it is confirmed",
                self.revision()
            );
            let latest = self.latest_by(restored, None);
            for version in restored.holders(&self.name, latest).into_keys() {
                holders.entry(version).or_default().push(reference.clone());
            }
        }
        holders
    }

    /// Returns what to do next about its versions.
    pub(super) fn steps(&self, now: Instant) -> Vec<Step> {
        self.steps_with(now, true)
    }

    /// Returns what to do next about its versions. Without `retries`, a version that failed stays as it is.
    pub(super) fn steps_with(&self, now: Instant, retries: bool) -> Vec<Step> {
        let mut versions = self.version_facts(now);
        for facts in versions.values_mut() {
            facts.may_retry &= retries;
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

    /// Returns the versions that must stay loaded.
    ///
    /// Before the first change, the folders alone decide: a version whose folder was removed is not held if another version
    /// can take over, or if the model's own folder was removed too.
    fn held(&self) -> BTreeSet<VersionNumber> {
        let mut held: BTreeSet<_> = self.holders().into_keys().collect();
        let can_take_over = |entry: &VersionEntry| entry.folder.is_some() && entry.ready.is_some();
        if *self.wanted == Wanted::default()
            && (!self.listed || self.versions.values().any(can_take_over))
        {
            held.retain(|version| {
                self.versions
                    .get(version)
                    .is_some_and(|entry| entry.folder.is_some())
            });
        }
        held
    }

    /// Returns the time of the next retry of a version that failed.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        // A version that is not wanted is not retried, so its time must not wake the writer.
        let due = |version: &VersionNumber| {
            let at = self.versions.get(version)?.retry_at()?;
            self.steps(at).contains(&Step::Load(*version)).then_some(at)
        };
        self.versions.keys().filter_map(due).min()
    }

    /// Returns the versions that can answer.
    pub(super) fn ready(&self) -> BTreeMap<VersionNumber, Arc<VersionRuntime>> {
        let versions = self.versions.iter();
        versions
            .filter_map(|(version, entry)| Some((*version, Arc::clone(entry.ready.as_ref()?))))
            .collect()
    }

    /// Checks that the READY versions can honour `wanted`. See [`admit`].
    pub(super) fn check_admissible(&self, wanted: &Wanted) -> Result<(), AdminError> {
        self.check_admissible_with(wanted, None)
    }

    /// Checks that the READY versions and `new` together can honour `wanted`.
    fn check_admissible_with(
        &self,
        wanted: &Wanted,
        new: Option<&Arc<VersionRuntime>>,
    ) -> Result<(), AdminError> {
        let mut ready = self.ready();
        ready.extend(new.map(|new| (new.number(), Arc::clone(new))));
        let unavailable = self
            .versions
            .iter()
            .filter(|(_, entry)| entry.ready.is_none())
            .map(|(version, entry)| (*version, entry.unavailable_reason()))
            .collect();
        admit(
            wanted,
            Availability {
                model: &self.name,
                latest: self.latest_by(wanted, new.map(|new| new.number())),
                ready: &ready,
                unavailable: &unavailable,
            },
        )
    }

    /// Checks that `new` may become READY. If a policy names `latest` beside other versions, `new` must have their signature.
    pub(super) fn check_signature(&self, new: &Arc<VersionRuntime>) -> Result<(), Faults> {
        if self.check_admissible(&self.wanted).is_err() {
            return Ok(());
        }
        match self.check_admissible_with(&self.wanted, Some(new)) {
            Err(AdminError::SignatureMismatch(differences)) => {
                let entry = self.versions.get(&new.number());
                let folder = entry.and_then(|entry| entry.folder.as_ref());
                let dir = folder.map_or_else(Default::default, |folder| folder.dir.clone());
                let mut faults = Faults::default();
                for difference in differences {
                    let message =
                        format!("would share the split through `latest`, and {difference}");
                    faults.add(&dir, "", message);
                }
                Err(faults)
            }
            _ => Ok(()),
        }
    }

    /// Returns the model for the next snapshot, and why it cannot honour its desired state, if it cannot. Updates its metrics.
    pub(super) fn serving(&mut self) -> (ServingModel, Option<String>) {
        let problem = self.problem();
        let ready = self.ready();
        let (usable, can_route) = self.usable(&ready);
        let labels = usable.all_labels(self.latest());
        self.routing = match usable.policy(&self.name) {
            Ok(policy) if can_route => {
                let next = Routing::resolve(self.revision(), policy, &labels, &ready);
                // The counts continue if the routing is the same.
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
            .filter(|(_, entry)| entry.ready.is_none());
        let model = ServingModel {
            name: self.name.clone(),
            others: others
                .map(|(version, entry)| (*version, entry.state().as_str()))
                .collect(),
            ready,
            labels,
            routing: self.routing.clone(),
        };
        self.report_metrics();
        (model, problem)
    }

    /// Returns why the desired state cannot be honoured, if it cannot.
    fn problem(&self) -> Option<String> {
        let revision = self.revision();
        match (self.latest(), self.check_admissible(&self.wanted)) {
            (None, _) if self.record.is_some() && !self.listed => Some(format!(
                "revision {revision} is in force, and the registry has no such model"
            )),
            (None, _) => Some("no version is READY".to_owned()),
            (Some(_), Err(error)) => {
                Some(format!("revision {revision} cannot be honoured: {error}"))
            }
            (Some(_), Ok(())) => self.revert_problem.clone(),
        }
    }

    /// Returns the part of the desired state that `ready` can honour, and whether requests can be routed by it.
    fn usable(&self, ready: &BTreeMap<VersionNumber, Arc<VersionRuntime>>) -> (Wanted, bool) {
        let mut usable = (*self.wanted).clone();
        // A label whose version cannot answer is reported as a problem, and affects only requests that name it.
        usable
            .labels
            .retain(|_, version| ready.contains_key(version));
        let has_latest = self.latest().is_some();
        if has_latest && self.check_admissible(&usable).is_ok() {
            return (usable, true);
        }
        match self.without_shadows_or_fallback(&usable) {
            Some(reduced) => (reduced, has_latest),
            None => (usable, false),
        }
    }

    /// Returns `wanted` without the shadows and the fallback that cannot be honoured: neither may prevent an answer. `None` if
    /// it cannot be honoured without them either.
    fn without_shadows_or_fallback(&self, wanted: &Wanted) -> Option<Wanted> {
        let policy = wanted.policy.as_ref()?;
        let mut reduced = wanted.clone();
        reduced.policy = Some(RawPolicy {
            shadows: Vec::new(),
            fallback: None,
            ..policy.clone()
        });
        self.check_admissible(&reduced).ok()?;
        // Each is added back on its own, so that one that cannot be honoured does not remove the others.
        let mut add_back = |change: &dyn Fn(&mut RawPolicy)| {
            let mut extended = reduced.clone();
            extended.policy.iter_mut().for_each(change);
            if self.check_admissible(&extended).is_ok() {
                reduced = extended;
            }
        };
        add_back(&|raw| raw.fallback = policy.fallback.clone());
        for shadow in &policy.shadows {
            add_back(&|raw| raw.shadows.push(shadow.clone()));
        }
        Some(reduced)
    }

    fn report_metrics(&self) {
        let mut counts = [0_usize; State::ALL.len()];
        for entry in self.versions.values() {
            counts[entry.state() as usize] += 1;
        }
        self.meters.versions(&counts);
        self.meters.revision(self.revision());
    }

    /// Returns what readers see of it.
    pub(super) fn view(&self, problem: Option<String>, now: Moment) -> ModelView {
        let mut holders = self.holders();
        let view = |(version, entry): (&VersionNumber, &VersionEntry)| {
            let held_by = holders.remove(version).unwrap_or_default();
            (*version, entry.view(held_by, now))
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

#[cfg(test)]
mod tests;
