//! Exact totals of one version since it was loaded.

use std::time::{Duration, SystemTime};

use super::summary::Summary;
use crate::error::Code;

/// A number of events and their total duration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimedCount {
    /// The number of events.
    pub count: u64,
    /// Their total duration in nanoseconds.
    pub nanos: u64,
}

/// Everything that a version did since it was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests that were answered, from arrival to end.
    pub answered: TimedCount,
    /// Requests that were not answered, from arrival to end.
    pub failed: TimedCount,
    /// Requests that were scored, from arrival to the start of their computing.
    pub queue: TimedCount,
    /// Requests that were scored, each with the duration of the whole forward pass that it shared.
    pub inference: TimedCount,
    /// Rows that were scored.
    pub rows: u64,
    /// Forward passes.
    pub passes: u64,
    /// When a request was last scored.
    pub last: Option<SystemTime>,
}

impl Totals {
    /// Adds the counts of `summary`, which belongs to a version that was loaded at `loaded`.
    pub(super) fn add(&mut self, summary: &Summary, loaded: SystemTime) {
        let (sums, answered) = (summary.sums, summary.codes[Code::Ok as usize]);
        self.answered.add(answered, sums.answered);
        self.failed.add(summary.requests() - answered, sums.failed);
        self.queue.add(sums.scored, sums.queue);
        self.inference.add(sums.scored, sums.inference);
        self.rows += summary.rows;
        self.passes += sums.passes;
        if sums.scored > 0 {
            let last = loaded.checked_add(Duration::from_millis(sums.last));
            self.last = self.last.max(last);
        }
    }

    /// Returns the totals of `self` and `other` together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (sum, more) in [
            (&mut self.answered, other.answered),
            (&mut self.failed, other.failed),
            (&mut self.queue, other.queue),
            (&mut self.inference, other.inference),
        ] {
            sum.add(more.count, more.nanos);
        }
        self.rows += other.rows;
        self.passes += other.passes;
        self.last = self.last.max(other.last);
        self
    }
}

impl TimedCount {
    fn add(&mut self, count: u64, nanos: u64) {
        self.count += count;
        self.nanos = self.nanos.saturating_add(nanos);
    }
}
