//! Kernels: the similarity of a row and each support vector.

use super::super::super::operator::Node;
use super::super::attributes::{check_finite, check_length, choice};
use super::super::matrix::{MatrixFact, dot};

/// Support vectors and the function that compares them with rows. Computed in f64, as libsvm does.
#[derive(Debug)]
pub(super) struct Kernel {
    function: Function,
    gamma: f64,
    /// The constant term.
    term: f64,
    degree: f64,
    /// The support vectors, one after another.
    vectors: Vec<f64>,
    /// The length of each.
    features: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    /// `x v`
    Linear,
    /// `(gamma x v + term)^degree`
    Polynomial,
    /// `e^(-gamma |x - v|^2)`
    Radial,
    /// `tanh(gamma x v + term)`
    Sigmoid,
}

impl Kernel {
    /// Reads the kernel and `count` support vectors.
    ///
    /// # Errors
    /// Returns an error if there are none, or they do not fit the input.
    pub(super) fn read(
        node: &Node<'_>,
        input: &MatrixFact<'_>,
        count: usize,
    ) -> Result<Self, String> {
        let functions = [
            ("LINEAR", Function::Linear),
            ("POLY", Function::Polynomial),
            ("RBF", Function::Radial),
            ("SIGMOID", Function::Sigmoid),
        ];
        let function = choice(node, "kernel_type", &functions)?;
        let parameters = node.floats("kernel_params")?.unwrap_or_default();
        check_finite("kernel_params", parameters)?;
        let (gamma, term, degree) = match *parameters {
            [] if function == Function::Linear => (0.0, 0.0, 0.0),
            [gamma, term, degree] => (f64::from(gamma), f64::from(term), f64::from(degree)),
            _ => {
                check_length("kernel_params", parameters.len(), 3)?;
                (0.0, 0.0, 0.0)
            }
        };
        let vectors = node.floats("support_vectors")?.unwrap_or_default();
        check_finite("support_vectors", vectors)?;
        if count == 0 || vectors.is_empty() || !vectors.len().is_multiple_of(count) {
            let got = vectors.len();
            return Err(format!(
                "attribute support_vectors: got {got} values for {count} vectors"
            ));
        }
        let features = vectors.len() / count;
        input.expect_columns(features)?;
        Ok(Self {
            function,
            gamma,
            term,
            degree,
            vectors: vectors.iter().copied().map(f64::from).collect(),
            features,
        })
    }

    /// Returns the number of features.
    pub(super) fn features(&self) -> usize {
        self.features
    }

    /// Writes the similarity of a row and each support vector to `similarities`.
    pub(super) fn compare(&self, row: &[f64], similarities: &mut Vec<f64>) {
        similarities.clear();
        let vectors = self.vectors.chunks_exact(self.features);
        similarities.extend(vectors.map(|vector| self.similarity(row, vector)));
    }

    fn similarity(&self, row: &[f64], vector: &[f64]) -> f64 {
        let product = || self.gamma * dot(row, vector) + self.term;
        match self.function {
            Function::Linear => dot(row, vector),
            Function::Polynomial => product().powf(self.degree),
            Function::Sigmoid => product().tanh(),
            Function::Radial => {
                let pairs = row.iter().zip(vector);
                let distance: f64 = pairs.map(|(x, v)| (x - v) * (x - v)).sum();
                (-self.gamma * distance).exp()
            }
        }
    }

    /// Returns the estimated multiply-adds per row.
    pub(super) fn cost(&self) -> usize {
        let vectors = self.vectors.len() / self.features.max(1);
        self.vectors.len().saturating_add(16 * vectors)
    }

    /// Returns the bytes of memory that the vectors take.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.vectors)
    }
}
