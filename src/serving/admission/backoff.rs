//! When refused clients should come back: later and later while many are refused, and not all at the same time.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The shortest delay. Inexpensive requests end within it.
const SHORTEST: Duration = Duration::from_millis(50);
/// Each level doubles the delay.
const LEVELS: usize = 7;
/// Delays of one level, so that clients that are refused together come back one after the other.
const JITTERS: usize = 4;
/// How often the level may change.
const WINDOW: Duration = Duration::from_millis(100);
/// The fewest refusals in a window that are many.
const FEWEST_MANY: usize = 16;

/// How long refused clients should wait.
#[derive(Debug)]
pub struct Backoff {
    began: Instant,
    /// The most refusals in a window at which the level does not rise.
    many: usize,
    /// Number of the current window.
    window: AtomicU64,
    /// Refusals in it.
    refused: AtomicUsize,
    level: AtomicUsize,
}

impl Backoff {
    /// Number of different delays.
    pub const DELAYS: usize = LEVELS * JITTERS;

    /// Creates the backoff of a gateway with `max_in_flight` requests at one time.
    pub(super) fn new(max_in_flight: usize) -> Self {
        Self {
            began: Instant::now(),
            many: (max_in_flight / 16).max(FEWEST_MANY),
            window: AtomicU64::new(0),
            refused: AtomicUsize::new(0),
            level: AtomicUsize::new(0),
        }
    }

    /// Counts a refusal, and returns when its client should come back.
    pub(super) fn next(&self) -> Duration {
        let elapsed = self.began.elapsed().as_millis() / WINDOW.as_millis();
        let window = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let before = self.window.load(Ordering::Relaxed);
        let order = Ordering::Relaxed;
        if window > before
            && self
                .window
                .compare_exchange(before, window, order, order)
                .is_ok()
        {
            let refused = self.refused.swap(0, order);
            self.level
                .store(self.adapted(refused, window - before), order);
        }
        let count = self.refused.fetch_add(1, order);
        delay(self.level.load(order) * JITTERS + count % JITTERS)
    }

    /// Returns the level after a window with `refused` refusals. The last refusal came `windows` windows ago.
    fn adapted(&self, refused: usize, windows: u64) -> usize {
        let level = self.level.load(Ordering::Relaxed);
        if refused > self.many && windows == 1 {
            return (level + 1).min(LEVELS - 1);
        }
        let quiet = windows - 1 + u64::from(refused < self.many / 4);
        level.saturating_sub(usize::try_from(quiet).unwrap_or(usize::MAX))
    }

    /// Returns the number of a delay, below [`DELAYS`](Self::DELAYS); `None` for another duration.
    #[must_use]
    pub fn index_of(wanted: Duration) -> Option<usize> {
        (0..Self::DELAYS).find(|index| delay(*index) == wanted)
    }
}

/// Returns the delay with this number.
fn delay(index: usize) -> Duration {
    let (level, jitter) = (index / JITTERS, index % JITTERS);
    // At most 64 times 7.
    let quarters = u32::try_from((1 << level) * (JITTERS + jitter)).unwrap_or(u32::MAX);
    SHORTEST / 4 * quarters
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn delays_grow_while_many_are_refused_and_shrink_afterwards() {
        let backoff = Backoff::new(64);
        let mut level = 0;
        for _ in 0..10 {
            for count in 0..40 {
                let want = delay(level * JITTERS + count % JITTERS);
                assert_eq!(backoff.next(), want);
            }
            advance(WINDOW).await;
            level = (level + 1).min(LEVELS - 1);
        }
        assert_eq!(backoff.next(), delay((LEVELS - 1) * JITTERS));
        advance(WINDOW).await;
        assert_eq!(backoff.next(), delay((LEVELS - 2) * JITTERS));
        advance(10 * WINDOW).await;
        assert_eq!(backoff.next(), SHORTEST);
    }

    #[test]
    fn every_delay_has_its_own_number() {
        for index in 0..Backoff::DELAYS {
            assert_eq!(Backoff::index_of(delay(index)), Some(index));
        }
        assert_eq!(Backoff::index_of(Duration::ZERO), None);
    }
}
