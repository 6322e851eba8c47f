//! FeatureVectorizer: joins matrices side by side.

use super::super::super::operator::{Dim, Entry, Fact, Inputs, Lowered, Node, Operator};
use super::super::super::value::Value;
use super::super::attributes::check_length;
use super::super::matrix::{Matrix, MatrixFact};
use crate::model::payload::Datatype;

/// The entry in the table of operators.
pub(in super::super) const ENTRY: Entry = Entry {
    name: "FeatureVectorizer",
    since: 1,
    attributes: &["inputdimensions"],
    lower,
};

#[derive(Debug)]
struct FeatureVectorizer {
    /// The columns of each input. Other numbers are refused, although libraries fill up with zeros or leave columns out.
    widths: Vec<usize>,
    /// Their sum.
    columns: usize,
}

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let dimensions = node.ints("inputdimensions")?.unwrap_or_default();
    check_length("inputdimensions", dimensions.len(), node.inputs())?;
    let mut widths = Vec::with_capacity(dimensions.len());
    let mut facts = Vec::with_capacity(dimensions.len());
    let mut columns: usize = 0;
    for (at, dimension) in dimensions.iter().enumerate() {
        let input = MatrixFact::of(node, at)?;
        let width = usize::try_from(*dimension)
            .map_err(|_| format!("attribute inputdimensions: got {dimension}"))?;
        input
            .expect_columns(width)
            .map_err(|error| format!("input {at}: {error}"))?;
        columns = columns.checked_add(width).ok_or("got too many columns")?;
        widths.push(width);
        facts.push(input.fact);
    }
    let rows = facts.first().map_or(Dim::Unknown, |fact| fact.dim(0));
    let fact = Fact::row_by_row(Datatype::Fp32, vec![rows, Dim::Fixed(columns)], facts);
    let operator = FeatureVectorizer { widths, columns };
    Ok(Lowered::new(operator, vec![fact], columns))
}

impl Operator for FeatureVectorizer {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        // All inputs are checked before memory is allocated.
        let matrices = self.widths.iter().enumerate();
        let matrices = matrices.map(|(at, width)| Matrix::with_columns(inputs, at, *width));
        let matrices = matrices.collect::<Result<Vec<_>, _>>()?;
        let rows = matrices.first().map_or(0, |matrix| matrix.rows);
        if let Some(other) = matrices.iter().find(|matrix| matrix.rows != rows) {
            let got = other.rows;
            return Err(format!("got inputs of {rows} and {got} rows"));
        }
        let mut results = vec![0.0; rows * self.columns];
        let mut start = 0;
        for matrix in &matrices {
            let mut targets = results.chunks_exact_mut(self.columns.max(1));
            matrix.for_each_row(|row| {
                let target = targets.next().and_then(|target| target.get_mut(start..));
                for (to, from) in target.unwrap_or_default().iter_mut().zip(row) {
                    *to = *from as f32;
                }
            });
            start += matrix.columns;
        }
        Ok(vec![Value::of(vec![rows, self.columns], results)?])
    }
}
