//! Kolmogorov and Smirnov: the largest difference of two distribution functions.

use super::super::{Distribution, Measured, as_f64};
use super::kolmogorov::survival;

/// The largest difference D of the two distribution functions, 0 to 1.
///
/// Both functions are known exactly at the ends of intervals that do not lie inside one of the other side; the low end is the
/// largest difference that is certain, so for two sketches D at the edges of buckets, and the high end adds what the intervals that both
/// share may hide. The guess also takes the current side's ends against the reference interpolated. Without values: 0.
#[must_use]
pub fn kolmogorov_smirnov(reference: &Distribution, current: &Distribution) -> Measured {
    if reference.count() == 0 || current.count() == 0 {
        return Measured::new(0.0, 0.0, 0.0);
    }
    let (mut value, mut low, mut high) = (0.0_f64, 0.0_f64, 0.0_f64);
    for x in reference.ends().chain(current.ends()) {
        for [one, two] in [
            [reference.below(x), current.below(x)],
            [reference.upto(x), current.upto(x)],
        ] {
            low = low.max(one.low - two.high).max(two.low - one.high);
            high = high.max(one.high - two.low).max(two.high - one.low);
            // Inside an interval of the current side nothing is guessed: a reference that has an atom at its edge would look far off.
            if two.low == two.high {
                value = value.max((one.guess - two.guess).abs());
            }
        }
    }
    let slack = reference.slack() + current.slack();
    Measured::new(value, (low - slack).max(0.0), (high + slack).min(1.0))
}

/// How likely a difference of `d` or more is between two samples of `one` and `two` values of the same continuous distribution:
/// the distribution of the one-sample statistic for `one two / (one + two)` values, rounded, as `scipy.stats.ks_2samp` with
/// `method="asymp"` has it. With ties the true probability is lower. 1 without values.
#[must_use]
pub fn two_sample_p(d: f64, one: u64, two: u64) -> f64 {
    if one == 0 || two == 0 {
        return 1.0;
    }
    let (one, two) = (as_f64(one), as_f64(two));
    // Divided first: the product of two counts may be beyond what f64 holds exactly.
    let effective = (one.max(two) / (one + two)) * one.min(two);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0.5 up to a count"
    )]
    let effective = effective.round_ties_even() as u64;
    survival(effective.max(1), d)
}
