//! Exact totals of one version: sums that only grow. Sketches are exact in their counts and not in their sums.

use std::time::{Duration, SystemTime};

use super::Scoring;
use super::summary::Summary;
use crate::error::Code;

/// What is summed up beside the sketches of one [`Summary`]. Durations in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// From coming to end, of requests that were answered.
    answered: u64,
    /// The same of all others.
    failed: u64,
    /// Until the computing began, of requests that were scored.
    queue: u64,
    /// In the forward pass, of requests that were scored.
    inference: u64,
    /// Requests that were scored.
    scored: u64,
    /// Forward passes.
    passes: u64,
    /// When the last one was scored, in milliseconds since the version came. A maximum, not a sum.
    last: u64,
}

impl Sums {
    #[inline]
    pub(super) fn scored(&mut self, scoring: Scoring<'_>, since: Duration) {
        self.queue = self.queue.saturating_add(nanos(scoring.queue));
        self.inference = self.inference.saturating_add(nanos(scoring.inference));
        self.scored += 1;
        self.passes += u64::from(scoring.is_first);
        self.last = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    }

    #[inline]
    pub(super) fn ended(&mut self, code: Code, total: Duration) {
        let sum = match code {
            Code::Ok => &mut self.answered,
            _ => &mut self.failed,
        };
        *sum = sum.saturating_add(nanos(total));
    }

    pub(super) fn merge(&mut self, from: Self) {
        for (to, from) in self.each().into_iter().zip({ from }.each()) {
            *to = to.saturating_add(*from);
        }
        self.last = self.last.max(from.last);
    }

    /// The last one stays: what was before it is not known any more.
    pub(super) fn take_back(&mut self, part: Self) {
        for (from, part) in self.each().into_iter().zip({ part }.each()) {
            *from = from.saturating_sub(*part);
        }
    }

    fn each(&mut self) -> [&mut u64; 6] {
        [
            &mut self.answered,
            &mut self.failed,
            &mut self.queue,
            &mut self.inference,
            &mut self.scored,
            &mut self.passes,
        ]
    }
}

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

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Scores;

    fn scored(sums: &mut Sums, millis: u64, is_first: bool) {
        let scores = Scores::new(vec![0.5], 1).unwrap();
        let scoring = Scoring {
            queue: Duration::from_nanos(3),
            inference: Duration::from_nanos(5),
            scores: &scores,
            top: &[],
            is_first,
        };
        sums.scored(scoring, Duration::from_millis(millis));
    }

    #[test]
    fn a_pass_counts_once_and_its_time_for_each_request_in_it() {
        let mut sums = Sums::default();
        scored(&mut sums, 10, true);
        scored(&mut sums, 11, false);
        sums.ended(Code::Ok, Duration::from_nanos(20));
        sums.ended(Code::Cancelled, Duration::from_nanos(7));
        let want = Sums {
            answered: 20,
            failed: 7,
            queue: 6,
            inference: 10,
            scored: 2,
            passes: 1,
            last: 11,
        };
        assert_eq!(sums, want);
    }

    #[test]
    fn what_is_merged_and_taken_back_is_gone_but_for_the_last() {
        let (mut one, mut other) = (Sums::default(), Sums::default());
        scored(&mut one, 10, true);
        scored(&mut other, 20, true);
        let mut both = one;
        both.merge(other);
        assert_eq!((both.passes, both.last), (2, 20));
        both.take_back(other);
        assert_eq!(both, Sums { last: 20, ..one });
    }
}
