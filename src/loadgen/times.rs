//! A histogram of times.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Histogram of times with three significant digits, from a microsecond to a minute. Longer times count as a minute. Takes about 150
/// KiB.
#[derive(Clone, Debug)]
pub struct Times {
    /// Never `None`: the bounds ([`SHORTEST`](Self::SHORTEST) and so on) are valid.
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
    /// Shortest time in nanoseconds.
    const SHORTEST: u64 = 1_000;
    /// Longest time in nanoseconds.
    const LONGEST: u64 = 60_000_000_000;
    /// Significant decimal digits.
    const DIGITS: u8 = 3;

    /// Adds a time.
    pub(super) fn record(&mut self, took: Duration) {
        if let Some(own) = &mut self.histogram {
            own.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// Adds all times in `other`.
    pub fn add(&mut self, other: &Self) {
        if let (Some(own), Some(theirs)) = (&mut self.histogram, &other.histogram) {
            // Only fails for different bounds.
            let _ = own.add(theirs);
        }
    }

    /// Returns the number of times.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.as_ref().map_or(0, Histogram::len)
    }

    /// Returns the time that a share of `quantile` (0 to 1) of the times does not exceed; 0 without times.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Duration {
        let value = |own: &Histogram<u64>| own.value_at_quantile(quantile).min(own.max());
        Duration::from_nanos(self.histogram.as_ref().map_or(0, value))
    }

    /// Returns the longest time; 0 without times.
    #[must_use]
    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.histogram.as_ref().map_or(0, Histogram::max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_have_three_digits_after_adding() {
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
    fn a_time_beyond_the_range_is_counted() {
        let mut times = Times::default();
        times.record(Duration::from_secs(7_200));
        times.record(Duration::ZERO);
        assert_eq!(times.count(), 2);
        assert!(times.longest() >= Duration::from_secs(60));
    }
}
