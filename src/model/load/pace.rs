//! How fast loading goes: as fast as it can, or beside requests that must not notice.

use std::thread;
use std::time::Duration;

/// How much of the machine loading may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// All that it can get: nothing is served yet.
    #[default]
    Full,
    /// Half of one core: after each piece of work the loader rests as long as the piece took.
    Shared,
}

/// Shorter pieces count together with the next: going to sleep costs something itself.
const SHORTEST: Duration = Duration::from_micros(500);
/// Longest rest after one piece. A piece that took longer was itself kept waiting by the machine, not by its size.
const LONGEST: Duration = Duration::from_millis(100);

impl Pace {
    /// How long to rest after `worked`; `None`: not yet.
    fn rest_after(self, worked: Duration) -> Option<Duration> {
        match self {
            Self::Shared if worked >= SHORTEST => Some(worked.min(LONGEST)),
            Self::Shared | Self::Full => None,
        }
    }
}

/// Measures pieces of work and rests between them.
#[derive(Debug)]
pub(super) struct Throttle {
    pace: Pace,
    since: Clock,
}

#[expect(
    clippy::disallowed_types,
    reason = "loading runs on a plain thread and rests for real; tokio's clock belongs to a runtime"
)]
type Clock = std::time::Instant;

impl Throttle {
    pub(super) fn new(pace: Pace) -> Self {
        let since = Clock::now();
        Self { pace, since }
    }

    /// A piece of work is done: rests after it. A piece is a mebibyte of a file, as much or less of the weights, or
    /// one batch.
    #[expect(
        clippy::disallowed_methods,
        reason = "loading never runs on a thread that serves, and resting is what it should do here"
    )]
    pub(super) fn rest(&mut self) {
        if let Some(rest) = self.pace.rest_after(self.since.elapsed()) {
            thread::sleep(rest);
            self.since = Clock::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_shared_machine_is_given_half_of_the_time() {
        let ms = Duration::from_millis;
        for (pace, worked, want) in [
            (Pace::Full, ms(5), None),
            (Pace::Shared, Duration::from_micros(499), None),
            (Pace::Shared, ms(5), Some(ms(5))),
            (Pace::Shared, ms(5000), Some(LONGEST)),
        ] {
            assert_eq!(pace.rest_after(worked), want, "{pace:?} after {worked:?}");
        }
    }

    #[test]
    fn work_beside_requests_takes_twice_its_time() {
        let mut throttle = Throttle::new(Pace::Shared);
        let begin = Clock::now();
        while begin.elapsed() < Duration::from_millis(5) {
            std::hint::spin_loop();
        }
        throttle.rest();
        assert!(begin.elapsed() >= Duration::from_millis(10));
    }
}
