//! The sums of the leaves that rows reach.

use super::super::matrix::{Elements, Matrix, MatrixFact};
use crate::model::trees::{Arithmetic, Ensemble, Forest, Rows, Tree};

/// The trees of a file.
#[derive(Debug)]
pub(super) struct Found {
    /// The trees.
    pub(super) trees: Vec<Tree>,
    /// Features that they look at: one more than the largest index.
    pub(super) inputs: usize,
    /// Whether rows are f32. Otherwise they are f64.
    pub(super) rows_are_single: bool,
}

/// What the sums are.
#[derive(Debug)]
pub(super) struct Shape {
    /// The number of sums.
    pub(super) outputs: usize,
    /// The initial value of each.
    pub(super) base: Vec<f64>,
    /// Each sum of leaves is divided by it.
    pub(super) divisor: f64,
}

impl Found {
    /// Returns an error if the trees look at features that the input does not have.
    pub(super) fn check(&self, input: &MatrixFact<'_>) -> Result<(), String> {
        input
            .columns
            .map_or(Ok(()), |columns| self.check_columns(columns))
    }

    /// Returns an error if there are fewer columns than features.
    pub(super) fn check_columns(&self, columns: usize) -> Result<(), String> {
        if columns >= self.inputs {
            return Ok(());
        }
        let expected = self.inputs;
        Err(format!(
            "got {columns} columns, expected at least {expected}"
        ))
    }

    /// Calls `visit` with each row in the precision in which the trees compare.
    pub(super) fn for_each_row(&self, matrix: &Matrix<'_>, mut visit: impl FnMut(&[f64])) {
        let rounds = self.rows_are_single && !matches!(matrix.elements, Elements::Single(_));
        let mut rounded = Vec::new();
        matrix.for_each_row(|row| {
            if rounds {
                rounded.clear();
                rounded.extend(row.iter().map(|x| f64::from(*x as f32)));
                visit(&rounded);
            } else {
                visit(row);
            }
        });
    }

    /// Returns the estimated cost per row.
    pub(super) fn cost(&self) -> usize {
        // A path is about as long as the logarithm of the number of nodes, and a step takes as long as a few multiplications.
        let paths = self
            .trees
            .iter()
            .map(|tree| 4 * (tree.nodes.len().ilog2() as usize + 1));
        paths.sum()
    }
}

/// Trees whose leaves are added up.
#[derive(Debug)]
pub(super) struct Sums {
    forest: Forest,
    /// Columns of a row of the forest.
    columns: usize,
    outputs: usize,
    rows_are_single: bool,
}

impl Sums {
    /// Prepares trees.
    ///
    /// # Errors
    /// Returns an error if they look at features that the input does not have, or are malformed.
    pub(super) fn new(input: &MatrixFact<'_>, found: Found, shape: Shape) -> Result<Self, String> {
        found.check(input)?;
        let columns = input.columns.unwrap_or(found.inputs).max(1);
        let arithmetic = if found.rows_are_single {
            Arithmetic::SingleInputs
        } else {
            Arithmetic::Double
        };
        let ensemble = Ensemble {
            inputs: columns,
            outputs: shape.outputs,
            base: shape.base,
            divisor: shape.divisor,
            trees: found.trees,
        };
        let forest = Forest::new(ensemble, arithmetic).map_err(|faults| {
            let faults = faults.into_iter();
            let messages = faults.map(|fault| format!("{}: {}", fault.at, fault.message));
            messages.collect::<Vec<_>>().join("; ")
        })?;
        Ok(Self {
            forest,
            columns,
            outputs: shape.outputs,
            rows_are_single: found.rows_are_single,
        })
    }

    /// Returns the number of sums per row.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Returns the sums of all rows.
    ///
    /// # Errors
    /// Returns an error if the matrix has fewer columns than the trees look at.
    pub(super) fn of(&self, matrix: &Matrix<'_>) -> Result<Vec<f64>, String> {
        if matrix.columns < self.columns {
            let (got, expected) = (matrix.columns, self.columns);
            return Err(format!("got {got} columns, expected at least {expected}"));
        }
        let mut sums = vec![0.0; matrix.rows * self.outputs];
        let fits = matrix.columns == self.columns;
        match (&matrix.elements, self.rows_are_single) {
            (Elements::Single(rows), true) if fits => {
                self.forest.sum(Rows::Single(rows), &mut sums);
            }
            (Elements::Double(rows), false) if fits => {
                self.forest.sum(Rows::Double(rows), &mut sums);
            }
            (_, true) => {
                let rows = self.copied(matrix, |x| x as f32);
                self.forest.sum(Rows::Single(&rows), &mut sums);
            }
            (_, false) => {
                let rows = self.copied(matrix, |x| x);
                self.forest.sum(Rows::Double(&rows), &mut sums);
            }
        }
        Ok(sums)
    }

    /// Returns the columns of the forest, converted.
    fn copied<T>(&self, matrix: &Matrix<'_>, convert: impl Fn(f64) -> T) -> Vec<T> {
        let mut rows = Vec::with_capacity(matrix.rows * self.columns);
        matrix.for_each_row(|row| {
            rows.extend(row.iter().take(self.columns).map(|x| convert(*x)));
        });
        rows
    }

    /// Returns the estimated cost per row.
    pub(super) fn cost(&self) -> usize {
        self.forest.cost_per_row()
    }

    /// Returns the bytes of memory that the trees take.
    pub(super) fn bytes(&self) -> usize {
        usize::try_from(self.forest.bytes()).unwrap_or(usize::MAX)
    }
}
