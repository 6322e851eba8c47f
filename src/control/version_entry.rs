//! One version as control tracks it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::clock::Moment;
use super::reconcile::VersionFacts;
use super::state::State;
use super::view::VersionView;
use crate::faults::Faults;
use crate::model::{Manifest, VersionDigest};
use crate::registry::{ListedVersion, Stamp};
use crate::serving::version::VersionRuntime;

/// Wait before the first retry. Each further wait is twice as long.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Longest wait between two retries.
const LAST_RETRY: Duration = Duration::from_secs(300);

/// Whether what replaced a READY version is loaded in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reload {
    None,
    Running,
    /// It is tried again when the folder changes.
    Failed,
}

/// One version and its state.
#[derive(Debug)]
pub(super) struct VersionEntry {
    state: State,
    since: SystemTime,
    /// Its folder; `None` if it was removed.
    pub(super) folder: Option<ListedVersion>,
    /// The loaded version while it can answer.
    pub(super) ready: Option<Arc<VersionRuntime>>,
    /// Its manifest while it is in memory.
    manifest: Option<Arc<Manifest>>,
    weight_bytes: u64,
    faults: Option<Arc<Faults>>,
    failures: u32,
    retry_at: Option<Instant>,
    /// Stamp of the folder when what is in memory was read, or when the folder was last compared with it.
    checked_stamp: Option<Stamp>,
    /// How the folder differs from what is in memory, if it was replaced.
    replaced: Option<Arc<Faults>>,
    reload: Reload,
    /// Stamp of the folder that failed to load. A folder with another stamp is loaded at once.
    failed_stamp: Option<Stamp>,
}

impl VersionEntry {
    /// Creates the entry of a version whose folder was just found.
    pub(super) fn discovered(folder: ListedVersion, now: SystemTime) -> Self {
        Self {
            state: State::Discovered,
            since: now,
            folder: Some(folder),
            ready: None,
            manifest: None,
            weight_bytes: 0,
            faults: None,
            failures: 0,
            retry_at: None,
            checked_stamp: None,
            replaced: None,
            reload: Reload::None,
            failed_stamp: None,
        }
    }

    /// The folder is being read. A READY version stays READY: what is loaded takes its place.
    pub(super) fn begin_load(&mut self, now: SystemTime) {
        self.checked_stamp = self.folder.as_ref().map(|folder| folder.stamp);
        if self.state == State::Ready {
            self.reload = Reload::Running;
        } else {
            self.move_to(State::Loading, now);
        }
    }

    /// Whether the folder of a READY version has changed since it was read or compared.
    pub(super) fn needs_comparison(&self) -> bool {
        let stamp = self.folder.as_ref().map(|folder| folder.stamp);
        self.state == State::Ready
            && self.reload != Reload::Running
            && stamp.is_some_and(|stamp| Some(stamp) != self.checked_stamp)
    }

    /// The folder is being compared with what is in memory. Returns the folder and the digest in memory.
    pub(super) fn begin_comparison(&mut self) -> Option<(PathBuf, VersionDigest)> {
        let folder = self.folder.as_ref()?;
        self.checked_stamp = Some(folder.stamp);
        Some((folder.dir.clone(), self.digest()?))
    }

    /// The folder was compared with what is in memory.
    pub(super) fn set_compared(&mut self, compared: Result<(), Faults>) {
        if self.state == State::Ready {
            self.reload = Reload::None;
            self.replaced = compared.err().map(Arc::new);
        }
    }

    /// How the folder differs from what is in memory, if it was replaced.
    pub(super) fn replaced(&self) -> Option<&Faults> {
        self.replaced.as_deref()
    }

    /// Whether a READY version must be loaded again: its folder was replaced, and an operator accepted what is there.
    pub(super) fn needs_reload(&self, expected: Option<VersionDigest>) -> bool {
        self.state == State::Ready
            && self.reload == Reload::None
            && self.replaced.is_some()
            && expected.is_some_and(|expected| self.digest() != Some(expected))
    }

    /// Returns the digest of what is in memory.
    fn digest(&self) -> Option<VersionDigest> {
        self.manifest.as_ref().map(|manifest| manifest.digest)
    }

    /// `version` takes the place of the READY one, which is returned for the reaper.
    pub(super) fn replace_ready(
        &mut self,
        version: Arc<VersionRuntime>,
    ) -> Option<Arc<VersionRuntime>> {
        self.hold(&version);
        self.ready.replace(version)
    }

    /// What should have taken the place of the READY version cannot be loaded.
    pub(super) fn set_reload_failed(&mut self, faults: Faults) {
        self.reload = Reload::Failed;
        self.replaced = Some(Arc::new(faults));
    }

