//! Limits the CPU time of loading while requests are served.

use std::thread;
use std::time::Duration;

/// How fast loading runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// As fast as possible. For startup, when nothing is served yet.
    #[default]
    Full,
    /// At half of one core: after each piece of work, the loader rests for as long as the piece took.
    Shared,
}

/// The shortest duration of work that is followed by a rest. Shorter pieces are added to the next, because each sleep has a cost.
const SHORTEST: Duration = Duration::from_micros(500);
/// The longest rest. A piece that took longer was delayed by other processes, not by its size.
const LONGEST: Duration = Duration::from_millis(100);

impl Pace {
    /// Returns how long to rest after `worked`; `None`: continue without a rest.
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
    reason = "loading runs on a plain thread outside of any tokio runtime"
)]
type Clock = std::time::Instant;

impl Throttle {
    pub(super) fn new(pace: Pace) -> Self {
        let since = Clock::now();
        Self { pace, since }
    }

    /// Rests after a piece of work, if it is time to. A piece is a mebibyte of a file, at most a mebibyte of weights, or one batch.
    #[expect(
        clippy::disallowed_methods,
        reason = "loading never runs on a thread that serves requests"
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
    fn loading_rests_only_at_the_shared_pace() {
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
    fn work_at_the_shared_pace_takes_twice_its_time() {
        let mut throttle = Throttle::new(Pace::Shared);
        let begin = Clock::now();
        while begin.elapsed() < Duration::from_millis(5) {
            std::hint::spin_loop();
        }
        throttle.rest();
        assert!(begin.elapsed() >= Duration::from_millis(10));
    }
}
