//! Statistics of each version over the last minute, five minutes and hour, and since it was loaded. `GetStats`, drift, comparison
//! and every automatic decision read them. (The metrics facade is write-only.)
//!
//! A [`VersionStats`] belongs to a loaded version. For each role that the version plays, it keeps a [`Summary`] for every slice
//! of every [`Window`]; a [`Snapshot`] is the sum of the slices of one window.
//!
//! Invariants:
//! * A request counts once in every window, on whichever thread it ran.
//! * Recording takes no lock that another request waits for, and allocates memory only for values in new buckets.
//! * Inputs and predictions are those of rows that were scored. A request that was rejected or failed counts by its code and
//!   duration only. If a client goes away while its rows are scored, the request is `CANCELLED` and its rows count.
//! * A sensitive input is neither recorded nor named.
//! * The statistics of one version in all roles take at most [`max_bytes`](Settings::max_bytes). The memory of each sketch follows
//!   from that, and with it the error of the sketch when values of very many magnitudes come. Inputs for which there is no memory
//!   are left out. [`heap_bytes`](VersionStats::heap_bytes) returns the actual size, usually some kilobytes per input.
//!
//! Not here: what the numbers mean (`drift`), what a question compares ([`query`](super::query)), and series for dashboards
//! ([`metrics`](super::metrics)).

mod bars;
mod history;
mod layout;
mod observer;
mod plan;
mod recorder;
mod scoring;
mod settings;
mod summary;
mod sums;
#[cfg(test)]
mod tests;
mod totals;

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::outputs;
use crate::error::Code;
use crate::ident::Role;
use crate::model::Signature;
use plan::plan;
use recorder::Recorder;

pub use bars::bars;
pub use history::{TICK, Window};
pub use layout::{Feature, Layout};
pub use observer::{InputObserver, ObservedInputs};
pub use plan::MAX_CATEGORIES;
pub use scoring::Scoring;
pub use settings::Settings;
pub use summary::{Inputs, Summary, Values};
pub use totals::{TimedCount, Totals};

/// The statistics of one version, by role.
#[derive(Debug)]
pub struct VersionStats {
    layout: Arc<Layout>,
    begin: Instant,
    /// `begin` by the wall clock.
    loaded: SystemTime,
    roles: [OnceLock<Recorder>; Role::COUNT],
}

/// The statistics of one version in one role and one window.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The names of the counts in `summary`.
    pub layout: Arc<Layout>,
    /// Counts and distributions.
    pub summary: Summary,
    /// How far the window reaches back; not past the loading of the version.
    pub length: Duration,
}

impl VersionStats {
    /// Creates the statistics of a version with this signature, which was just loaded.
    #[must_use]
    pub fn new(signature: &Signature, settings: Settings) -> Self {
        Self {
            layout: Arc::new(plan(signature, settings)),
            begin: Instant::now(),
            loaded: SystemTime::now(),
            roles: Default::default(),
        }
    }

