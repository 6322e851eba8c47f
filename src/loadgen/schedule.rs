//! The times at which the requests of an open loop are due. Pure functions: the seed is an argument.

use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

/// How an open loop spreads its requests over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// All gaps are equal, and the first request is due at once.
    Even,
    /// As from many independent callers: gaps are exponential, drawn with this seed. Equal seeds give equal times on every
    /// machine.
    Poisson(u64),
}

/// Iterator over the times at which requests are due, from the start of the phase: ascending, all below the length.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    /// Requests per second.
    rate: f64,
    /// In seconds.
    length: f64,
    /// `None`: even gaps.
    rng: Option<Xoshiro256PlusPlus>,
    /// Times returned so far.
    count: u64,
    /// The last time, in seconds.
    at: f64,
}

impl Schedule {
    /// A schedule of `rate` requests per second (more than 0) for `length`.
    pub(super) fn new(arrivals: Arrivals, rate: f64, length: Duration) -> Self {
        let rng = match arrivals {
            Arrivals::Even => None,
            Arrivals::Poisson(seed) => Some(Xoshiro256PlusPlus::seed_from_u64(seed)),
        };
        Self {
            rate,
            length: length.as_secs_f64(),
            rng,
            count: 0,
            at: 0.0,
        }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.at = match &mut self.rng {
            Some(rng) => self.at + gap(rng.random(), self.rate),
            // Computed from the count and not from the previous time, so that errors do not accumulate.
            None => self.count as f64 / self.rate,
        };
        self.count += 1;
        (self.at < self.length).then(|| Duration::from_secs_f64(self.at))
    }
}

/// Returns the exponential gap in seconds, with mean `1 / rate`, for the number `unit` in `[0, 1)`: the inverse of
/// `1 - exp(-rate * gap)`.
fn gap(unit: f64, rate: f64) -> f64 {
    -libm::log1p(-unit) / rate
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn even_arrivals_have_the_rate_and_do_not_drift() {
        let times: Vec<_> = Schedule::new(Arrivals::Even, 3_000.0, SECOND * 10).collect();
        assert_eq!(times.len(), 30_000);
        assert_eq!(times[0], Duration::ZERO);
        assert_eq!(times[3 * 3_000], SECOND * 3);
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_its_spread() {
        let times: Vec<_> = Schedule::new(Arrivals::Poisson(7), 1_000.0, SECOND * 100).collect();
        // The number of arrivals has a Poisson distribution too: 100,000 with a standard deviation of 316.
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
    fn the_ends_of_the_unit_interval_give_finite_gaps() {
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
