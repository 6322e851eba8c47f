//! Inputs that are matrices: one row per row of a request, one column per feature.

use std::borrow::Cow;

use super::super::operator::{Dim, Fact, Inputs, Node};
use super::super::value::Value;
use crate::model::payload::{Datatype, TensorData};

/// The types of numbers that the operators of this domain accept.
pub(super) const NUMBERS: &[Datatype] = &[
    Datatype::Fp32,
    Datatype::Fp64,
    Datatype::Int64,
    Datatype::Int32,
];

/// What is known of an input that is a matrix of numbers, when a file is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct MatrixFact<'a> {
    /// Type and shape.
    pub(super) fact: &'a Fact,
    /// Its columns, if their number is known.
    pub(super) columns: Option<usize>,
}

impl<'a> MatrixFact<'a> {
    /// Checks that input `at` may be a matrix of numbers.
    ///
    /// # Errors
    /// Returns an error if it is missing, its elements are no numbers, or it does not have two axes. An input of one axis is
    /// refused: libraries disagree on whether it is a row or a column.
    pub(super) fn of(node: &Node<'a>, at: usize) -> Result<Self, String> {
        let fact = accepted(node, at, NUMBERS)?;
        if let Some(rank) = fact.rank()
            && rank != 2
        {
            return Err(format!("input {at}: got {rank} axes, expected 2"));
        }
        Ok(Self {
            fact,
            columns: fact.dim(1).fixed(),
        })
    }

    /// Returns an error if the columns are known and not `expected`.
    pub(super) fn expect_columns(&self, expected: usize) -> Result<(), String> {
        match self.columns {
            Some(columns) if columns != expected => Err(wrong_columns(columns, expected)),
            _ => Ok(()),
        }
    }

    /// Returns the fact about an output with the same rows and `columns` columns.
    pub(super) fn output(&self, datatype: Datatype, columns: Dim) -> Fact {
        Fact::row_by_row(datatype, vec![self.fact.dim(0), columns], [self.fact])
    }
}

/// Returns what is known of input `at`.
///
/// # Errors
/// Returns an error if it is missing or its type is not among `datatypes`.
pub(super) fn accepted<'a>(
    node: &Node<'a>,
    at: usize,
    datatypes: &[Datatype],
) -> Result<&'a Fact, String> {
    let fact = node.input(at)?.fact;
    if datatypes.contains(&fact.datatype) {
        return Ok(fact);
    }
    let got = fact.datatype;
    let expected: Vec<_> = datatypes.iter().map(|datatype| datatype.as_str()).collect();
    Err(format!(
        "input {at}: got elements of type {got}, expected one of {}",
        expected.join(", ")
    ))
}

/// The numbers of a matrix in one run.
#[derive(Debug)]
pub(super) struct Matrix<'a> {
    /// The number of rows.
    pub(super) rows: usize,
    /// The number of columns.
    pub(super) columns: usize,
    /// The elements, row-major.
    pub(super) elements: Elements<'a>,
}

/// The elements of a matrix. Integers are converted to f64.
#[derive(Debug)]
pub(super) enum Elements<'a> {
    /// f32
    Single(&'a [f32]),
    /// f64 and integers
    Double(Cow<'a, [f64]>),
}

impl<'a> Matrix<'a> {
    /// Returns input `at` as a matrix.
    ///
    /// # Errors
    /// Returns an error if it does not have two axes.
    pub(super) fn get(inputs: &'a Inputs<'_>, at: usize) -> Result<Self, String> {
        Self::of(inputs.get(at)?).map_err(|error| format!("input {at}: {error}"))
    }

    /// Returns input `at` as a matrix of `columns` columns.
    ///
    /// # Errors
    /// Returns an error if it does not have two axes, or another number of columns.
    pub(super) fn with_columns(
        inputs: &'a Inputs<'_>,
        at: usize,
        columns: usize,
    ) -> Result<Self, String> {
        let matrix = Self::get(inputs, at)?;
        if matrix.columns == columns {
            Ok(matrix)
        } else {
            let error = wrong_columns(matrix.columns, columns);
            Err(format!("input {at}: {error}"))
        }
    }

    fn of(value: &'a Value) -> Result<Self, String> {
        let [rows, columns] = *value.shape() else {
            return Err(format!("got {} axes, expected 2", value.rank()));
        };
        let elements = match value.data() {
            TensorData::Fp32(values) => Elements::Single(values),
            TensorData::Fp64(values) => Elements::Double(Cow::Borrowed(values)),
            TensorData::Int32(values) => {
                Elements::Double(values.iter().copied().map(f64::from).collect())
            }
            // Beyond 2^53, where f64 has not every integer, the nearest one is used.
            TensorData::Int64(values) => {
                Elements::Double(values.iter().map(|value| *value as f64).collect())
            }
            other => {
                let got = other.datatype();
                return Err(format!("got elements of type {got}, expected numbers"));
            }
        };
        Ok(Self {
            rows,
            columns,
            elements,
        })
    }

    /// Calls `visit` with each row, as f64.
    pub(super) fn for_each_row(&self, mut visit: impl FnMut(&[f64])) {
        if self.columns == 0 {
            (0..self.rows).for_each(|_| visit(&[]));
            return;
        }
        match &self.elements {
            Elements::Double(values) => values.chunks_exact(self.columns).for_each(visit),
            Elements::Single(values) => {
                let mut row = vec![0.0; self.columns];
                for single in values.chunks_exact(self.columns) {
                    for (to, from) in row.iter_mut().zip(single) {
                        *to = f64::from(*from);
                    }
                    visit(&row);
                }
            }
        }
    }
}

fn wrong_columns(got: usize, expected: usize) -> String {
    format!("got {got} columns, expected {expected}")
}

/// Returns the sum of the products of two slices of equal length. Four partial sums, so that additions do not wait for each other.
/// The result does not depend on other rows.
pub(super) fn dot(row: &[f64], weights: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (row_blocks, weight_blocks) = (row.chunks_exact(4), weights.chunks_exact(4));
    let rest = row_blocks.remainder().iter().zip(weight_blocks.remainder());
    let tail: f64 = rest.map(|(x, weight)| x * weight).sum();
    for (xs, weights) in row_blocks.zip(weight_blocks) {
        for ((sum, x), weight) in sums.iter_mut().zip(xs).zip(weights) {
            *sum += x * weight;
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + tail
}
