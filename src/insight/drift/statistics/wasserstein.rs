//! Wasserstein: how far values have to be moved, on average, to turn one distribution into the other.

use super::super::{Distribution, Measured};

/// The Wasserstein distance of order 1, in the feature's own unit: the area between the two distribution functions.
///
/// Within an interval values are guessed to be spread evenly; each is then off by half its interval's width at most on
/// average, so the distance by the sum of these over both sides. Never more than the largest number. Without values: 0.
#[must_use]
pub fn wasserstein(reference: &Distribution, current: &Distribution) -> Measured {
    let (Some(one), Some(two)) = (reference.span(), current.span()) else {
        return Measured::new(0.0, 0.0, 0.0);
    };
    let mut ends: Vec<f64> = reference.ends().chain(current.ends()).collect();
    ends.sort_by(f64::total_cmp);
    ends.dedup();
    let strips = ends.windows(2).map(|pair| {
        let at_left = reference.upto(pair[0]).guess - current.upto(pair[0]).guess;
        let at_right = reference.below(pair[1]).guess - current.below(pair[1]).guess;
        (pair[1] / 2.0 - pair[0] / 2.0) * mean_magnitude(at_left, at_right)
    });
    // All halved, because the widest span is twice the largest number.
    let value: f64 = strips.sum();
    let span = one.1.max(two.1) / 2.0 - one.0.min(two.0) / 2.0;
    let slack = (reference.slack() + current.slack()) * span;
    let bound = (reference.mean_half_width() + current.mean_half_width()) / 2.0 + slack;
    let whole = |half: f64| (2.0 * half).min(f64::MAX);
    let low = (value - bound).max(0.0);
    Measured::new(whole(value), whole(low), whole(value + bound))
}

/// The mean of `|f|` where `f` goes straight from `left` to `right`.
fn mean_magnitude(left: f64, right: f64) -> f64 {
    if left * right >= 0.0 {
        return (left + right).abs() / 2.0;
    }
    (left * left + right * right) / (2.0 * (left.abs() + right.abs()))
}
