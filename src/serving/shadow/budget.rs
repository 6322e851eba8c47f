//! The compute time that all shadows together may take: a token bucket, as plain arithmetic.

use std::time::Duration;

use tokio::time::Instant;

/// Capacity of the bucket, in seconds of the share: a quiet minute does not pay for a busy one later.
const CAPACITY: f64 = 1.0;
/// Deepest debt of one long computation, in seconds of the share.
const DEEPEST_DEBT: f64 = -10.0;

/// Compute time that shadows may still use.
///
/// The bucket fills with time. A computation empties it by the time that it took, which is known only afterwards: so the bucket
/// may be in debt, and then no computation begins until it is filled again.
#[derive(Debug)]
pub(super) struct Budget {
    /// Seconds of one core for each second.
    share: f64,
    /// Seconds of one core that are left.
    left: f64,
    filled: Instant,
}

impl Budget {
    /// Creates a full bucket. `share` is in per cent of one core.
    pub(super) fn new(share: u32, now: Instant) -> Self {
        let share = f64::from(share) / 100.0;
        Self {
            share,
            left: share * CAPACITY,
            filled: now,
        }
    }

    /// Fills the bucket up to `now`. Returns whether a computation may begin.
    pub(super) fn may_begin(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.left = (self.left + elapsed * self.share).min(self.share * CAPACITY);
        self.filled = self.filled.max(now);
        self.left > 0.0
    }

    /// Subtracts the time that a computation took.
    pub(super) fn spend(&mut self, took: Duration) {
        self.left = (self.left - took.as_secs_f64()).max(self.share * DEEPEST_DEBT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spent_time_comes_back_with_time_and_never_exceeds_the_capacity() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut budget = Budget::new(50, begin);
        budget.spend(Duration::from_millis(600));
        assert!(!budget.may_begin(begin), "the bucket held half a second");
        assert!(!budget.may_begin(at(190)), "still in debt");
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
            "the debt is bounded"
        );
    }
}
