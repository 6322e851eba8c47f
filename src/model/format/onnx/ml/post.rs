//! The functions that turn scores into the output of a model (`post_transform`).

use super::super::operator::Node;
use super::attributes::choice;

/// A function of the scores of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PostTransform {
    /// The scores.
    None,
    /// `e^x / sum of e^x`
    Softmax,
    /// `1 / (1 + e^-x)` of each.
    Logistic,
    /// As softmax, but scores of zero stay zero and do not count.
    SoftmaxZero,
    /// The quantile of the normal distribution of each.
    Probit,
}

impl PostTransform {
    /// All, by the names that files use, in the order of the numbers that `TreeEnsemble` uses.
    pub(super) const ALL: [(&'static str, Self); 5] = [
        ("NONE", Self::None),
        ("SOFTMAX", Self::Softmax),
        ("LOGISTIC", Self::Logistic),
        ("SOFTMAX_ZERO", Self::SoftmaxZero),
        ("PROBIT", Self::Probit),
    ];

    /// Reads the attribute `post_transform`.
    ///
    /// # Errors
    /// Returns an error if its value is unknown.
    pub(super) fn of(node: &Node<'_>) -> Result<Self, String> {
        choice(node, "post_transform", &Self::ALL)
    }

    /// Returns the name that files use.
    pub(super) fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, transform)| *transform == self);
        found.map_or("", |(name, _)| name)
    }

    /// Returns an error if the function is to be applied to one score per row. ONNX Runtime then leaves the score as it is, and the
    /// specification applies the function.
    pub(super) fn refuse_for_one(self, scores: usize) -> Result<(), String> {
        if scores > 1 || self == Self::None {
            return Ok(());
        }
        let name = self.name();
        Err(format!(
            "attribute post_transform: {name} of a single score is not supported"
        ))
    }

    /// Applies the function to the scores of one row.
    pub(super) fn apply(self, scores: &mut [f64]) {
        match self {
            Self::None => {}
            Self::Softmax => softmax(scores),
            Self::Logistic => scores
                .iter_mut()
                .for_each(|score| *score = logistic(*score)),
            Self::SoftmaxZero => softmax_zero(scores),
            Self::Probit => scores.iter_mut().for_each(|score| *score = probit(*score)),
        }
    }
}

/// Returns `1 / (1 + e^-x)` without overflow.
pub(super) fn logistic(x: f64) -> f64 {
    if x < 0.0 {
        let power = x.exp();
        power / (1.0 + power)
    } else {
        1.0 / (1.0 + (-x).exp())
    }
}

fn softmax(scores: &mut [f64]) {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for score in &mut *scores {
        *score = (*score - largest).exp();
        sum += *score;
    }
    scores.iter_mut().for_each(|score| *score /= sum);
}

/// As ONNX Runtime computes it: scores within 1e-7 of zero are scaled instead of raised, and left out of the sum. If all are zero, the
/// result is NaN.
fn softmax_zero(scores: &mut [f64]) {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for score in &mut *scores {
        if score.abs() > f64::from(1e-7_f32) {
            *score = (*score - largest).exp();
            sum += *score;
        } else {
            *score *= (-largest).exp();
        }
    }
    scores.iter_mut().for_each(|score| *score /= sum);
}

/// As ONNX Runtime computes it: in f32, with an approximation of the inverse error function that has an error of about 0.2 percent.
/// Source of the formula: S. Winitzki, A handy approximation for the error function and its inverse (2008), with a = 0.147.
fn probit(x: f64) -> f64 {
    const A: f32 = 0.147;
    let y = 2.0 * (x as f32) - 1.0;
    let log = ((1.0 - y) * (1.0 + y)).ln();
    let half = 2.0 / (std::f32::consts::PI * A) + 0.5 * log;
    let root = (-half + (half * half - log / A).sqrt()).sqrt();
    let inverse = if y < 0.0 { -root } else { root };
    f64::from(std::f32::consts::SQRT_2 * inverse)
}
