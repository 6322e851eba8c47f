//! What one version is computing for shadows now, and since when it is too late.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use super::super::route::Shadow;

const MOST: usize = Shadow::MOST_CONCURRENT as usize;

/// A place for each copy that may be computed at one time. Lives as long as the version does.
#[derive(Debug)]
pub struct Slots {
    epoch: Instant,
    /// 0: free. Else twice the milliseconds after `epoch` at which it is too late, and 1 more where that was counted.
    until: [AtomicU64; MOST],
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            until: Default::default(),
        }
    }
}

/// A place that is taken; free again when dropped.
#[derive(Debug)]
pub(super) struct Claim<'a>(&'a AtomicU64);

impl Slots {
    /// Takes one of the first `most` places for something that is too late at `expires`.
    pub(super) fn claim(&self, most: usize, expires: Instant) -> Option<Claim<'_>> {
        let value = self.millis(expires).max(1) * 2;
        let free = |slot: &&AtomicU64| {
            slot.compare_exchange(0, value, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        };
        self.until.iter().take(most).find(free).map(Claim)
    }

    /// How many are too late. `count` is called once for each, whoever sees it first.
    pub(super) fn overdue(&self, now: Instant, mut count: impl FnMut()) -> usize {
        let now = self.millis(now);
        let mut overdue = 0;
        for slot in &self.until {
            let value = slot.load(Ordering::Acquire);
            if value == 0 || value / 2 > now {
                continue;
            }
            overdue += 1;
            let first = value % 2 == 0
                && slot
                    .compare_exchange(value, value + 1, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok();
            if first {
                count();
            }
        }
        overdue
    }

    fn millis(&self, at: Instant) -> u64 {
        let passed = at.saturating_duration_since(self.epoch).as_millis();
        u64::try_from(passed)
            .unwrap_or(u64::MAX / 2)
            .min(u64::MAX / 2)
    }
}

impl Claim<'_> {
    /// Gives the place back and tells whether somebody has counted it as too late.
    pub(super) fn release(self) -> bool {
        let counted = self.0.swap(0, Ordering::AcqRel) % 2 == 1;
        // Somebody else may have taken it already.
        std::mem::forget(self);
        counted
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Release);
    }
}
