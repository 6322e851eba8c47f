//! The distribution of Kolmogorov's statistic.
//!
//! The choice among the formulas follows Simard and L'Ecuyer 2011 (*Computing the two-sided Kolmogorov-Smirnov distribution*, J. Stat.
//! Softw. 39(11)), as in scipy. The result is exact where that is inexpensive. Elsewhere it uses the series of Pelz and Good 1976 for the
//! middle of the distribution, and twice the one-sided distribution for the tail. It agrees with scipy within 1e-9 up to 100,000
//! values and within 1e-7 above.

use std::f64::consts::PI;

use super::super::count::as_f64;

/// Up to this many values the exact matrix is inexpensive, provided that its side is small.
const MATRIX_VALUES: u64 = 10_000;
/// Up to this many values no series is used.
const SMALL: u64 = 140;
/// Above this many values, the sum over all values is replaced by its limit. The relative error is of the order of `1 / SUM_VALUES`.
const SUM_VALUES: u64 = 100_000;

/// Returns the probability that the largest difference between a continuous distribution and `n` values drawn from it is at least `d`.
#[must_use]
pub fn survival(n: u64, d: f64) -> f64 {
    let size = as_f64(n);
    let (t, z2) = (size * d, size * d * d);
    let tail = if n == 0 || t <= 0.5 {
        1.0
    } else if d >= 1.0 || z2 >= 370.0 {
        0.0
    } else if t >= size - 1.0 {
        2.0 * libm::pow(1.0 - d, size)
    } else if d >= 0.5 || z2 >= if n <= SMALL { 4.0 } else { 2.2 } {
        2.0 * one_sided(n, d)
    } else if n <= SMALL || (n <= MATRIX_VALUES && size * libm::pow(d, 1.5) <= 1.4) {
        1.0 - matrix(n, d)
    } else {
        1.0 - series(size, d)
    };
    tail.clamp(0.0, 1.0)
}

/// Returns the probability that the largest difference in one direction is at least `d` (Birnbaum and Tingey 1951). All terms are
/// positive, so no precision is lost to cancellation.
fn one_sided(n: u64, d: f64) -> f64 {
    let size = as_f64(n);
    if n > SUM_VALUES {
        // Maag and Dicaire 1971.
        let x = 6.0 * size * d + 1.0;
        return libm::exp(-x * x / (18.0 * size));
    }
    let all = libm::lgamma(size + 1.0);
    let terms = (0..n).map(as_f64).take_while(|j| *j <= size * (1.0 - d));
    let each = terms.map(|j| {
        let rest = 1.0 - d - j / size;
        if rest <= 0.0 {
            return 0.0;
        }
        let choose = all - libm::lgamma(j + 1.0) - libm::lgamma(size - j + 1.0);
        libm::exp(choose + (j - 1.0) * libm::log(d + j / size) + (size - j) * libm::log(rest))
    });
    d * each.sum::<f64>()
}

/// Returns the distribution function, exactly (Durbin 1973; Marsaglia, Tsang and Wang 2003): an entry of the `n`-th power of a matrix
/// whose side is about `2 n d`. The power is scaled in each step, because it exceeds the range of `f64`.
fn matrix(n: u64, d: f64) -> f64 {
    let size = as_f64(n);
    let t = size * d;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most a few dozen"
    )]
    let k = t.floor() as usize + 1;
    let (side, h) = (2 * k - 1, as_f64(k as u64) - t);
    let mut step = vec![0.0; side * side];
    for row in 0..side {
        for column in 0..side.min(row + 2) {
            step[row * side + column] = 1.0;
        }
    }
    for at in 0..side {
        step[at * side] -= libm::pow(h, as_f64(at as u64 + 1));
        step[(side - 1) * side + at] -= libm::pow(h, as_f64((side - at) as u64));
    }
    if h > 0.5 {
        step[(side - 1) * side] += libm::pow(2.0 * h - 1.0, as_f64(side as u64));
    }
    for row in 0..side {
        let mut factorial = 1.0;
        for column in (0..=row).rev() {
            factorial *= as_f64((row - column + 1) as u64);
            step[row * side + column] /= factorial;
        }
    }
    let (power, exponent) = raised(&step, side, n);
    // n! / n^n, in logarithms.
    let scale = libm::lgamma(size + 1.0) - size * libm::log(size);
    power[(k - 1) * side + k - 1] * libm::exp(scale + exponent)
}

