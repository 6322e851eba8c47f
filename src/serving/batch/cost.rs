//! What a forward pass of a version takes, by its rows: measured when it was warmed up, and with each pass since.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// One estimate for each power of two up to 65,536 rows.
const POWERS: usize = 17;
/// A new measurement counts for so much of the estimate.
const WEIGHT: f32 = 0.125;
/// What is nearer to the estimate than this share of it changes nothing, so that most passes only read.
const NEAR: f32 = 0.125;
/// Measurements count for at most so many times the estimate: a thread that was put aside for a while says nothing about
/// the network.
const MOST: f32 = 2.0;

/// What a pass takes, learnt. Reading and learning are one or two plain loads and stores, without a lock; of two who learn at
/// the same moment one may be lost.
#[derive(Debug, Default)]
pub struct Costs {
    /// Nanoseconds of a pass of 2^k rows, the bits of an `f32`; 0 where none was measured.
    passes: [AtomicU32; POWERS],
}

impl Costs {
    /// What was `measured`: rows, and how long their pass took.
    #[must_use]
    pub fn of(measured: &[(usize, Duration)]) -> Self {
        let costs = Self::default();
        for (rows, took) in measured {
            costs.learn(*rows, *took);
        }
        costs
    }

    /// A pass of so many `rows`, at least 1, took so long.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn learn(&self, rows: usize, took: Duration) {
        let power = power(rows);
        let nanos = took.as_secs_f32() * 1e9 * (1_usize << power) as f32 / rows.max(1) as f32;
        let cell = &self.passes[power];
        let old = f32::from_bits(cell.load(Ordering::Relaxed));
        let new = if old == 0.0 {
            nanos.max(1.0)
        } else if (nanos - old).abs() <= old * NEAR {
            return;
        } else {
            old + (nanos.min(old * MOST) - old) * WEIGHT
        };
        cell.store(new.to_bits(), Ordering::Relaxed);
    }

    /// How long a pass of so many `rows` takes. Where no such pass was measured, by the nearest smaller one, as if each row
    /// took as long; and never longer than a pass of more rows, so that what was measured once on a busy machine is put right by
    /// passes of any size above. `None` where nothing was measured.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn estimate(&self, rows: usize) -> Option<Duration> {
        let at = |power: usize| match f32::from_bits(self.passes[power].load(Ordering::Relaxed)) {
            0.0 => None,
            nanos => Some((power, nanos)),
        };
        let own = power(rows);
        let smaller = (0..=own).rev().find_map(at);
        let smaller = smaller.map(|(power, nanos)| nanos * rows as f32 / (1_usize << power) as f32);
        let larger = (own + 1..POWERS).filter_map(at).map(|(_, nanos)| nanos);
        let least = smaller.into_iter().chain(larger).reduce(f32::min)?;
        Some(Duration::from_nanos(whole(least)))
    }
}

fn power(rows: usize) -> usize {
    (rows.max(1).ilog2() as usize).min(POWERS - 1)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive, and what does not fit is years"
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
    fn what_was_not_measured_is_estimated_from_what_was() {
        assert_eq!(Costs::default().estimate(1), None);
        let costs = Costs::of(&[(1, us(10)), (8, us(40)), (1_000, us(2_000))]);
        for (rows, want) in [(1, 10), (3, 30), (4, 40), (8, 40), (12, 60), (16, 80)] {
            assert_eq!(costs.estimate(rows), Some(us(want)), "{rows} rows");
        }
        let large = costs.estimate(2_000).unwrap();
        assert!(large.abs_diff(us(4_000)) < us(2), "{large:?}");
        let only = Costs::of(&[(64, us(100))]);
        assert_eq!(only.estimate(1), Some(us(100)), "no more than a larger one");
        assert!(costs.estimate(usize::MAX).is_some() && costs.estimate(0).is_some());
    }

    #[test]
    fn fewer_rows_never_take_longer_than_more() {
        let costs = Costs::of(&[(1, us(1_000_000)), (2, us(900_000))]);
        costs.learn(8, us(5_000));
        for rows in [1, 2, 7, 8] {
            let got = costs.estimate(rows).unwrap();
            assert!(got <= us(5_000), "{rows} rows: {got:?}");
        }
    }

    #[test]
    fn a_pass_that_was_put_aside_moves_the_estimate_little_and_what_stays_moves_it_all_the_way() {
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
        fn an_estimate_lies_among_what_was_measured(rows in 1_usize..70_000, took in proptest::collection::vec(1_u64..1_000_000, 1..50)) {
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
