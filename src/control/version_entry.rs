//! One version as control knows it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::reconcile::VersionFacts;
use super::state::State;
use super::view::VersionView;
use crate::faults::Faults;
use crate::registry::{Seen, Stamp};
use crate::serving::version::VersionRuntime;

/// How long until the first retry; each further one waits twice as long.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest wait between two retries.
const LAST_RETRY: Duration = Duration::from_secs(300);

/// One version and its state.
#[derive(Debug)]
pub(super) struct VersionEntry {
    state: State,
    since: SystemTime,
    /// Its folder; `None` where it has gone.
    pub(super) seen: Option<Seen>,
    /// It, while it can answer.
    pub(super) ready: Option<Arc<VersionRuntime>>,
    /// What it said about itself when it was last in memory.
    about: Option<Arc<crate::model::Manifest>>,
    weight_bytes: u64,
    faults: Option<Arc<Faults>>,
    failures: u32,
    retry_at: Option<Instant>,
    /// The folder that failed: another one is tried at once.
    failed: Option<Stamp>,
}

impl VersionEntry {
    /// A version whose folder was just seen.
    pub(super) fn discovered(seen: Seen) -> Self {
        Self {
            state: State::Discovered,
            since: SystemTime::now(),
            seen: Some(seen),
            ready: None,
            about: None,
            weight_bytes: 0,
            faults: None,
            failures: 0,
            retry_at: None,
            failed: None,
        }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Moves on. A move that the table does not have is a fault in the gateway, and is told in the log.
    pub(super) fn move_to(&mut self, next: State) {
        let legal = self.state.may_become(next);
        debug_assert!(legal, "{:?} to {next:?}", self.state);
        if !legal {
            tracing::error!(
                from = self.state.as_str(),
                to = next.as_str(),
                "no legal move"
            );
        }
        self.state = next;
        self.since = SystemTime::now();
    }

    /// Its folder as it is now; `None` where it has gone. Tells whether anything differs.
    pub(super) fn see(&mut self, seen: Option<Seen>) -> bool {
        if self.seen == seen {
            return false;
        }
        self.seen = seen;
        let stamp = self.seen.as_ref().map(|seen| seen.stamp);
        if self.state == State::Failed && stamp.is_some() && stamp != self.failed {
            // Somebody has mended it.
            self.move_to(State::Discovered);
            (self.faults, self.failures, self.retry_at) = (None, 0, None);
        }
        true
    }

    /// It was loaded, and may take traffic from now on.
    pub(super) fn came_up(&mut self, version: Arc<VersionRuntime>) {
        self.move_to(State::Ready);
        self.about = Some(version.version.model().manifest_arc());
        self.weight_bytes = version.version.weight_bytes();
        (self.faults, self.failures, self.retry_at) = (None, 0, None);
        self.ready = Some(version);
    }

    /// It was refused; tried again later, each time after twice as long.
    pub(super) fn fail(&mut self, faults: Faults, now: Instant) {
        self.move_to(State::Failed);
        self.faults = Some(Arc::new(faults));
        let wait = FIRST_RETRY
            .saturating_mul(1 << self.failures.min(16))
            .min(LAST_RETRY);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = Some(now + wait);
        self.failed = self.seen.as_ref().map(|seen| seen.stamp);
    }

    /// Nobody new reaches it from the next snapshot on; gives what the reaper shall wait for.
    pub(super) fn retire(&mut self) -> Option<Arc<VersionRuntime>> {
        self.move_to(State::Draining);
        self.ready.take()
    }

    /// Its memory has been given back.
    pub(super) fn freed(&mut self) {
        self.move_to(State::Retired);
        self.about = None;
        self.weight_bytes = 0;
    }

    /// Is to be tried again now.
    pub(super) fn retry_now(&mut self, now: Instant) {
        self.retry_at = Some(now);
    }

    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at.filter(|_| self.state == State::Failed)
    }

    /// Bytes of its weights while they are in memory.
    pub(super) fn weight_bytes(&self) -> u64 {
        self.weight_bytes
    }

    pub(super) fn standing(&self, now: Instant) -> VersionFacts {
        VersionFacts {
            state: self.state,
            listed: self.seen.is_some(),
            complete: self.seen.as_ref().is_some_and(|seen| seen.waits.is_none()),
            may_retry: self.retry_at.is_some_and(|at| at <= now),
        }
    }

    /// Why it cannot answer, for an operator.
    pub(super) fn why_not(&self) -> String {
        let waits = self.seen.as_ref().and_then(|seen| seen.waits.as_ref());
        match (self.state, &self.faults, waits) {
            (State::Failed, Some(faults), _) => format!("it failed to load: {}", first(faults)),
            // Whoever asks while it is tried again wants to know the reason as well.
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

    pub(super) fn view(&self, held_by: Vec<String>, now: Instant) -> VersionView {
        let wait = self.retry_at().map(|at| at.saturating_duration_since(now));
        VersionView {
            state: self.state,
            since: self.since,
            faults: self.faults.clone().filter(|_| self.state == State::Failed),
            failures: self.failures,
            retry_at: wait.map(|wait| SystemTime::now() + wait),
            waits_for: match self.state {
                State::Discovered => self.seen.as_ref().and_then(|seen| seen.waits.clone()),
                _ => None,
            },
            held_by,
            about: self.about.clone(),
            weight_bytes: self.weight_bytes,
        }
    }
}

fn first(faults: &Faults) -> String {
    faults
        .iter()
        .next()
        .map_or_else(String::new, |fault| fault.message.clone())
}
