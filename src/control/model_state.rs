//! One model as control tracks it: its versions, its desired state, and the serving model that follows from both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use super::admit::{Availability, admit};
use super::automatic::{AutomaticChange, Facts, automatic_change, with_first_version};
use super::clock::Moment;
use super::digests::KnownDigests;
use super::reconcile::{Situation, Step, VersionChoice, VersionFacts, latest, reconcile};
use super::state::State;
use super::store::Record;
use super::version_entry::{VersionEntry, first_message};
use super::view::ModelView;
use super::wanted::{LatestLabel, Wanted};
use crate::error::AdminError;
use crate::faults::Faults;
use crate::ident::{ModelName, Revision, VersionNumber};
use crate::insight::metrics::ModelMeters;
use crate::model::VersionDigest;
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
    /// The version to which `wanted` gives all traffic although that change is not stored yet.
    unstored_first_version: Option<VersionNumber>,
    /// The desired state that is restored unless the change in force is confirmed. Its versions are held.
    pub(super) restored_by_revert: Option<Arc<Wanted>>,
    /// When it is restored. Set when the change is followed, so that a wall clock that is set later neither delays nor hastens it.
    reverts_at: Option<Instant>,
    pub(super) versions: BTreeMap<VersionNumber, VersionEntry>,
    /// What the versions were when they first became READY.
    pub(super) digests: KnownDigests,
    /// Whether the registry has a folder for it.
    listed: bool,
    meters: ModelMeters,
    routing: Option<Arc<Routing>>,
    /// Why a change that taper makes itself could not be made.
    pub(super) automatic_problem: Option<String>,
}

