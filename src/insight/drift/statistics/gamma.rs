//! The incomplete gamma function, from which the chi-squared distribution follows.

/// A bound on the steps. Neither expansion takes as many for a table of a few thousand cells.
const MOST_STEPS: u32 = 100_000;

/// Returns the regularised upper incomplete gamma function Q(a, x), for `a > 0` and `x >= 0`. It uses the series below `a + 1` and the
/// continued fraction from there on (Abramowitz and Stegun 6.5.29 and 6.5.31, the latter by Lentz's method).
pub(super) fn upper(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let front = libm::exp(a * libm::log(x) - x - libm::lgamma(a));
    let result = if x < a + 1.0 {
        1.0 - front * series(a, x)
    } else {
        front * fraction(a, x)
    };
    result.clamp(0.0, 1.0)
}

fn series(a: f64, x: f64) -> f64 {
    let (mut term, mut sum) = (1.0 / a, 1.0 / a);
    for step in 1..MOST_STEPS {
        term *= x / (a + f64::from(step));
        sum += term;
        if term < sum * f64::EPSILON {
            break;
        }
    }
    sum
}

fn fraction(a: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away_from_zero = |x: f64| if x.abs() < TINY { TINY } else { x };
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / away_from_zero(b);
    let mut result = d;
    for step in 1..MOST_STEPS {
        let step = f64::from(step);
        let numerator = -step * (step - a);
        b += 2.0;
        d = 1.0 / away_from_zero(numerator * d + b);
        c = away_from_zero(b + numerator / c);
        result *= c * d;
        if (c * d - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    result
}