    /// Returns the names of what it counts.
    #[must_use]
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Returns an observer for the inputs of one request. Pass what it observed to [`scored`](Self::scored).
    #[must_use]
    pub fn observe_inputs(&self) -> InputObserver<'_> {
        InputObserver::new(&self.layout)
    }

    /// Records a request that was scored: its inputs, its predictions and their durations.
    pub fn scored(&self, role: Role, inputs: &ObservedInputs, scoring: Scoring<'_>) {
        let (classes, labels) = (self.layout.classes.len(), self.layout.outputs.len());
        let has_confidence = self.layout.has_confidence;
        let since = self.begin.elapsed();
        self.recorder(role).record(tick(since), |summary| {
            summary.sums.scored(scoring, since);
            summary.rows += scoring.scores.rows().len() as u64;
            summary.queue.record(scoring.queue.as_secs_f64());
            summary.inference.record(scoring.inference.as_secs_f64());
            for (place, held) in &inputs.0 {
                summary.input(*place, *held);
            }
            let Summary { scores, .. } = summary;
            outputs::each_score(scoring.scores, scoring.top, classes, labels, |at, x| {
                if let Some(sketch) = scores.get_mut(at) {
                    sketch.record(x);
                }
            });
            for class in scoring.top {
                if has_confidence {
                    summary.confidence.record(f64::from(class.probability));
                }
                if let Some(count) = summary.classes.get_mut(class.index) {
                    *count += 1;
                }
            }
        });
    }

    /// Records a request that ended with `code`, `total` after it arrived.
    pub fn ended(&self, role: Role, code: Code, total: Duration) {
        self.recorder(role).record(self.current_tick(), |summary| {
            summary.codes[code as usize] += 1;
            summary.total.record(total.as_secs_f64());
            summary.sums.ended(code, total);
        });
    }

    /// Returns the statistics of `role` in `window`, which ends now. `None` if the version never played the role.
    #[must_use]
    pub fn read(&self, role: Role, window: Window) -> Option<Snapshot> {
        let recorder = self.roles[role as usize].get()?;
        let (since, now) = (self.begin.elapsed(), self.current_tick());
        let mut summary = Summary::empty(&self.layout);
        recorder.sum(now, [(window, &mut summary)]);
        Some(Snapshot {
            layout: Arc::clone(&self.layout),
            summary,
            length: length(window, since, now),
        })
    }

    /// Returns the statistics of `role` in `window`, which ends now, and those of the time from the beginning of `longer` to the
    /// beginning of `window`. No request is in both. `None` if the version never played the role. If `longer` is not the longer
    /// window, the second statistics are empty.
    #[must_use]
    pub fn read_and_before(
        &self,
        role: Role,
        window: Window,
        longer: Window,
    ) -> Option<[Snapshot; 2]> {
        let recorder = self.roles[role as usize].get()?;
        let (since, now) = (self.begin.elapsed(), self.current_tick());
        let [mut last, mut before] = [(); 2].map(|()| Summary::empty(&self.layout));
        recorder.sum(now, [(window, &mut last), (longer, &mut before)]);
        before.subtract(&last);
        let last_length = length(window, since, now);
        let before_length = length(longer, since, now).saturating_sub(last_length);
        let read = [(last, last_length), (before, before_length)];
        Some(read.map(|(summary, length)| Snapshot {
            layout: Arc::clone(&self.layout),
            summary,
            length,
        }))
    }

    /// Returns the totals of `role` since the version was loaded. Less expensive than [`read`](Self::read): the cost does not depend on
    /// the number of inputs. May wait for a concurrent read.
    #[must_use]
    pub fn totals(&self, role: Role) -> Totals {
        let mut totals = Totals::default();
        if let Some(recorder) = self.roles[role as usize].get() {
            recorder.visit_all(|summary| totals.add(summary, self.loaded));
        }
        totals
    }

    /// Returns the statistics of a version without requests.
    #[must_use]
    pub fn empty_snapshot(&self) -> Snapshot {
        Snapshot {
            layout: Arc::clone(&self.layout),
            summary: Summary::empty(&self.layout),
            length: Duration::ZERO,
        }
    }

    /// Returns its bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let roles = self.roles.iter().filter_map(OnceLock::get);
        roles.map(Recorder::heap_bytes).sum()
    }

    fn recorder(&self, role: Role) -> &Recorder {
        self.roles[role as usize].get_or_init(|| Recorder::new(&self.layout))
    }

    /// Returns the current tick.
    fn current_tick(&self) -> u64 {
        tick(self.begin.elapsed())
    }
}

/// Returns the tick that contains the time `since` after the beginning.
fn tick(since: Duration) -> u64 {
    since.as_secs() / TICK.as_secs()
}

/// Returns how far a window reaches back in tick `now` of a version that was loaded `since` ago.
fn length(window: Window, since: Duration, now: u64) -> Duration {
    let begin = u32::try_from(window.begin(now)).unwrap_or(u32::MAX);
    since.saturating_sub(TICK.saturating_mul(begin))
}
