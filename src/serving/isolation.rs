//! Limits the passes that a version runs while a fallback is ready to answer in its place.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Isolated passes of one version that may run at one time, hanging ones included.
const MAX_PASSES: usize = 16;

/// The isolated passes of one version: each runs on a thread of its own, because it may never return.
#[derive(Debug)]
pub(super) struct FallbackIsolation {
    permits: Arc<Semaphore>,
    /// Passes that still run although their client no longer waits.
    abandoned: Arc<AtomicUsize>,
}

impl Default for FallbackIsolation {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(MAX_PASSES)),
            abandoned: Arc::default(),
        }
    }
}

impl FallbackIsolation {
    /// Returns whether abandoned passes hold every permit, so that waiting for one is pointless.
    pub(super) fn is_exhausted(&self) -> bool {
        self.abandoned.load(Ordering::Acquire) >= MAX_PASSES
    }

    /// Waits for a permit and returns the two sides of a new pass. Returns `None` if the semaphore is closed, which never
    /// happens.
    pub(super) async fn begin(&self) -> Option<(WaitingSide, ComputingSide)> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        let pass = Arc::new(IsolatedPass {
            abandoned: Arc::clone(&self.abandoned),
            ended_sides: AtomicUsize::new(0),
        });
        let waiting = WaitingSide(Arc::clone(&pass));
        let computing = ComputingSide {
            pass,
            _permit: permit,
        };
        Some((waiting, computing))
    }
}

/// One isolated pass, shared by the task that waits for it and the thread that computes it.
#[derive(Debug)]
struct IsolatedPass {
    abandoned: Arc<AtomicUsize>,
    /// How many of the two sides have ended.
    ended_sides: AtomicUsize,
}

impl IsolatedPass {
    /// Marks one side as ended. Returns whether the other one ended before.
    fn end_side(&self) -> bool {
        self.ended_sides.fetch_add(1, Ordering::AcqRel) == 1
    }
}

/// Dropped when the client no longer waits for the pass. Until the pass ends it then counts as abandoned.
#[derive(Debug)]
pub(super) struct WaitingSide(Arc<IsolatedPass>);

impl Drop for WaitingSide {
    fn drop(&mut self) {
        // Incremented first, so that the computing side never subtracts what is not yet added.
        self.0.abandoned.fetch_add(1, Ordering::AcqRel);
        if self.0.end_side() {
            self.0.abandoned.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Dropped when the pass has ended. Releases the permit.
#[derive(Debug)]
pub(super) struct ComputingSide {
    pass: Arc<IsolatedPass>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for ComputingSide {
    fn drop(&mut self) {
        if self.pass.end_side() {
            self.pass.abandoned.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pass_is_abandoned_from_the_end_of_the_wait_to_the_end_of_the_pass() {
        let isolation = FallbackIsolation::default();
        let abandoned = || isolation.abandoned.load(Ordering::Acquire);
        let (waiting, computing) = isolation.begin().await.unwrap();
        drop(waiting);
        assert_eq!(abandoned(), 1, "the pass still runs");
        drop(computing);
        assert_eq!(abandoned(), 0, "the pass has ended");
        let (waiting, computing) = isolation.begin().await.unwrap();
        drop(computing);
        drop(waiting);
        assert_eq!(abandoned(), 0, "the pass ended first");
    }

    #[tokio::test]
    async fn isolation_is_exhausted_when_every_pass_is_abandoned() {
        let isolation = FallbackIsolation::default();
        let mut computing_sides = Vec::new();
        for _ in 0..MAX_PASSES {
            assert!(!isolation.is_exhausted());
            let (_, computing) = isolation.begin().await.unwrap();
            computing_sides.push(computing);
        }
        assert!(isolation.is_exhausted());
        computing_sides.pop();
        assert!(!isolation.is_exhausted());
    }
}
