//! The estimated work of the compute pool.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Shortest pause that a refused client is asked to make before it tries again.
pub(super) const MIN_RETRY_AFTER: Duration = Duration::from_millis(1);

/// The estimated compute time of all requests that the pool has accepted. All queues of a pool share it.
#[derive(Debug)]
pub(super) struct PoolLoad {
    /// Threads that compute.
    threads: usize,
    /// Nanoseconds of all requests that wait or run.
    total: AtomicU64,
    /// Nanoseconds of one batch of each version that has waiting requests.
    round: AtomicU64,
}

impl PoolLoad {
    /// Creates the load of an idle pool of so many `threads`.
    pub(super) fn new(threads: usize) -> Self {
        Self {
            threads,
            total: AtomicU64::new(0),
            round: AtomicU64::new(0),
        }
    }

    /// Returns the number of threads that compute.
    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    /// Returns the compute time of all requests that wait or run, on one thread.
    pub(super) fn total(&self) -> Duration {
        Duration::from_nanos(self.total.load(Ordering::Relaxed))
    }

    /// Returns the compute time of one turn of every version that has waiting requests, on one thread.
    pub(super) fn round(&self) -> Duration {
        Duration::from_nanos(self.round.load(Ordering::Relaxed))
    }

    /// Adds the compute time of a request.
    pub(super) fn add(&self, share: Duration) {
        self.total.fetch_add(nanos(share), Ordering::Relaxed);
    }

    /// Subtracts the compute time of requests that were added before.
    pub(super) fn subtract(&self, share: Duration) {
        self.total.fetch_sub(nanos(share), Ordering::Relaxed);
    }

    /// Replaces what one version adds to a round. `old` is what the last call for that version added.
    pub(super) fn replace_turn(&self, old: Duration, new: Duration) {
        if old != new {
            // Added first, so that the sum never wraps below zero.
            self.round.fetch_add(nanos(new), Ordering::Relaxed);
            self.round.fetch_sub(nanos(old), Ordering::Relaxed);
        }
    }

    /// Returns how long the pool needs for all requests that wait or run now, and at least [`MIN_RETRY_AFTER`].
    pub(super) fn time_to_finish(&self) -> Duration {
        let threads = u32::try_from(self.threads).unwrap_or(u32::MAX).max(1);
        (self.total() / threads).max(MIN_RETRY_AFTER)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2)
}
