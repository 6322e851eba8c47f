//! Outcomes: the ground truth of earlier predictions, reported by response id and joined to the answers.
//!
//! [`Outcomes`] stores the scores of answers, never an input, in a buffer that grows as it fills, up to its limit. An outcome that
//! finds its row is counted in the [`VersionQuality`] of the version that answered, which ends with that version. The client that
//! reports an outcome always learns its [`JoinStatus`]. [`quality`] turns the counts into accuracy, log loss, Brier score,
//! AUC and calibration, or into the errors of a regression.
//!
//! Invariants: a row is counted at most once for each version that scored it; storing an answer takes one short lock, that of one
//! shard; answers from before a restart are not known.
//! Not here: the wire format ([`api`](crate::api)), and who may report outcomes.

pub mod quality;

mod answer;
mod buffer;
mod entries;
mod entry;
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
use answer::Answer;
use buffer::Buffer;

pub use entry::VALUES_PER_ROW;
pub use report::{GroundTruth, JoinReport, JoinStatus, Outcome};
pub use version::VersionQuality;
pub use window::{HOUR, WindowSums};

/// How many answers are stored, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutcomeSettings {
    /// The most rows that may wait for an outcome at one time. If 0, nothing is stored. A row takes about 250 bytes; a row of more
    /// than [`VALUES_PER_ROW`] values counts as several.
    pub buffer_rows: usize,
    /// How long after the answer an outcome may be reported.
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

/// The answers that wait for an outcome.
#[derive(Debug)]
pub struct Outcomes {
    buffer: Buffer,
    expires: Duration,
    begin: Instant,
    meters: OutcomeMeters,
}

impl Outcomes {
    /// The most outcomes in one report.
    pub const MAX_PER_REPORT: usize = 10_000;

    /// Creates an empty buffer.
    #[must_use]
    pub fn new(settings: OutcomeSettings, meters: OutcomeMeters) -> Self {
        Self {
            buffer: Buffer::new(settings.buffer_rows),
            expires: settings.expires,
            begin: Instant::now(),
            meters,
        }
    }

    /// Stores the `scores` with which the version of `by` answered the request `id` in this role.
    ///
    /// One outcome judges the answer that the client got and the answer of each shadow. A later answer with the same id replaces
    /// the earlier one; a primary's answer also replaces those of shadows. An answer of a shadow to a row whose outcome was already
    /// reported counts as lost.
    pub fn remember(&self, id: &ResponseId, by: &Arc<VersionQuality>, role: Role, scores: &Scores) {
        if self.buffer.is_off() {
            return;
        }
        let answer = Answer {
            by,
            role,
            at: self.begin.elapsed(),
        };
        let lost = self.buffer.push(id.as_str(), answer, scores, self.expires);
        if lost.any() {
            self.meters.lost(
                lost.evicted,
                lost.replaced,
                lost.too_large,
                lost.after_truth,
            );
        }
    }

    /// Joins `outcomes` to their answers and adds the results to `report`. `first` is the place of the first outcome in its
    /// message.
    pub fn join(&self, first: usize, outcomes: &[Outcome], report: &mut JoinReport) {
        let now = self.begin.elapsed();
        for (at, outcome) in outcomes.iter().enumerate() {
            let joined = report::check(outcome).and_then(|(id, ground_truth)| {
                let row = outcome.row;
                self.buffer.join(id, row, ground_truth, now, self.expires)
            });
            let status = report.add(first + at, joined);
            self.meters.reported(status);
        }
    }

    /// Updates the gauge of stored rows.
    pub fn report_rows(&self) {
        self.meters.held(self.buffer.rows());
    }
}

#[cfg(test)]
mod tests;