/// Returns `step` to the power `n`, as a matrix and the logarithm of its factor.
fn raised(step: &[f64], side: usize, n: u64) -> (Vec<f64>, f64) {
    let mut result: Vec<f64> = (0..side * side)
        .map(|at| if at % (side + 1) == 0 { 1.0 } else { 0.0 })
        .collect();
    let mut logarithm = 0.0;
    for bit in (0..u64::BITS - n.leading_zeros()).rev() {
        result = product(&result, &result, side);
        logarithm *= 2.0;
        if n >> bit & 1 == 1 {
            result = product(&result, step, side);
        }
        let largest = result.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        result.iter_mut().for_each(|entry| *entry /= largest);
        logarithm += libm::log(largest);
    }
    (result, logarithm)
}

fn product(one: &[f64], two: &[f64], side: usize) -> Vec<f64> {
    let mut result = vec![0.0; side * side];
    for (row, out) in one.chunks(side).zip(result.chunks_mut(side)) {
        for (factor, line) in row.iter().zip(two.chunks(side)) {
            for (sum, entry) in out.iter_mut().zip(line) {
                *sum += factor * entry;
            }
        }
    }
    result
}

/// Returns the distribution function up to terms of `n^-3/2` (Pelz and Good 1976, the form for small arguments).
fn series(n: f64, d: f64) -> f64 {
    let z = d * n.sqrt();
    let power = |exponent: i32| z.powi(exponent);
    let (z2, z4, z6) = (power(2), power(4), power(6));
    let (pi2, pi4, pi6) = (PI * PI, PI.powi(4), PI.powi(6));
    let mut sums = [0.0_f64; 4];
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a few dozen at most, since z is"
    )]
    let terms = (16.0 * z / PI).ceil() as i32;
    for k in (1..=terms).map(f64::from) {
        let m2 = (2.0 * k - 1.0) * (2.0 * k - 1.0);
        let weight = libm::exp(-m2 * pi2 / (8.0 * z2));
        sums[0] += weight;
        sums[1] += weight * (pi2 / 4.0 * m2 - z2);
        sums[2] += weight
            * (6.0 * z6
                + 2.0 * z4
                + (2.0 * z4 - 5.0 * z2) * pi2 / 4.0 * m2
                + pi4 * (1.0 - 2.0 * z2) / 16.0 * m2 * m2);
        sums[3] += weight
            * (-30.0 * z6 - 90.0 * power(8)
                + pi2 * (135.0 * z4 - 96.0 * z6) / 4.0 * m2
                + pi4 * (212.0 * z4 - 60.0 * z2) / 16.0 * m2 * m2
                + pi6 * (5.0 - 30.0 * z2) / 64.0 * m2 * m2 * m2);
    }
    let root = (2.0 * PI).sqrt();
    let divisors = [z, 6.0 * z4, 72.0 * power(7), 6480.0 * power(10)];
    for (sum, divisor) in sums.iter_mut().zip(divisors) {
        *sum *= root / divisor;
    }
    for k in (1..=terms).map(f64::from) {
        let k2 = k * k;
        let weight = k2 * libm::exp(-pi2 * k2 / (2.0 * z2));
        sums[2] -= weight * pi2 * root / (36.0 * power(3));
        sums[3] += weight * (3.0 * z2 - pi2 * k2) * pi2 * root / (216.0 * z6);
    }
    sums[0] + sums[1] / n.sqrt() + sums[2] / n + sums[3] / (n * n.sqrt())
}
