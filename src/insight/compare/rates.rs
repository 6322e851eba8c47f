//! Confidence intervals of a rate, and of the difference between two rates. Pure.
//!
//! A rate is a share of independent trials. Rows of one request, or requests of one client, are correlated, so the actual uncertainty
//! is somewhat larger than these intervals say. Not here: tests of distributions ([`numbers`](super::numbers)).

/// The normal quantile at 97.5 per cent: intervals contain the true value in 95 of 100 cases.
pub const Z: f64 = 1.959_963_984_540_054;

/// A number with its 95 per cent confidence interval: `low <= value <= high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The observed number.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// A number of trials, and how many of them had one result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Trials with that result; never more than `total`.
    pub count: u64,
    /// All trials.
    pub total: u64,
}

impl Rate {
    /// Returns Wilson's score interval of the rate, 0 to 1 (Wilson 1927, without correction for continuity). It is accurate for few
    /// trials and for rates of 0 and 1. `None` without trials.
    #[must_use]
    pub fn wilson(self) -> Option<Interval> {
        if self.total == 0 {
            return None;
        }
        let n = as_f64(self.total);
        let value = as_f64(self.count.min(self.total)) / n;
        let z2 = Z * Z;
        let middle = value + z2 / (2.0 * n);
        let half = Z * (value * (1.0 - value) / n + z2 / (4.0 * n * n)).sqrt();
        let scale = 1.0 + z2 / n;
        Some(Interval {
            value,
            low: ((middle - half) / scale).clamp(0.0, value),
            high: ((middle + half) / scale).clamp(value, 1.0),
        })
    }

    /// Returns `other` minus this rate, -1 to 1, with Newcombe's hybrid interval of two independent rates (Newcombe 1998, *Interval estimation
    /// for the difference between independent proportions*, Stat. Med. 17, method 10). `None` if either has no trials.
    #[must_use]
    pub fn difference_to(self, other: Self) -> Option<Interval> {
        let (one, two) = (self.wilson()?, other.wilson()?);
        let value = two.value - one.value;
        let below = libm::hypot(two.value - two.low, one.high - one.value);
        let above = libm::hypot(two.high - two.value, one.value - one.low);
        Some(Interval {
            value,
            low: (value - below).max(-1.0),
            high: (value + above).min(1.0),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(count: u64, total: u64) -> Rate {
        Rate { count, total }
    }

    fn near(got: f64, want: f64) -> bool {
        (got - want).abs() < 1e-12
    }

    /// The expected values come from `statsmodels.stats.proportion.proportion_confint(method="wilson")`; 81 of 263, 15 of 148, 0 of 20 and 1 of 29 are
    /// the examples of Newcombe 1998 (*Two-sided confidence intervals for the single proportion*), table I.
    #[test]
    fn wilsons_interval_agrees_with_the_literature() {
        for (count, total, low, high) in [
            (81, 263, 0.255_288_519_878_274_2, 0.366_209_576_982_800_04),
            (15, 148, 0.062_386_399_530_736_28, 0.160_487_241_723_308_03),
            (0, 20, 0.0, 0.161_125_158_052_819_4),
            (1, 29, 0.006_113_214_292_762_667, 0.171_755_218_793_202_94),
            (10, 10, 0.722_467_200_137_110_6, 1.0),
            (
                250,
                10_000,
                0.022_117_561_585_524_42,
                0.028_247_236_866_618_34,
            ),
            (
                3,
                1_000_000,
                1.020_271_240_968_123_2e-6,
                8.821_149_774_312_438e-6,
            ),
        ] {
            let got = rate(count, total).wilson().unwrap();
            assert!(
                near(got.low, low) && near(got.high, high),
                "{count} of {total}: {got:?}"
            );
        }
        assert_eq!(Rate::default().wilson(), None);
    }

    /// The expected values come from `statsmodels.stats.proportion.confint_proportions_2indep(method="newcomb")`; the first seven are the examples of Newcombe
    /// 1998, table II, which subtracts the second rate from the first.
    #[test]
    fn newcombes_interval_agrees_with_the_literature() {
        for (one, two, low, high) in [
            (
                (48, 80),
                (56, 70),
                0.052_431_472_402_364_98,
                0.333_872_654_036_906_34,
            ),
            (
                (3, 10),
                (9, 10),
                0.170_522_723_934_502_9,
                0.809_017_973_535_488,
            ),
            (
                (2, 7),
                (6, 7),
                0.058_227_927_482_312_09,
                0.806_249_637_524_227_8,
            ),
            (
                (0, 29),
                (5, 56),
                -0.038_137_147_903_536_936,
                0.192_560_013_855_111_65,
            ),
            (
                (0, 20),
                (0, 10),
                -0.161_125_158_052_819_4,
                0.277_532_799_862_889_26,
            ),
            (
                (0, 10),
                (0, 10),
                -0.277_532_799_862_889_26,
                0.277_532_799_862_889_26,
            ),
            ((0, 20), (10, 10), 0.679_086_037_141_914_5, 1.0),
            ((0, 10), (10, 10), 0.607_509_350_430_524_1, 1.0),
            (
                (150, 9_000),
                (120, 10_000),
                -0.008_129_520_641_196_923,
                -0.001_288_931_151_950_655_3,
            ),
        ] {
            let got = rate(one.0, one.1)
                .difference_to(rate(two.0, two.1))
                .unwrap();
            assert!(
                near(got.low, low) && near(got.high, high),
                "{one:?} to {two:?}: {got:?}"
            );
        }
        assert_eq!(rate(1, 2).difference_to(Rate::default()), None);
    }

    proptest! {
        #[test]
        fn intervals_contain_the_observed_rate_and_are_symmetric(
            (one, n) in (1_u64..5_000).prop_flat_map(|n| (0..=n, Just(n))),
            (two, m) in (1_u64..5_000).prop_flat_map(|m| (0..=m, Just(m))),
        ) {
            let (one, two) = (rate(one, n), rate(two, m));
            let wilson = one.wilson().unwrap();
            prop_assert!(0.0 <= wilson.low && wilson.low <= wilson.value);
            prop_assert!(wilson.value <= wilson.high && wilson.high <= 1.0);
            let (there, back) = (one.difference_to(two).unwrap(), two.difference_to(one).unwrap());
            prop_assert!(there.low <= there.value && there.value <= there.high);
            prop_assert!(near(there.low, -back.high) && near(there.high, -back.low));
        }
    }
}
