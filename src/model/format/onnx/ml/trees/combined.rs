//! The values of targets: sums, averages, smallest or largest values of leaves.

use super::super::matrix::{Matrix, MatrixFact};
use super::sums::{Found, Shape, Sums};
use super::walk;
use crate::model::trees::{Leaf, Node};

/// How the leaves that a row reaches are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregate {
    /// Their sum, divided by the number of trees.
    Average,
    /// Their sum.
    Sum,
    /// The smallest.
    Min,
    /// The largest.
    Max,
}

impl Aggregate {
    /// All, by the names that files use, beginning with the default.
    pub(super) const ALL: [(&'static str, Self); 4] = [
        ("SUM", Self::Sum),
        ("AVERAGE", Self::Average),
        ("MIN", Self::Min),
        ("MAX", Self::Max),
    ];
}

/// Trees whose leaves are combined. Base values are added at the end.
#[derive(Debug)]
pub(super) enum Combined {
    /// Sum or average.
    Sums(Sums),
    /// Smallest or largest values.
    Extremes(Extremes),
}

/// Trees of which the smallest or largest value counts. Seldom used, so they are evaluated one after another.
#[derive(Debug)]
pub(super) struct Extremes {
    found: Found,
    /// One per target.
    base: Vec<f64>,
    is_largest: bool,
}

impl Combined {
    /// Prepares trees. `base` has a value per target.
    ///
    /// # Errors
    /// Returns an error if they look at features that the input does not have.
    pub(super) fn new(
        input: &MatrixFact<'_>,
        found: Found,
        base: Vec<f64>,
        aggregate: Aggregate,
    ) -> Result<Self, String> {
        let divisor = match aggregate {
            Aggregate::Sum => 1.0,
            Aggregate::Average => found.trees.len() as f64,
            Aggregate::Min | Aggregate::Max => {
                found.check(input)?;
                return Ok(Self::Extremes(Extremes {
                    found,
                    base,
                    is_largest: aggregate == Aggregate::Max,
                }));
            }
        };
        let shape = Shape {
            outputs: base.len(),
            base,
            divisor,
        };
        Sums::new(input, found, shape).map(Self::Sums)
    }

    /// Returns the number of targets.
    pub(super) fn outputs(&self) -> usize {
        match self {
            Self::Sums(sums) => sums.outputs(),
            Self::Extremes(extremes) => extremes.base.len(),
        }
    }

    /// Returns the values of all targets for each row.
    ///
    /// # Errors
    /// Returns an error if the matrix has fewer columns than were expected.
    pub(super) fn of(&self, matrix: &Matrix<'_>) -> Result<Vec<f64>, String> {
        match self {
            Self::Sums(sums) => sums.of(matrix),
            Self::Extremes(extremes) => extremes.of(matrix),
        }
    }

    /// Returns the estimated cost per row.
    pub(super) fn cost(&self) -> usize {
        match self {
            Self::Sums(sums) => sums.cost(),
            Self::Extremes(extremes) => extremes.found.cost(),
        }
    }

    /// Returns the bytes of memory that the trees take.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Sums(sums) => sums.bytes(),
            Self::Extremes(extremes) => {
                let nodes = extremes.found.trees.iter().map(|tree| tree.nodes.len());
                nodes.sum::<usize>() * size_of::<Node>()
            }
        }
    }
}

impl Extremes {
    fn of(&self, matrix: &Matrix<'_>) -> Result<Vec<f64>, String> {
        self.found.check_columns(matrix.columns)?;
        let mut results = Vec::with_capacity(matrix.rows * self.base.len());
        let mut best: Vec<Option<f64>> = vec![None; self.base.len()];
        self.found.for_each_row(matrix, |row| {
            best.fill(None);
            for tree in &self.found.trees {
                match walk::leaf(tree, row) {
                    Some(Leaf::One { output, value }) => self.improve(&mut best, *output, *value),
                    Some(Leaf::Many(values)) => values
                        .iter()
                        .for_each(|(output, value)| self.improve(&mut best, *output, *value)),
                    Some(Leaf::Linear { .. }) | None => {}
                }
            }
            // A target without a value is 0, plus its base value.
            let values = best.iter().zip(&self.base);
            results.extend(values.map(|(best, base)| best.unwrap_or(0.0) + base));
        });
        Ok(results)
    }

    fn improve(&self, best: &mut [Option<f64>], output: u32, value: f64) {
        if let Some(best) = best.get_mut(output as usize)
            && best.is_none_or(|best| {
                if self.is_largest {
                    value > best
                } else {
                    value < best
                }
            })
        {
            *best = Some(value);
        }
    }
}
