//! The function from the sums of an ensemble to predictions.
//!
//! Sources: `PredTransform` of the objectives in `src/objective/` of XGBoost (commit 379b29f), and `ConvertOutput` in `src/objective/` of
//! LightGBM (commit bae0b7b).

/// The arithmetic in which a link is computed, which is that of the library that trained the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// f32, as XGBoost.
    Single,
    /// f64, as LightGBM.
    Double,
}

/// The function from the sums of one row to its predictions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Link {
    /// The sums.
    Identity,
    /// `1 / (1 + e^(-slope x))` of each sum.
    Sigmoid {
        /// Factor of the sum; 1 for XGBoost.
        slope: f64,
        /// The arithmetic.
        precision: Precision,
    },
    /// `e^x / sum of e^x`
    Softmax(Precision),
    /// `e^x`
    Exp(Precision),
    /// `sign(x) x^2` (LightGBM, `reg_sqrt`)
    SignedSquare,
    /// `ln(1 + e^x)` (LightGBM, `cross_entropy_lambda`)
    Log1pExp,
    /// 1 for a positive sum, otherwise 0 (XGBoost, `binary:hinge`)
    Step,
    /// One column: the index of the largest sum, of equal ones the first (XGBoost, `multi:softmax`)
    ArgMax,
}

impl Link {
    /// Returns the number of predictions of a row that has `sums` sums.
    #[must_use]
    pub fn columns(self, sums: usize) -> usize {
        match self {
            Self::ArgMax => 1,
            _ => sums,
        }
    }

    /// Computes the predictions of rows.
    ///
    /// * `sums`: row-major, `width` per row, `width` at least 1. Where the library adds in f32, each is an f32 held as f64.
    /// * `predictions`: row-major, [`columns(width)`](Self::columns) per row; overwritten. Rows beyond the shorter of both are left alone.
    ///
    /// Nothing is clamped: a sum that is NaN or infinite gives what the library gives.
    pub fn apply(self, sums: &[f64], width: usize, predictions: &mut [f32]) {
        match self {
            Self::Identity => each(sums, predictions, narrow),
            Self::Sigmoid {
                slope,
                precision: Precision::Single,
            } => each(sums, predictions, |x| {
                sigmoid_single(narrow(slope) * narrow(x))
            }),
            Self::Sigmoid {
                slope,
                precision: Precision::Double,
            } => each(sums, predictions, |x| {
                narrow(1.0 / (1.0 + (-slope * x).exp()))
            }),
            Self::Exp(Precision::Single) => each(sums, predictions, |x| narrow(x).exp()),
            Self::Exp(Precision::Double) => each(sums, predictions, |x| narrow(x.exp())),
            Self::SignedSquare => each(sums, predictions, |x| narrow(sign(x) * x * x)),
            Self::Log1pExp => each(sums, predictions, |x| narrow(x.exp().ln_1p())),
            Self::Step => each(sums, predictions, |x| if x > 0.0 { 1.0 } else { 0.0 }),
            Self::Softmax(precision) => {
                let softmax = match precision {
                    Precision::Single => softmax_single,
                    Precision::Double => softmax_double,
                };
                let width = width.max(1);
                let rows = sums.chunks_exact(width);
                for (row, out) in rows.zip(predictions.chunks_exact_mut(width)) {
                    softmax(row, out);
                }
            }
            Self::ArgMax => {
                let rows = sums.chunks_exact(width.max(1));
                for (row, out) in rows.zip(predictions) {
                    *out = arg_max(row);
                }
            }
        }
    }
}

fn each(sums: &[f64], predictions: &mut [f32], link: impl Fn(f64) -> f32) {
    for (&sum, out) in sums.iter().zip(predictions) {
        *out = link(sum);
    }
}

/// Rounds to the nearest f32.
#[expect(
    clippy::cast_possible_truncation,
    reason = "predictions are f32, and sums of single precision already are"
)]
fn narrow(x: f64) -> f32 {
    x as f32
}

/// Computes `1 / (e^(min(-x, 88.7)) + 1 + 1e-16)` in f32 (`Sigmoid` in `src/common/math.h` of XGBoost).
///
/// The limit keeps the exponential finite, so that the smallest result is 3.0e-39.
fn sigmoid_single(x: f32) -> f32 {
    // Not `f32::min`, which would turn NaN into the limit.
    let exponent = if -x > 88.7 { 88.7 } else { -x };
    1.0 / (exponent.exp() + 1.0 + 1e-16)
}

/// Returns -1, 0 or 1 (`Sign` in `include/LightGBM/utils/common.h`); 0 for NaN.
fn sign(x: f64) -> f64 {
    f64::from(i8::from(x > 0.0) - i8::from(x < 0.0))
}

/// Computes the softmax of a row as `Softmax` in `src/common/math.h` of XGBoost: in f32, except that the exponentials are added in f64.
fn softmax_single(sums: &[f64], out: &mut [f32]) {
    let largest = sums
        .iter()
        .map(|&x| narrow(x))
        .fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0_f64;
    for (&sum, out) in sums.iter().zip(&mut *out) {
        *out = (narrow(sum) - largest).exp();
        total += f64::from(*out);
    }
    let total = narrow(total);
    for out in out {
        *out /= total;
    }
}

/// Computes the softmax of a row as `Softmax` in `include/LightGBM/utils/common.h`: in f64.
fn softmax_double(sums: &[f64], out: &mut [f32]) {
    let largest = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exponential = |sum: f64| (sum - largest).exp();
    let total: f64 = sums.iter().map(|&sum| exponential(sum)).sum();
    for (&sum, out) in sums.iter().zip(out) {
        *out = narrow(exponential(sum) / total);
    }
}

/// Returns the index of the largest sum, of equal ones the first (`FindMaxIndex` in `src/common/math.h` of XGBoost).
///
/// An index of 2^24 or more would not be exact; no model has so many classes.
fn arg_max(sums: &[f64]) -> f32 {
    let (mut index, mut best) = (0_u32, sums.first().copied().unwrap_or_default());
    for (at, &sum) in (0_u32..).zip(sums) {
        if sum > best {
            (index, best) = (at, sum);
        }
    }
    narrow(f64::from(index))
}

#[cfg(test)]
mod tests;
