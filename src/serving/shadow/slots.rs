//! The copies that one version scores now as a shadow, and since when each is past its deadline.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use super::super::route::Shadow;

const SLOTS: usize = Shadow::MOST_CONCURRENT as usize;

/// One slot for each copy that a version may score at one time. Belongs to the version, and survives changes of policy.
#[derive(Debug)]
pub(in super::super) struct ShadowSlots {
    epoch: Instant,
    /// 0 if free. Else twice the deadline in milliseconds after `epoch`, plus 1 once the copy was counted as overdue.
    deadlines: [AtomicU64; SLOTS],
}

impl Default for ShadowSlots {
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            deadlines: Default::default(),
        }
    }
}

/// A slot in use; free again when dropped.
#[derive(Debug)]
pub(super) struct Claim<'a>(&'a AtomicU64);

impl ShadowSlots {
    /// Claims one of the first `limit` slots for a copy with the deadline `expires`. Returns `None` if none is free.
    pub(super) fn claim(&self, limit: usize, expires: Instant) -> Option<Claim<'_>> {
        let value = self.millis(expires).max(1) * 2;
        let try_claim = |slot: &&AtomicU64| {
            slot.compare_exchange(0, value, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        };
        self.deadlines.iter().take(limit).find(try_claim).map(Claim)
    }

    /// Returns how many copies are past their deadline. Calls `count` for each of them that was not counted before, so once
    /// for each copy.
    pub(super) fn overdue(&self, now: Instant, mut count: impl FnMut()) -> usize {
        let now = self.millis(now);
        let mut overdue = 0;
        for slot in &self.deadlines {
            let value = slot.load(Ordering::Acquire);
            if value == 0 || value / 2 > now {
                continue;
            }
            overdue += 1;
            let is_first = value % 2 == 0
                && slot
                    .compare_exchange(value, value + 1, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok();
            if is_first {
                count();
            }
        }
        overdue
    }

    fn millis(&self, at: Instant) -> u64 {
        let since_epoch = at.saturating_duration_since(self.epoch).as_millis();
        u64::try_from(since_epoch)
            .unwrap_or(u64::MAX / 2)
            .min(u64::MAX / 2)
    }
}

impl Claim<'_> {
    /// Frees the slot. Returns whether its copy was counted as overdue.
    pub(super) fn release(self) -> bool {
        let was_counted = self.0.swap(0, Ordering::AcqRel) % 2 == 1;
        // Another copy may have claimed the slot already, so `drop` must not free it.
        std::mem::forget(self);
        was_counted
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Release);
    }
}
