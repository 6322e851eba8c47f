//! What each version saw in the last minute, five minutes, hour, and since it was loaded: for `GetStats`, drift, comparison
//! and whatever decides. The metrics facade is write-only; this is what can be read.
//!
//! A [`VersionStats`] belongs to a loaded version and goes with it. For each role that the version plays it keeps a
//! [`Summary`] for every slice of every [`Window`]; a [`Snapshot`] is the sum of the slices of one window.
//!
//! What always holds: a request counts once in every window, whichever thread it was on; recording takes no lock that another
//! request waits for, and allocates nothing but room for values that are new; inputs and predictions are those of rows that
//! were scored, so a request that was refused or failed counts by its code and its time alone; a caller that goes away while
//! its rows are scored is `CANCELLED`, and its rows count. A sensitive input is never recorded, nor named.
//!
//! Memory of one version in all roles: at most [`max_bytes`](Settings::max_bytes), from which follows how much room each sketch
//! has, and so how fine it stays when values of very many sizes come; inputs for which there would be none are left out.
//! [`heap_bytes`](VersionStats::heap_bytes) tells what it is: some kilobytes an input most of the time.
//! Not here: what the numbers mean (`drift`), and series for dashboards ([`metrics`](super::metrics)).

mod bars;
mod history;
mod layout;
mod plan;
mod recorder;
mod scoring;
mod seen;
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
pub use plan::MOST_CATEGORIES;
pub use scoring::Scoring;
pub use seen::{Cells, Seen};
pub use settings::Settings;
pub use summary::{Inputs, Summary, Values};
pub use totals::{Counted, Totals};

/// What one version saw, by role.
#[derive(Debug)]
pub struct VersionStats {
    layout: Arc<Layout>,
    begin: Instant,
    /// `begin` on the wall.
    came: SystemTime,
    roles: [OnceLock<Recorder>; Role::COUNT],
}

/// What a version saw in one role and one window.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What the tables of `summary` are about.
    pub layout: Arc<Layout>,
    /// Counts and distributions.
    pub summary: Summary,
    /// How long it is: not past the version's loading.
    pub length: Duration,
}

impl VersionStats {
    /// Of a version with this signature, that came just now.
    #[must_use]
    pub fn new(signature: &Signature, settings: Settings) -> Self {
        Self {
            layout: Arc::new(plan(signature, settings)),
            begin: Instant::now(),
            came: SystemTime::now(),
            roles: Default::default(),
        }
    }

    /// What it counts.
    #[must_use]
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// An observer for the inputs of one request; hand it to [`scored`](Self::scored).
    #[must_use]
    pub fn watch(&self) -> Seen<'_> {
        Seen::of(&self.layout)
    }

    /// A request was scored: its inputs, its answers and how long they took.
    pub fn scored(&self, role: Role, seen: &Cells, scoring: Scoring<'_>) {
        let (classes, labels) = (self.layout.classes.len(), self.layout.outputs.len());
        let since = self.begin.elapsed();
        self.recorder(role).record(tick(since), |summary| {
            summary.sums.scored(scoring, since);
            summary.rows += scoring.scores.rows().len() as u64;
            summary.queue.record(scoring.queue.as_secs_f64());
            summary.inference.record(scoring.inference.as_secs_f64());
            for (place, held) in &seen.0 {
                summary.input(*place, *held);
            }
            let Summary { scores, .. } = summary;
            outputs::each_score(scoring.scores, scoring.top, classes, labels, |at, x| {
                if let Some(sketch) = scores.get_mut(at) {
                    sketch.record(x);
                }
            });
            for class in scoring.top {
                summary.confidence.record(f64::from(class.probability));
                if let Some(count) = summary.classes.get_mut(class.index) {
                    *count += 1;
                }
            }
        });
    }

    /// A request ended with `code`, `total` after it came.
    pub fn ended(&self, role: Role, code: Code, total: Duration) {
        self.recorder(role).record(self.now(), |summary| {
            summary.codes[code as usize] += 1;
            summary.total.record(total.as_secs_f64());
            summary.sums.ended(code, total);
        });
    }

    /// What it saw in `role` and `window`, until now; `None` where it never played the role.
    #[must_use]
    pub fn read(&self, role: Role, window: Window) -> Option<Snapshot> {
        let recorder = self.roles[role as usize].get()?;
        let (since, now) = (self.begin.elapsed(), self.now());
        let mut summary = Summary::empty(&self.layout);
        recorder.sum(now, [(window, &mut summary)]);
        Some(Snapshot {
            layout: Arc::clone(&self.layout),
            summary,
            length: length(window, since, now),
        })
    }

    /// What it saw in `role` and `window` until now, and before that, since `longer` begins: no request is in both. `None` where
    /// it never played the role. `longer` should be the longer one, otherwise there is nothing before.
    #[must_use]
    pub fn read_and_before(
        &self,
        role: Role,
        window: Window,
        longer: Window,
    ) -> Option<[Snapshot; 2]> {
        let recorder = self.roles[role as usize].get()?;
        let (since, now) = (self.begin.elapsed(), self.now());
        let [mut last, mut before] = [(); 2].map(|()| Summary::empty(&self.layout));
        recorder.sum(now, [(window, &mut last), (longer, &mut before)]);
        before.take_back(&last);
        let last_length = length(window, since, now);
        let before_length = length(longer, since, now).saturating_sub(last_length);
        let read = [(last, last_length), (before, before_length)];
        Some(read.map(|(summary, length)| Snapshot {
            layout: Arc::clone(&self.layout),
            summary,
            length,
        }))
    }

    /// All that it did in `role` since it was loaded. Costs less than [`read`](Self::read), however many inputs there are; it may
    /// wait for who reads just then.
    #[must_use]
    pub fn totals(&self, role: Role) -> Totals {
        let mut totals = Totals::default();
        if let Some(recorder) = self.roles[role as usize].get() {
            recorder.add_up(|summary| totals.add(summary, self.came));
        }
        totals
    }

    /// What is read of a version that saw nothing.
    #[must_use]
    pub fn nothing(&self) -> Snapshot {
        Snapshot {
            layout: Arc::clone(&self.layout),
            summary: Summary::empty(&self.layout),
            length: Duration::ZERO,
        }
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let roles = self.roles.iter().filter_map(OnceLock::get);
        roles.map(Recorder::heap_bytes).sum()
    }

    fn recorder(&self, role: Role) -> &Recorder {
        self.roles[role as usize].get_or_init(|| Recorder::new(&self.layout))
    }

    /// The tick that runs.
    fn now(&self) -> u64 {
        tick(self.begin.elapsed())
    }
}

/// The tick that runs so long after the beginning.
fn tick(since: Duration) -> u64 {
    since.as_secs() / TICK.as_secs()
}

/// How far a window reaches back in tick `now` of a version that came `since` ago.
fn length(window: Window, since: Duration, now: u64) -> Duration {
    let begin = u32::try_from(window.begin(now)).unwrap_or(u32::MAX);
    since.saturating_sub(TICK.saturating_mul(begin))
}
