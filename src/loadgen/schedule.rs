//! When the requests of an open loop are due. Pure: where the numbers come from is an argument.

use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

/// How an open loop spreads its requests over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// All gaps are alike, and the first request is due at once.
    Even,
    /// As from many callers that know nothing of each other: gaps are exponential, drawn from this seed. The same seed gives
    /// the same times on every machine.
    Poisson(u64),
}

/// The times at which requests are due, counted from the begin: ascending, all below the length.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    /// Requests a second.
    rate: f64,
    /// In seconds.
    length: f64,
    /// `None`: even gaps.
    drawn: Option<Xoshiro256PlusPlus>,
    /// Times given so far.
    given: u64,
    /// Where the last gap ended, in seconds.
    at: f64,
}

impl Schedule {
    /// `rate` requests a second, more than 0, for `length`.
    pub(super) fn new(arrivals: Arrivals, rate: f64, length: Duration) -> Self {
        let drawn = match arrivals {
            Arrivals::Even => None,
            Arrivals::Poisson(seed) => Some(Xoshiro256PlusPlus::seed_from_u64(seed)),
        };
        Self {
            rate,
            length: length.as_secs_f64(),
            drawn,
            given: 0,
            at: 0.0,
        }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.at = match &mut self.drawn {
            Some(drawn) => self.at + gap(drawn.random(), self.rate),
            // From the number and not from the time before, so that no error adds up.
            None => self.given as f64 / self.rate,
        };
        self.given += 1;
        (self.at < self.length).then(|| Duration::from_secs_f64(self.at))
    }
}

/// The gap in seconds that the number `unit`, in `[0, 1)`, stands for where gaps are exponential with mean `1 / rate`: the
/// inverse of `1 - exp(-rate * gap)`.
fn gap(unit: f64, rate: f64) -> f64 {
    -libm::log1p(-unit) / rate
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn even_arrivals_are_as_many_as_the_rate_says_and_do_not_drift() {
        let times: Vec<_> = Schedule::new(Arrivals::Even, 3_000.0, SECOND * 10).collect();
        assert_eq!(times.len(), 30_000);
        assert_eq!(times[0], Duration::ZERO);
        assert_eq!(times[3 * 3_000], SECOND * 3);
    }

    #[test]
    fn poisson_arrivals_keep_the_rate_and_its_spread() {
        let times: Vec<_> = Schedule::new(Arrivals::Poisson(7), 1_000.0, SECOND * 100).collect();
        // The number is Poisson too: 100,000 with a standard deviation of 316.
        assert!(times.len().abs_diff(100_000) < 4 * 316, "{}", times.len());
        let gaps: Vec<_> = times
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).as_secs_f64())
            .collect();
        let longer = gaps.iter().filter(|gap| **gap > 0.001).count() as f64 / gaps.len() as f64;
        let want = (-1.0_f64).exp();
        assert!((longer - want).abs() < 0.01, "{longer} of e^-1 {want}");
    }

    #[test]
    fn the_ends_of_the_unit_are_gaps_too() {
        for (unit, want, why) in [
            (0.0, 0.0, "at once"),
            (0.5, std::f64::consts::LN_2 / 4.0, "the median"),
        ] {
            assert!((gap(unit, 4.0) - want).abs() < 1e-12, "{unit}: {why}");
        }
        assert!(gap(1.0 - f64::EPSILON, 4.0).is_finite());
    }

    proptest! {
        #[test]
        fn times_ascend_and_end_before_the_length(
            rate in 0.1..50_000.0f64, millis in 1..500u64, seed: u64, even: bool
        ) {
            let arrivals = if even { Arrivals::Even } else { Arrivals::Poisson(seed) };
            let length = Duration::from_millis(millis);
            let times: Vec<_> = Schedule::new(arrivals, rate, length).collect();
            prop_assert!(times.is_sorted());
            prop_assert!(times.iter().all(|time| *time < length));
            if even {
                let want = (rate * length.as_secs_f64()).ceil();
                prop_assert!((times.len() as f64 - want).abs() <= 1.0, "{} of {want}", times.len());
            }
            prop_assert_eq!(times, Schedule::new(arrivals, rate, length).collect::<Vec<_>>());
        }
    }
}
