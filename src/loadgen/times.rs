//! How long things took.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Times to three digits, from a microsecond to a minute; what is longer counts as a minute. About 150 KiB.
#[derive(Clone, Debug)]
pub struct Times {
    /// Always there: [`SHORTEST`](Self::SHORTEST) and the others are bounds that a histogram may have.
    histogram: Option<Histogram<u64>>,
}

impl Default for Times {
    fn default() -> Self {
        let histogram =
            Histogram::new_with_bounds(Self::SHORTEST, Self::LONGEST, Self::DIGITS).ok();
        Self { histogram }
    }
}

impl Times {
    /// In nanoseconds.
    const SHORTEST: u64 = 1_000;
    /// In nanoseconds.
    const LONGEST: u64 = 60_000_000_000;
    /// That are right, in decimal.
    const DIGITS: u8 = 3;

    /// Counts one more.
    pub(super) fn record(&mut self, took: Duration) {
        if let Some(own) = &mut self.histogram {
            own.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// Counts all that `other` counted.
    pub fn add(&mut self, other: &Self) {
        if let (Some(own), Some(theirs)) = (&mut self.histogram, &other.histogram) {
            // Fails only where bounds differ, which they do not.
            let _ = own.add(theirs);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.as_ref().map_or(0, Histogram::len)
    }

    /// The time that a part of `quantile`, 0 to 1, did not exceed; 0 where there is none.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Duration {
        let value = |own: &Histogram<u64>| own.value_at_quantile(quantile).min(own.max());
        Duration::from_nanos(self.histogram.as_ref().map_or(0, value))
    }

    /// The longest; 0 where there is none.
    #[must_use]
    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.histogram.as_ref().map_or(0, Histogram::max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_right_to_three_digits_and_add_up() {
        let (mut first, mut second) = (Times::default(), Times::default());
        assert_eq!((first.count(), first.longest()), (0, Duration::ZERO));
        for millis in 1..=500 {
            first.record(Duration::from_millis(millis));
            second.record(Duration::from_millis(millis + 500));
        }
        first.add(&second);
        assert_eq!(first.count(), 1_000);
        for (quantile, want) in [(0.5, 0.5), (0.99, 0.99), (1.0, 1.0)] {
            let got = first.quantile(quantile).as_secs_f64();
            assert!((got / want - 1.0).abs() < 0.002, "{quantile}: {got}");
        }
    }

    #[test]
    fn a_time_of_hours_is_counted_and_not_lost() {
        let mut times = Times::default();
        times.record(Duration::from_secs(7_200));
        times.record(Duration::ZERO);
        assert_eq!(times.count(), 2);
        assert!(times.longest() >= Duration::from_secs(60));
    }
}
