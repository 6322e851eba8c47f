//! One version as control tracks it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::clock::Moment;
use super::reconcile::VersionFacts;
use super::state::State;
use super::view::VersionView;
use crate::faults::Faults;
use crate::model::Manifest;
use crate::registry::{ListedVersion, Stamp};
use crate::serving::version::VersionRuntime;

/// Wait before the first retry. Each further wait is twice as long.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Longest wait between two retries.
const LAST_RETRY: Duration = Duration::from_secs(300);

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
            failed_stamp: None,
        }
    }

    pub(super) fn state(&self) -> State {
        self.state
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
        self.manifest = Some(version.version.model().manifest_arc());
        self.weight_bytes = version.version.weight_bytes();
        self.clear_failures();
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
            (State::Failed, Some(faults), _) => format!("it failed to load: {}", first(faults)),
            // While it is retried, the earlier reason still matters.
            (state, Some(faults), _) if state.is_loading() => {
                let (state, why) = (state.as_str(), first(faults));
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
            manifest: self.manifest.clone(),
            weight_bytes: self.weight_bytes,
        }
    }
}

/// Returns the first fault's message.
fn first(faults: &Faults) -> String {
    faults
        .iter()
        .next()
        .map_or_else(String::new, |fault| fault.message.clone())
}
