//! Estimates how long a forward pass of a version takes, by its rows. Measured during warm-up and by each pass since.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// One estimate for each power of two up to 65,536 rows.
const POWERS: usize = 17;
/// The weight of a new measurement in the estimate.
const WEIGHT: f32 = 0.125;
/// A measurement that differs from the estimate by at most this share of it changes nothing, so that most passes only read.
const TOLERANCE: f32 = 0.125;
/// A measurement counts for at most this many times the estimate: if the thread was preempted, its time does not show the
/// cost of the pass.
const MAX_RATIO: f32 = 2.0;

/// The estimated duration of passes. Reading and learning take one or two plain loads and stores, and no lock; of two
/// measurements at the same moment one may be lost.
#[derive(Debug, Default)]
pub struct Costs {
    /// Nanoseconds of a pass of 2^k rows, as the bits of an `f32`; 0 if none was measured.
    passes: [AtomicU32; POWERS],
}

impl Costs {
    /// Creates estimates from measurements: rows, and the duration of their pass.
    #[must_use]
    pub fn of(measured: &[(usize, Duration)]) -> Self {
        let costs = Self::default();
        for (rows, took) in measured {
            costs.learn(*rows, *took);
        }
        costs
    }

    /// Records that a pass of so many `rows`, at least 1, took this long.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn learn(&self, rows: usize, took: Duration) {
        let power = power(rows);
        let nanos = took.as_secs_f32() * 1e9 * (1_usize << power) as f32 / rows.max(1) as f32;
        let cell = &self.passes[power];
        let old = f32::from_bits(cell.load(Ordering::Relaxed));
        let new = if old == 0.0 {
            nanos.max(1.0)
        } else if (nanos - old).abs() <= old * TOLERANCE {
            return;
        } else {
            old + (nanos.min(old * MAX_RATIO) - old) * WEIGHT
        };
        cell.store(new.to_bits(), Ordering::Relaxed);
    }

    /// Returns how long a pass of so many `rows` takes; `None` if no pass was measured.
    ///
    /// If no pass of this size was measured, the estimate is that of the next smaller size, with the same time for each row.
    /// It is never longer than the estimate of a larger pass, so passes of any larger size correct a measurement that was made
    /// once on a busy machine.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn estimate(&self, rows: usize) -> Option<Duration> {
        let at = |power: usize| match f32::from_bits(self.passes[power].load(Ordering::Relaxed)) {
            0.0 => None,
            nanos => Some((power, nanos)),
        };
        let own = power(rows);
        let measured = (0..=own).rev().find_map(at);
        let scaled = measured.map(|(power, nanos)| nanos * rows as f32 / (1_usize << power) as f32);
        let larger = (own + 1..POWERS).filter_map(at).map(|(_, nanos)| nanos);
        let least = scaled.into_iter().chain(larger).reduce(f32::min)?;
        Some(Duration::from_nanos(whole(least)))
    }
}

fn power(rows: usize) -> usize {
    (rows.max(1).ilog2() as usize).min(POWERS - 1)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive, and larger values are years"
)]
fn whole(nanos: f32) -> u64 {
    nanos as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    #[test]
    fn a_size_that_was_not_measured_is_estimated_from_others() {
        assert_eq!(Costs::default().estimate(1), None);
        let costs = Costs::of(&[(1, us(10)), (8, us(40)), (1_000, us(2_000))]);
        for (rows, want) in [(1, 10), (3, 30), (4, 40), (8, 40), (12, 60), (16, 80)] {
            assert_eq!(costs.estimate(rows), Some(us(want)), "{rows} rows");
        }
        let large = costs.estimate(2_000).unwrap();
        assert!(large.abs_diff(us(4_000)) < us(2), "{large:?}");
        let single = Costs::of(&[(64, us(100))]);
        assert_eq!(
            single.estimate(1),
            Some(us(100)),
            "at most the estimate of a larger pass"
        );
        assert!(costs.estimate(usize::MAX).is_some() && costs.estimate(0).is_some());
    }

    #[test]
    fn fewer_rows_never_take_longer_than_more_rows() {
        let costs = Costs::of(&[(1, us(1_000_000)), (2, us(900_000))]);
        costs.learn(8, us(5_000));
        for rows in [1, 2, 7, 8] {
            let got = costs.estimate(rows).unwrap();
            assert!(got <= us(5_000), "{rows} rows: {got:?}");
        }
    }

    #[test]
    fn one_preempted_pass_moves_the_estimate_little_and_a_lasting_change_moves_it_fully() {
        let costs = Costs::of(&[(1, us(10))]);
        costs.learn(1, Duration::from_secs(1));
        let after = costs.estimate(1).unwrap();
        assert!(after <= us(12), "{after:?}");
        for _ in 0..100 {
            costs.learn(1, us(1_000));
        }
        let grown = costs.estimate(1).unwrap();
        assert!(grown > us(850) && grown <= us(1_001), "{grown:?}");
        for _ in 0..100 {
            costs.learn(1, us(10));
        }
        let shrunk = costs.estimate(1).unwrap();
        assert!(shrunk < us(12), "{shrunk:?}");
    }

    proptest! {
        #[test]
        fn an_estimate_lies_between_the_measurements(rows in 1_usize..70_000, took in proptest::collection::vec(1_u64..1_000_000, 1..50)) {
            let costs = Costs::default();
            for nanos in &took {
                costs.learn(rows, Duration::from_nanos(*nanos));
            }
            let got = costs.estimate(rows).unwrap().as_nanos() as f64;
            let (least, most) = (*took.iter().min().unwrap() as f64, *took.iter().max().unwrap() as f64);
            prop_assert!(got >= least * 0.99 - 2.0 && got <= most * 1.01 + 2.0, "{got} of {took:?}");
        }
    }
}
