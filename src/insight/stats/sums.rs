//! Sums beside the sketches of a summary. Sketches are exact in their counts, but not in their sums.

use std::time::Duration;

use super::scoring::Scoring;
use crate::error::Code;

/// Sums of what the sketches of one [`Summary`](super::Summary) count. Durations are in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// From arrival to end, of requests that were answered.
    pub(super) answered: u64,
    /// From arrival to end, of all other requests.
    pub(super) failed: u64,
    /// From arrival to the start of computing, of requests that were scored.
    pub(super) queue: u64,
    /// In the forward pass, of requests that were scored.
    pub(super) inference: u64,
    /// Requests that were scored.
    pub(super) scored: u64,
    /// Forward passes.
    pub(super) passes: u64,
    /// When the last request was scored, in milliseconds since the version was loaded. A maximum, not a sum.
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
        for (to, from) in self.sums_mut().into_iter().zip({ from }.sums_mut()) {
            *to = to.saturating_add(*from);
        }
        self.last = self.last.max(from.last);
    }

    /// Subtracts the sums of `part`, which was merged into this one. `last` stays, because the time before it is not known.
    pub(super) fn subtract(&mut self, part: Self) {
        for (from, part) in self.sums_mut().into_iter().zip({ part }.sums_mut()) {
            *from = from.saturating_sub(*part);
        }
    }

    fn sums_mut(&mut self) -> [&mut u64; 6] {
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
    fn a_pass_counts_once_and_its_duration_for_each_request_in_it() {
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
    fn subtracting_what_was_merged_restores_all_but_the_last_time() {
        let (mut one, mut other) = (Sums::default(), Sums::default());
        scored(&mut one, 10, true);
        scored(&mut other, 20, true);
        let mut both = one;
        both.merge(other);
        assert_eq!((both.passes, both.last), (2, 20));
        both.subtract(other);
        assert_eq!(both, Sums { last: 20, ..one });
    }
}
