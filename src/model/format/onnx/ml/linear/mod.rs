//! Linear models: LinearClassifier and LinearRegressor.

mod classifier;
mod regressor;

#[cfg(test)]
mod tests;

pub(super) use classifier::ENTRY as CLASSIFIER;
pub(super) use regressor::ENTRY as REGRESSOR;

use super::super::operator::Node;
use super::attributes::{check_finite, check_length};
use super::matrix::{Matrix, MatrixFact, dot};

/// Weights and intercepts of some linear functions of the same features.
///
/// Sums are computed in f64, because scikit-learn does so, and because the weights of unscaled features cancel.
#[derive(Debug)]
struct Functions {
    /// The number of functions.
    len: usize,
    /// The number of features.
    features: usize,
    /// The weights of one function after those of another.
    weights: Vec<f64>,
    /// One per function.
    intercepts: Vec<f64>,
}

impl Functions {
    /// Reads the attributes `coefficients` and `intercepts`, for `len` functions of the features of `input`.
    fn read(node: &Node<'_>, input: &MatrixFact<'_>, len: usize) -> Result<Self, String> {
        let weights = node.floats("coefficients")?.unwrap_or_default();
        let intercepts = node.floats("intercepts")?.unwrap_or_default();
        check_finite("coefficients", weights)?;
        check_finite("intercepts", intercepts)?;
        if weights.is_empty() || len == 0 || !weights.len().is_multiple_of(len) {
            let got = weights.len();
            return Err(format!(
                "attribute coefficients: got {got} values for {len} functions"
            ));
        }
        if !intercepts.is_empty() {
            check_length("intercepts", intercepts.len(), len)?;
        }
        let features = weights.len() / len;
        input.expect_columns(features).map_err(|error| {
            let got = weights.len();
            format!("{error} ({got} coefficients of {len} functions)")
        })?;
        let mut intercepts: Vec<_> = intercepts.iter().copied().map(f64::from).collect();
        intercepts.resize(len, 0.0);
        Ok(Self {
            len,
            features,
            weights: weights.iter().copied().map(f64::from).collect(),
            intercepts,
        })
    }

    /// Calls `visit` with the values of the functions for each row of `matrix`, which it may change.
    fn for_each_row(&self, matrix: &Matrix<'_>, mut visit: impl FnMut(&mut [f64])) {
        let mut values = vec![0.0; self.len];
        matrix.for_each_row(|row| {
            let functions = self.weights.chunks_exact(self.features);
            let functions = functions.zip(&self.intercepts);
            for (value, (weights, intercept)) in values.iter_mut().zip(functions) {
                *value = dot(row, weights) + intercept;
            }
            visit(&mut values);
        });
    }

    /// Returns whether there are two functions, and one is the negative of the other.
    fn are_opposite(&self) -> bool {
        let (first, second) = self.weights.split_at(self.features);
        let mut pairs = first.iter().zip(second);
        matches!(*self.intercepts, [a, b] if a == -b) && pairs.all(|(a, b)| *a == -*b)
    }

    fn cost(&self) -> usize {
        self.weights.len()
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.weights) + size_of_val(&*self.intercepts)
    }
}
