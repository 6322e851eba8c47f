//! The Wasserstein distance: how far values must be moved, on average, to turn one distribution into the other.

use super::super::distribution::Distribution;
use super::super::estimate::Estimate;

/// Returns the Wasserstein distance of order 1, in the unit of the feature: the area between the two distribution functions.
///
/// The estimate assumes that values are spread evenly within their intervals. Then each is off by at most half the width of its
/// interval, on average. The error of the distance is at most the sum of these averages over both sides. The bounds never exceed the
/// largest `f64`. Without values the distance is 0.
#[must_use]
pub fn wasserstein(reference: &Distribution, current: &Distribution) -> Estimate {
    let (Some(one), Some(two)) = (reference.span(), current.span()) else {
        return Estimate::new(0.0, 0.0, 0.0);
    };
    let mut ends: Vec<f64> = reference.ends().chain(current.ends()).collect();
    ends.sort_by(f64::total_cmp);
    ends.dedup();
    let strips = ends.windows(2).map(|pair| {
        let at_left = reference.up_to(pair[0]).estimate - current.up_to(pair[0]).estimate;
        let at_right = reference.below(pair[1]).estimate - current.below(pair[1]).estimate;
        (pair[1] / 2.0 - pair[0] / 2.0) * mean_magnitude(at_left, at_right)
    });
    // Everything is halved, because the widest span is twice the largest `f64`.
    let value: f64 = strips.sum();
    let span = one.1.max(two.1) / 2.0 - one.0.min(two.0) / 2.0;
    let slack = (reference.slack() + current.slack()) * span;
    let bound = (reference.mean_half_width() + current.mean_half_width()) / 2.0 + slack;
    let whole = |half: f64| (2.0 * half).min(f64::MAX);
    let low = (value - bound).max(0.0);
    Estimate::new(whole(value), whole(low), whole(value + bound))
}

/// Returns the mean of `|f|` for a linear `f` from `left` to `right`.
fn mean_magnitude(left: f64, right: f64) -> f64 {
    if left * right >= 0.0 {
        return (left + right).abs() / 2.0;
    }
    (left * left + right * right) / (2.0 * (left.abs() + right.abs()))
}
