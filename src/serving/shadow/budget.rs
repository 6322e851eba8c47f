//! How much of the machine all shadows together may take: a bucket of compute time, as plain arithmetic.

use std::time::Duration;

use tokio::time::Instant;

/// What the bucket holds at most: this much of a second's share, so that a quiet second does not pay for a busy one later.
const MOST: f64 = 1.0;
/// How deep the debt of one long computation can be, in seconds' shares.
const DEEPEST: f64 = -10.0;

/// Compute time that shadows may still use. It fills with time and is emptied by what they took, which is known only
/// afterwards: so it may go below zero, and then nothing begins until it is filled again.
#[derive(Debug)]
pub(super) struct Budget {
    /// Seconds of one core for each second.
    share: f64,
    /// Seconds of one core that are left.
    left: f64,
    filled: Instant,
}

impl Budget {
    /// A full bucket. `share` is in per cent of one core.
    pub(super) fn new(share: u32, now: Instant) -> Self {
        let share = f64::from(share) / 100.0;
        Self {
            share,
            left: share * MOST,
            filled: now,
        }
    }

    /// Whether a computation may begin.
    pub(super) fn may_begin(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.left = (self.left + passed * self.share).min(self.share * MOST);
        self.filled = self.filled.max(now);
        self.left > 0.0
    }

    /// A computation took this much.
    pub(super) fn spend(&mut self, took: Duration) {
        self.left = (self.left - took.as_secs_f64()).max(self.share * DEEPEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_spent_comes_back_with_time_and_never_piles_up() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut budget = Budget::new(50, begin);
        budget.spend(Duration::from_millis(600));
        assert!(!budget.may_begin(begin), "half a second was there");
        assert!(!budget.may_begin(at(190)), "not yet");
        assert!(budget.may_begin(at(220)));
        assert!(budget.may_begin(at(3_600_000)));
        budget.spend(Duration::from_millis(501));
        assert!(
            !budget.may_begin(at(3_600_000)),
            "an hour fills no more than a second"
        );
        budget.spend(Duration::from_secs(3_600));
        assert!(
            budget.may_begin(at(3_600_000 + 10_001)),
            "a debt is forgiven in the end"
        );
    }
}
