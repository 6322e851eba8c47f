//! Outcomes: the truths about predictions, reported later by response id, joined to what was answered.
//!
//! [`Outcomes`] remembers what was answered, the scores only and never an input, in a buffer that grows as it fills and
//! never past its limit. A truth that finds its row is counted in the [`VersionQuality`] of the version that answered, which lives
//! and dies with that version; whatever becomes of a truth, its sender is told. [`quality`] turns counts into accuracy,
//! log-loss, Brier score, AUC and calibration, or into errors of a regression.
//!
//! What always holds: a row is counted once at most for each version that scored it; remembering takes one short lock of one of several shards;
//! a restart forgets what was answered before it.
//! Not here: the wire ([`api`](crate::api)), and who may report.

pub mod quality;

mod answered;
mod buffer;
mod key;
mod report;
mod shard;
mod version;
mod window;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::ident::{ResponseId, Role};
use crate::insight::metrics::OutcomeMeters;
use crate::model::Scores;
use answered::Answered;
use buffer::Buffer;

pub use report::{Joined, Outcome, Report, Truth};
pub use shard::VALUES_PER_ROW;
pub use version::VersionQuality;
pub use window::{HOUR, Reading};

/// How much is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutcomeSettings {
    /// Rows that wait for their truth at one time; 0: nothing is remembered. One takes some 250 bytes, and one of more than
    /// [`VALUES_PER_ROW`] values counts as several.
    pub buffer_rows: usize,
    /// How long a truth may take to come.
    pub expires: Duration,
}

impl Default for OutcomeSettings {
    fn default() -> Self {
        Self {
            buffer_rows: 100_000,
            expires: Duration::from_secs(86_400),
        }
    }
}

/// What was answered and waits for its truth.
#[derive(Debug)]
pub struct Outcomes {
    buffer: Buffer,
    expires: Duration,
    begin: Instant,
    meters: OutcomeMeters,
}

impl Outcomes {
    /// Outcomes in one report at most.
    pub const MOST: usize = 10_000;

    /// Remembers nothing yet.
    #[must_use]
    pub fn new(settings: OutcomeSettings, meters: OutcomeMeters) -> Self {
        Self {
            buffer: Buffer::new(settings.buffer_rows),
            expires: settings.expires,
            begin: Instant::now(),
            meters,
        }
    }

    /// The request `id` was answered with `scores` by the version of `by`, in this role. One truth judges the answer that the
    /// caller got and each shadow's. Of each there is one: a later answer to the same id takes its place, and a primary's
    /// takes that of the shadows too. What a shadow answers when the truth has come already is counted as lost.
    pub fn remember(&self, id: &ResponseId, by: &Arc<VersionQuality>, role: Role, scores: &Scores) {
        if self.buffer.is_off() {
            return;
        }
        let answered = Answered {
            by,
            role,
            at: self.begin.elapsed(),
        };
        let lost = self
            .buffer
            .push(id.as_str(), answered, scores, self.expires);
        if lost.any() {
            self.meters.lost(
                lost.evicted,
                lost.replaced,
                lost.too_large,
                lost.after_truth,
            );
        }
    }

    /// Takes in the truths in `outcomes`, the first of which is number `first` of its message.
    pub fn report(&self, first: usize, outcomes: &[Outcome], report: &mut Report) {
        let now = self.begin.elapsed();
        for (at, outcome) in outcomes.iter().enumerate() {
            let place = first + at;
            let ended = match report::checked(outcome) {
                Ok((id, truth)) => self
                    .buffer
                    .settle(id, outcome.row, truth, now, self.expires),
                Err(fault) => Err(fault),
            };
            let result = report.add(place, ended);
            self.meters.reported(result);
        }
    }

    /// Brings the gauge of the rows that are held up to date.
    pub fn look(&self) {
        self.meters.held(self.buffer.rows());
    }
}

#[cfg(test)]
mod tests;