    fn hold(&mut self, version: &Arc<VersionRuntime>) {
        self.manifest = Some(version.version.model().manifest_arc());
        self.weight_bytes = version.version.weight_bytes();
        self.replaced = None;
        self.reload = Reload::None;
        self.clear_failures();
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Whether it can answer now, or will unless loading it fails.
    pub(super) fn answers_now_or_soon(&self) -> bool {
        let is_complete = |folder: &ListedVersion| folder.waits_for.is_none();
        match self.state {
            // Without its folder it answers until another version can.
            State::Ready => self.folder.is_some(),
            State::Discovered | State::Retired => self.folder.as_ref().is_some_and(is_complete),
            state => state.is_loading(),
        }
    }

    /// Changes the state. An illegal transition is a bug in the gateway, and is logged.
    pub(super) fn move_to(&mut self, next: State, now: SystemTime) {
        let legal = self.state.may_become(next);
        debug_assert!(legal, "{:?} to {next:?}", self.state);
        if !legal {
            tracing::error!(
                from = self.state.as_str(),
                to = next.as_str(),
                "illegal transition of a version's state"
            );
        }
        self.state = next;
        self.since = now;
    }

    /// Updates the folder; `None` if it was removed. Returns whether anything differs.
    pub(super) fn update_folder(&mut self, folder: Option<ListedVersion>, now: SystemTime) -> bool {
        if self.folder == folder {
            return false;
        }
        self.folder = folder;
        let stamp = self.folder.as_ref().map(|folder| folder.stamp);
        if self.state == State::Failed && stamp.is_some() && stamp != self.failed_stamp {
            // The folder was repaired.
            self.move_to(State::Discovered, now);
            self.clear_failures();
        }
        true
    }

    /// The version was loaded, and may receive traffic.
    pub(super) fn set_ready(&mut self, version: Arc<VersionRuntime>, now: SystemTime) {
        self.move_to(State::Ready, now);
        self.hold(&version);
        self.ready = Some(version);
    }

    /// The version was refused. It is retried with exponential backoff.
    pub(super) fn set_failed(&mut self, faults: Faults, now: Moment) {
        self.move_to(State::Failed, now.wall);
        self.faults = Some(Arc::new(faults));
        let wait = FIRST_RETRY
            .saturating_mul(1 << self.failures.min(16))
            .min(LAST_RETRY);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = Some(now.monotonic + wait);
        self.failed_stamp = self.folder.as_ref().map(|folder| folder.stamp);
    }

    /// The next snapshot does not contain the version. Returns it for the reaper.
    pub(super) fn set_draining(&mut self, now: SystemTime) -> Option<Arc<VersionRuntime>> {
        self.move_to(State::Draining, now);
        self.replaced = None;
        self.ready.take()
    }

    /// Its memory was released.
    pub(super) fn set_retired(&mut self, now: SystemTime) {
        self.move_to(State::Retired, now);
        self.manifest = None;
        self.weight_bytes = 0;
    }

    fn clear_failures(&mut self) {
        (self.faults, self.failures, self.retry_at) = (None, 0, None);
    }

    /// Makes the next retry due at `now`.
    pub(super) fn retry_now(&mut self, now: Instant) {
        self.retry_at = Some(now);
    }

    /// Returns the time of the next retry; `None` unless the version has failed.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at.filter(|_| self.state == State::Failed)
    }

    /// Returns the bytes of its weights while they are in memory.
    pub(super) fn weight_bytes(&self) -> u64 {
        self.weight_bytes
    }

    /// Returns the facts for [`reconcile`](super::reconcile::reconcile).
    pub(super) fn facts(&self, now: Instant) -> VersionFacts {
        VersionFacts {
            state: self.state,
            listed: self.folder.is_some(),
            complete: self
                .folder
                .as_ref()
                .is_some_and(|folder| folder.waits_for.is_none()),
            may_retry: self.retry_at.is_some_and(|at| at <= now),
        }
    }

    /// Returns why it cannot answer, for operators.
    pub(super) fn unavailable_reason(&self) -> String {
        let waits = self
            .folder
            .as_ref()
            .and_then(|folder| folder.waits_for.as_ref());
        match (self.state, &self.faults, waits) {
            (State::Failed, Some(faults), _) => {
                format!("it failed to load: {}", first_message(faults))
            }
            // While it is retried, the earlier reason still matters.
            (state, Some(faults), _) if state.is_loading() => {
                let (state, why) = (state.as_str(), first_message(faults));
                format!("it is {state} again after it failed to load: {why}")
            }
            (State::Discovered, _, Some(waits)) => format!("it is DISCOVERED and waits: {waits}"),
            (State::Discovered | State::Retired, _, _) => {
                format!("it is {}: load it first", self.state.as_str())
            }
            (state, _, _) => format!("it is {}", state.as_str()),
        }
    }

    /// Returns what readers see of it. `held_by` describes everything that refers to it.
    pub(super) fn view(&self, held_by: Vec<String>, now: Moment) -> VersionView {
        let wait = self
            .retry_at()
            .map(|at| at.saturating_duration_since(now.monotonic));
        VersionView {
            state: self.state,
            since: self.since,
            faults: self.faults.clone().filter(|_| self.state == State::Failed),
            failures: self.failures,
            retry_at: wait.map(|wait| now.wall + wait),
            waits_for: match self.state {
                State::Discovered => self
                    .folder
                    .as_ref()
                    .and_then(|folder| folder.waits_for.clone()),
                _ => None,
            },
            held_by,
            replaced: self.replaced.clone(),
            manifest: self.manifest.clone(),
            weight_bytes: self.weight_bytes,
        }
    }
}

/// Returns the first fault's message.
pub(super) fn first_message(faults: &Faults) -> String {
    faults
        .iter()
        .next()
        .map_or_else(String::new, |fault| fault.message.clone())
}