impl ModelState {
    pub(super) fn new(
        name: ModelName,
        choice: VersionChoice,
        digests: KnownDigests,
        meters: ModelMeters,
    ) -> Self {
        Self {
            name,
            choice,
            record: None,
            wanted: Arc::default(),
            unstored_first_version: None,
            restored_by_revert: None,
            reverts_at: None,
            versions: BTreeMap::new(),
            digests,
            listed: false,
            meters,
            routing: None,
            automatic_problem: None,
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
        self.unstored_first_version = None;
        self.restored_by_revert = restored_by_revert;
        self.record = Some(record);
        self.automatic_problem = None;
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

    /// Returns whether nothing is left of it: no folder, no version in memory, and no desired state.
    pub(super) fn is_gone(&self) -> bool {
        !self.listed && self.versions.is_empty() && (self.record.is_none() || self.wanted.forgotten)
    }

    /// Returns the versions that have folders.
    pub(super) fn versions_in_registry(&self) -> BTreeSet<VersionNumber> {
        let versions = self.versions.iter();
        versions
            .filter(|(_, entry)| entry.folder.is_some())
            .map(|(version, _)| *version)
            .collect()
    }

    /// Returns the version that `latest` names while the policy does not name that label; see [`Wanted::resolve`].
    pub(super) fn highest(&self) -> Option<VersionNumber> {
        self.highest_by(&self.wanted, None)
    }

    /// Returns what [`highest`](Self::highest) would return if `wanted` were in force and `new` were READY.
    fn highest_by(&self, wanted: &Wanted, new: Option<VersionNumber>) -> Option<VersionNumber> {
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
        let mut holders = self.wanted.holders(&self.name, self.highest());
        if let Some(restored) = &self.restored_by_revert {
            let reference = format!(
                "the revert of revision {} unless it is confirmed",
                self.revision()
            );
            let highest = self.highest_by(restored, None);
            for version in restored.holders(&self.name, highest).into_keys() {
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
    fn held(&self) -> BTreeSet<VersionNumber> {
        self.holders().into_keys().collect()
    }

    /// Whether taper itself made its only change; see [`Record::is_first_version`].
    pub(super) fn has_only_its_first_version(&self) -> bool {
        let record = self.record.as_ref();
        record.is_some_and(Record::is_first_version)
    }

    /// Describes the traffic of a version that becomes READY, for the log.
    pub(super) fn traffic_of_new(&self, version: VersionNumber) -> &'static str {
        let is_newer = |latest: LatestLabel| version > latest.seen;
        let is_first = self.highest().is_none_or(|highest| version > highest);
        if self.wanted.policy.is_none() && is_first {
            "all, if it is the model's first version"
        } else if self.holders().contains_key(&version) {
            "as the traffic policy says"
        } else if self.wanted.latest.is_some_and(is_newer) {
            "that of the label latest, which moves"
        } else {
            "none until an operator gives it some"
        }
    }

    /// Whether an operator forgot the model, and its folder is still gone.
    fn is_being_retired(&self) -> bool {
        self.wanted.forgotten && self.versions_in_registry().is_empty()
    }

    /// Gives its first version all traffic, without a stored change, if it has no policy and a version can answer.
    pub(super) fn use_first_version(&mut self) {
        if let Some(highest) = self.highest()
            && self.wanted.policy.is_none()
            && !self.is_being_retired()
        {
            self.wanted = Arc::new(with_first_version(&self.wanted, highest));
            self.unstored_first_version = Some(highest);
        }
    }

    /// Returns the change that taper makes itself now, if one is due.
    pub(super) fn automatic_change(&self) -> Option<AutomaticChange> {
        let latest = self.wanted.latest.map(|latest| latest.version);
        let entry = latest.and_then(|latest| self.versions.get(&latest));
        if self.is_being_retired() {
            return None;
        }
        automatic_change(Facts {
            wanted: &self.wanted,
            unstored_first_version: self.unstored_first_version,
            highest: self.highest()?,
            latest_answers: entry.is_some_and(VersionEntry::answers_now_or_soon),
        })
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
                highest: self.highest_by(wanted, new.map(|new| new.number())),
                ready: &ready,
                unavailable: &unavailable,
            },
        )
    }

    /// Checks that `new` may become READY. If a policy names `latest` beside other versions, and `latest` moves to `new`, it must
    /// have their signature.
    pub(super) fn check_signature(&self, new: &Arc<VersionRuntime>) -> Result<(), Faults> {
        if self.check_admissible(&self.wanted).is_err() {
            return Ok(());
        }
        let mut wanted = (*self.wanted).clone();
        wanted.latest = wanted.latest.filter(|latest| new.number() <= latest.seen);
        match self.check_admissible_with(&wanted, Some(new)) {
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
        let labels = usable.all_labels(self.highest());
        self.routing = match usable.policy(&self.name) {
            Ok(Some(policy)) if can_route => {
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
        self.report_metrics(problem.is_some());
        (model, problem)
    }

    /// Returns why the desired state cannot be honoured, if it cannot.
    fn problem(&self) -> Option<String> {
        let revision = self.revision();
        match (self.highest(), self.check_admissible(&self.wanted)) {
            (None, _) if self.record.is_some() && !self.listed => Some(format!(
                "revision {revision} is in force, and the registry has no such model"
            )),
            (None, _) if self.is_being_retired() => None,
            (None, _) => Some("no version is READY".to_owned()),
            (Some(_), Err(error)) => {
                Some(format!("revision {revision} cannot be honoured: {error}"))
            }
            (Some(_), Ok(())) => self
                .automatic_problem
                .clone()
                .or_else(|| self.missing_folders())
                .or_else(|| self.replaced_folders()),
        }
    }

    /// Describes the versions whose folders are no longer what is in memory, if there are any.
    fn replaced_folders(&self) -> Option<String> {
        let versions = self.versions.iter();
        let mut replaced = versions.filter(|(_, entry)| entry.replaced().is_some());
        let (version, entry) = replaced.next()?;
        let (name, faults) = (&self.name, entry.replaced()?);
        Some(format!(
            "the files of version {version} were replaced ({}); it answers as it was loaded, and a restart refuses it. Put the earlier \
             files back, or run `taper versions accept {version} --model {name}`",
            first_message(faults)
        ))
    }

    /// Returns the digest that `version` must have to be loaded; `None` if it was never READY.
    pub(super) fn expected_digest(&self, version: VersionNumber) -> Option<VersionDigest> {
        self.digests.expected(version, &self.wanted)
    }

    /// Returns the READY version to load again, because an operator accepted what replaced it.
    pub(super) fn next_reload(&self) -> Option<VersionNumber> {
        let mut versions = self.versions.iter();
        let due = versions
            .find(|(version, entry)| entry.needs_reload(self.expected_digest(**version)))?;
        Some(*due.0)
    }

    /// Returns the READY version to compare with its folder, which has changed.
    pub(super) fn next_comparison(&self) -> Option<VersionNumber> {
        let mut versions = self.versions.iter();
        let due = versions.find(|(_, entry)| entry.needs_comparison())?;
        Some(*due.0)
    }

    /// Describes the versions that answer although their folders are gone, if there are any.
    fn missing_folders(&self) -> Option<String> {
        if self.is_being_retired() {
            return None;
        }
        let versions = self.versions.iter();
        let missing: Vec<_> = versions
            .filter(|(_, entry)| entry.ready.is_some() && entry.folder.is_none())
            .map(|(version, _)| version.to_string())
            .collect();
        if missing.is_empty() {
            return None;
        }
        let (name, versions) = (&self.name, missing.join(", "));
        Some(if self.versions_in_registry().is_empty() {
            format!(
                "the registry no longer has this model; it answers from memory (versions {versions}), and a restart cannot load it. \
                 Bring the folder back, or run `taper models forget {name}`"
            )
        } else {
            format!(
                "the registry no longer has {versions}, which still answers from memory; a restart cannot load it. Bring its \
                 folder back, or take its traffic and labels away"
            )
        })
    }

    /// Returns the part of the desired state that `ready` can honour, and whether requests can be routed by it.
    fn usable(&self, ready: &BTreeMap<VersionNumber, Arc<VersionRuntime>>) -> (Wanted, bool) {
        let mut usable = (*self.wanted).clone();
        // A label whose version cannot answer is reported as a problem, and affects only requests that name it.
        usable
            .labels
            .retain(|_, version| ready.contains_key(version));
        usable.latest = usable
            .latest
            .filter(|latest| ready.contains_key(&latest.version));
        let has_latest = self.highest().is_some();
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

    fn report_metrics(&self, has_problem: bool) {
        let mut counts = [0_usize; State::ALL.len()];
        for entry in self.versions.values() {
            counts[entry.state() as usize] += 1;
        }
        let versions = self.versions.values();
        let replaced = versions.filter(|entry| entry.replaced().is_some()).count();
        self.meters.health(has_problem, replaced);
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
            labels: self.wanted.all_labels(self.highest()),
            versions,
            problem,
        }
    }
}

#[cfg(test)]
mod tests;
