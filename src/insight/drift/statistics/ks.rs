//! The Kolmogorov-Smirnov statistic: the largest difference of two distribution functions.

use super::super::count::as_f64;
use super::super::distribution::Distribution;
use super::super::estimate::Estimate;
use super::kolmogorov::survival;

/// Returns the largest difference D of the two distribution functions, 0 to 1. Without values it is 0.
///
/// Both functions are known exactly at the ends of those intervals that do not lie within an interval of the other side. The lower
/// bound is the largest difference that is certain: for two sketches, D at the edges of buckets. The upper bound adds the largest
/// difference that intervals of both sides may hide. The estimate also compares the ends of the current side with the interpolated
/// reference.
#[must_use]
pub fn kolmogorov_smirnov(reference: &Distribution, current: &Distribution) -> Estimate {
    if reference.count() == 0 || current.count() == 0 {
        return Estimate::new(0.0, 0.0, 0.0);
    }
    let (mut value, mut low, mut high) = (0.0_f64, 0.0_f64, 0.0_f64);
    for x in reference.ends().chain(current.ends()) {
        for [one, two] in [
            [reference.below(x), current.below(x)],
            [reference.up_to(x), current.up_to(x)],
        ] {
            low = low.max(one.low - two.high).max(two.low - one.high);
            high = high.max(one.high - two.low).max(two.high - one.low);
            // Within an interval of the current side nothing is estimated: a reference with an atom at its edge would seem far away.
            if two.low == two.high {
                value = value.max((one.estimate - two.estimate).abs());
            }
        }
    }
    let slack = reference.slack() + current.slack();
    Estimate::new(value, (low - slack).max(0.0), (high + slack).min(1.0))
}

/// Returns the probability of a difference of at least `d` between two samples of `one` and `two` values from the same continuous
/// distribution. It uses the distribution of the one-sample statistic for `one two / (one + two)` values, rounded, as
/// `scipy.stats.ks_2samp` with `method="asymp"`. With ties the true probability is lower. Without values it is 1.
#[must_use]
pub fn two_sample_p(d: f64, one: u64, two: u64) -> f64 {
    if one == 0 || two == 0 {
        return 1.0;
    }
    let [larger, smaller] = [one.max(two), one.min(two)].map(as_f64);
    // Divide first: the product of two counts may be too large to be exact as `f64`.
    let effective = (larger / (larger + smaller)) * smaller;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0.5 up to a count"
    )]
    let rounded = effective.round_ties_even() as u64;
    survival(rounded.max(1), d)
}
