//! Exact totals of one version: sums that only grow. Sketches are exact in their counts and not in their sums.

use std::time::Duration;

use super::scoring::Scoring;
use crate::error::Code;

/// What is summed up beside the sketches of one [`Summary`]. Durations in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// From coming to end, of requests that were answered.
    pub(super) answered: u64,
    /// The same of all others.
    pub(super) failed: u64,
    /// Until the computing began, of requests that were scored.
    pub(super) queue: u64,
    /// In the forward pass, of requests that were scored.
    pub(super) inference: u64,
    /// Requests that were scored.
    pub(super) scored: u64,
    /// Forward passes.
    pub(super) passes: u64,
    /// When the last one was scored, in milliseconds since the version came. A maximum, not a sum.
    pub(super) last: u64,
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
