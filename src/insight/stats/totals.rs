//! Exact totals of one version since it was loaded.

use std::time::{Duration, SystemTime};

use super::summary::Summary;
use crate::error::Code;

/// How often, and how long in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How often.
    pub count: u64,
    /// How long, in nanoseconds.
    pub nanos: u64,
}

/// All that a version did since it was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests that were answered, from coming to end.
    pub answered: Counted,
    /// Those that were not.
    pub failed: Counted,
    /// Requests that were scored, until their computing began.
    pub queue: Counted,
    /// The same, in the forward pass; each with the whole pass that it was in.
    pub inference: Counted,
    /// Rows that were scored.
    pub rows: u64,
    /// Forward passes.
    pub passes: u64,
    /// When a request was last scored.
    pub last: Option<SystemTime>,
}

impl Totals {
    /// Adds what `summary`, of a version that came at `came`, has counted.
    pub(super) fn add(&mut self, summary: &Summary, came: SystemTime) {
        let (sums, answered) = (summary.sums, summary.codes[Code::Ok as usize]);
        self.answered.add(answered, sums.answered);
        self.failed.add(summary.requests() - answered, sums.failed);
        self.queue.add(sums.scored, sums.queue);
        self.inference.add(sums.scored, sums.inference);
        self.rows += summary.rows;
        self.passes += sums.passes;
        if sums.scored > 0 {
            let last = came.checked_add(Duration::from_millis(sums.last));
            self.last = self.last.max(last);
        }
    }

    /// With all that `other` counted.
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

impl Counted {
    fn add(&mut self, count: u64, nanos: u64) {
        self.count += count;
        self.nanos = self.nanos.saturating_add(nanos);
    }
}
