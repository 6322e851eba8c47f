//! Normalizer: divides each row by its norm.

use super::super::super::operator::{Entry, Inputs, Lowered, Meaning, Node, Operator};
use super::super::super::value::Value;
use super::super::attributes::choice;
use super::super::matrix::{Matrix, MatrixFact};
use crate::model::payload::Datatype;

/// The entry in the table of operators.
pub(in super::super) const ENTRY: Entry = Entry {
    name: "Normalizer",
    since: 1,
    attributes: &["norm"],
    lower,
};

/// The number by which a row is divided. It is never negative, as in scikit-learn; ONNX Runtime differs for rows whose largest value
/// is negative or not the largest in size.
#[derive(Clone, Copy, Debug)]
enum Norm {
    /// The largest absolute value.
    Max,
    /// The sum of the absolute values.
    L1,
    /// The square root of the sum of the squares.
    L2,
}

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let input = MatrixFact::of(node, 0)?;
    let norms = [("MAX", Norm::Max), ("L1", Norm::L1), ("L2", Norm::L2)];
    let norm = choice(node, "norm", &norms)?;
    let meaning = match (norm, input.fact.meaning) {
        // Each row then adds up to 1.
        (Norm::L1, Meaning::Probabilities | Meaning::Logistic) => Meaning::Probabilities,
        _ => Meaning::Unknown,
    };
    let fact = input
        .output(Datatype::Fp32, input.fact.dim(1))
        .with_meaning(meaning)
        .with_classes(input.fact.classes.clone());
    Ok(Lowered::new(norm, vec![fact], input.columns.unwrap_or(1)))
}

impl Norm {
    fn of(self, row: &[f64]) -> f64 {
        match self {
            Self::Max => row.iter().fold(0.0, |largest, x| x.abs().max(largest)),
            Self::L1 => row.iter().map(|x| x.abs()).sum(),
            Self::L2 => row.iter().map(|x| x * x).sum::<f64>().sqrt(),
        }
    }
}

impl Operator for Norm {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let matrix = Matrix::get(inputs, 0)?;
        let mut results = Vec::with_capacity(matrix.rows * matrix.columns);
        matrix.for_each_row(|row| {
            let norm = self.of(row);
            // A row of zeros stays as it is.
            let divisor = if norm == 0.0 { 1.0 } else { norm };
            results.extend(row.iter().map(|x| (x / divisor) as f32));
        });
        Ok(vec![Value::of(vec![matrix.rows, matrix.columns], results)?])
    }
}
