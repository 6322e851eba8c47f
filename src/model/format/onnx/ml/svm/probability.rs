//! Probabilities of classes from the scores of pairs of classes.
//!
//! Source: T.-F. Wu, C.-J. Lin, R. C. Weng, Probability Estimates for Multi-class Classification by Pairwise Coupling (2004), algorithm
//! 2, with the limits of libsvm.

use super::super::post::logistic;

/// Platt's function of the score of one pair of classes: `1 / (1 + e^(a x + b))`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Platt {
    /// The slope.
    pub(super) a: f64,
    /// The offset.
    pub(super) b: f64,
}

/// Returns the probability of each of `classes` classes. `scores` and `functions` have an entry per pair, in the order 01, 02, 12, ...
pub(super) fn coupled(classes: usize, scores: &[f64], functions: &[Platt]) -> Vec<f64> {
    const LEAST: f64 = 1e-7;
    let mut pairwise = vec![vec![0.0; classes]; classes];
    let pairs =
        (0..classes).flat_map(|first| (first + 1..classes).map(move |second| (first, second)));
    for ((first, second), (score, Platt { a, b })) in pairs.zip(scores.iter().zip(functions)) {
        let probability = logistic(-(score * a + b)).clamp(LEAST, 1.0 - LEAST);
        pairwise[first][second] = probability;
        pairwise[second][first] = 1.0 - probability;
    }
    solved(classes, &pairwise)
}

/// Minimises the disagreement with the probabilities of the pairs.
fn solved(classes: usize, pairwise: &[Vec<f64>]) -> Vec<f64> {
    let epsilon = 0.005 / classes as f64;
    let mut q = vec![vec![0.0; classes]; classes];
    for t in 0..classes {
        for j in (0..classes).filter(|j| *j != t) {
            q[t][t] += pairwise[j][t] * pairwise[j][t];
            q[t][j] = -pairwise[j][t] * pairwise[t][j];
        }
    }
    let mut p = vec![1.0 / classes as f64; classes];
    for _ in 0..classes.max(100) {
        let mut qp: Vec<f64> = q.iter().map(|row| product(row, &p)).collect();
        let mut pqp = product(&p, &qp);
        let error = qp
            .iter()
            .map(|value| (value - pqp).abs())
            .fold(0.0, f64::max);
        if error < epsilon {
            break;
        }
        for t in 0..classes {
            let difference = (pqp - qp[t]) / q[t][t];
            let scale = 1.0 + difference;
            p[t] += difference;
            pqp = (pqp + difference * (difference * q[t][t] + 2.0 * qp[t])) / (scale * scale);
            for j in 0..classes {
                qp[j] = (qp[j] + difference * q[t][j]) / scale;
                p[j] /= scale;
            }
        }
    }
    p
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
