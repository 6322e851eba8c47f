//! SVMClassifier: a vote between each pair of classes.

use super::super::super::operator::{Entry, Inputs, Lowered, Meaning, Node, Operator};
use super::super::super::value::Value;
use super::super::attributes::{check_finite, check_length, classes};
use super::super::labels::{Labels, largest};
use super::super::matrix::{Matrix, MatrixFact, dot};
use super::super::post::PostTransform;
use super::kernel::Kernel;
use super::probability::{Platt, coupled};

/// The entry in the table of operators.
pub(in super::super) const ENTRY: Entry = Entry {
    name: "SVMClassifier",
    since: 1,
    attributes: &[
        "classlabels_ints",
        "classlabels_strings",
        "coefficients",
        "kernel_params",
        "kernel_type",
        "post_transform",
        "prob_a",
        "prob_b",
        "rho",
        "support_vectors",
        "vectors_per_class",
    ],
    lower,
};

/// The most classes. Each pair of them has a score.
const MOST_CLASSES: usize = 1024;

#[derive(Debug)]
struct SvmClassifier {
    kernel: Kernel,
    /// Where the support vectors of each class begin, and at the end where the last ones end.
    starts: Vec<usize>,
    /// For each class but one, a coefficient per support vector.
    coefficients: Vec<f64>,
    /// One per pair of classes.
    rho: Vec<f64>,
    /// One per pair of classes; empty if the output is scores.
    platt: Vec<Platt>,
    labels: Labels,
}

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let input = MatrixFact::of(node, 0)?;
    let labels = Labels::new(classes(node, "classlabels_ints", "classlabels_strings")?);
    let classes = labels.len();
    if !(2..=MOST_CLASSES).contains(&classes) {
        return Err(format!(
            "got {classes} classes, expected 2 to {MOST_CLASSES}"
        ));
    }
    let starts = starts(node, classes)?;
    let vectors = starts.last().copied().unwrap_or(0);
    let kernel = Kernel::read(node, &input, vectors)?;
    let pairs = classes * (classes - 1) / 2;
    let coefficients = numbers(node, "coefficients", (classes - 1).saturating_mul(vectors))?;
    let rho = numbers(node, "rho", pairs)?;
    let post = PostTransform::of(node)?;
    if post != PostTransform::None {
        let name = post.name();
        return Err(format!(
            "attribute post_transform: {name} is not supported, expected NONE"
        ));
    }
    let platt = if node.has("prob_a") || node.has("prob_b") {
        let slopes = numbers(node, "prob_a", pairs)?;
        let offsets = numbers(node, "prob_b", pairs)?;
        let functions = slopes.into_iter().zip(offsets);
        functions.map(|(a, b)| Platt { a, b }).collect()
    } else {
        Vec::new()
    };
    let (columns, meaning) = match (platt.is_empty(), classes) {
        (false, _) => (classes, Meaning::Probabilities),
        (true, 2) => (2, Meaning::Unknown),
        (true, _) => (pairs, Meaning::Unknown),
    };
    let facts = labels.facts(input.fact, columns, meaning);
    let cost = kernel.cost() + coefficients.len();
    let operator = SvmClassifier {
        kernel,
        starts,
        coefficients,
        rho,
        platt,
        labels,
    };
    Ok(Lowered::new(operator, facts, cost))
}

/// Reads the number of support vectors of each class.
fn starts(node: &Node<'_>, classes: usize) -> Result<Vec<usize>, String> {
    let counts = node.ints("vectors_per_class")?.unwrap_or_default();
    check_length("vectors_per_class", counts.len(), classes)?;
    let mut starts = vec![0];
    let mut end: usize = 0;
    for count in counts {
        let next = usize::try_from(*count)
            .ok()
            .and_then(|count| end.checked_add(count));
        end = next.ok_or_else(|| format!("attribute vectors_per_class: got {count}"))?;
        starts.push(end);
    }
    Ok(starts)
}

fn numbers(node: &Node<'_>, name: &str, expected: usize) -> Result<Vec<f64>, String> {
    let values = node.floats(name)?.unwrap_or_default();
    check_length(name, values.len(), expected)?;
    check_finite(name, values)?;
    Ok(values.iter().copied().map(f64::from).collect())
}

impl SvmClassifier {
    /// Writes the score of each pair of classes: positive for the first one. Returns the class with the most votes.
    fn vote(&self, similarities: &[f64], scores: &mut Vec<f64>) -> usize {
        scores.clear();
        let classes = self.labels.len();
        let mut votes = vec![0_u32; classes];
        let mut rho = self.rho.iter();
        for first in 0..classes {
            for second in first + 1..classes {
                let sum = self.part(similarities, second - 1, first)
                    + self.part(similarities, first, second)
                    + rho.next().copied().unwrap_or(0.0);
                scores.push(sum);
                votes[if sum > 0.0 { first } else { second }] += 1;
            }
        }
        largest(votes).unwrap_or(0)
    }

    /// Returns the sum over the support vectors of `class` with a row of coefficients.
    fn part(&self, similarities: &[f64], row: usize, class: usize) -> f64 {
        let vectors = similarities.len();
        let (start, end) = (self.starts[class], self.starts[class + 1]);
        let coefficients = &self.coefficients[row * vectors..];
        dot(&similarities[start..end], &coefficients[start..end])
    }
}

impl Operator for SvmClassifier {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let matrix = Matrix::with_columns(inputs, 0, self.kernel.features())?;
        let classes = self.labels.len();
        let mut found = Vec::with_capacity(matrix.rows);
        let mut results = Vec::new();
        let (mut similarities, mut scores) = (Vec::new(), Vec::new());
        matrix.for_each_row(|row| {
            self.kernel.compare(row, &mut similarities);
            found.push(self.vote(&similarities, &mut scores));
            if !self.platt.is_empty() {
                let probabilities = coupled(classes, &scores, &self.platt);
                results.extend(probabilities.into_iter().map(|p| p as f32));
            } else if let [score] = *scores {
                results.extend([-score as f32, score as f32]);
            } else {
                results.extend(scores.iter().map(|score| *score as f32));
            }
        });
        let columns = match (self.platt.is_empty(), classes) {
            (true, 3..) => self.rho.len(),
            _ => classes,
        };
        Ok(vec![
            self.labels.pick(&found),
            Value::of(vec![matrix.rows, columns], results)?,
        ])
    }

    fn bytes(&self) -> usize {
        self.kernel.bytes() + size_of_val(&*self.coefficients)
    }
}
