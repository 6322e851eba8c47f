//! ZipMap: names the columns of a matrix of probabilities. The matrix passes through, and the names are kept as its classes.

use std::sync::Arc;

use super::super::operator::{Classes, Entry, Lowered, Node};
use super::attributes::classes;
use super::matrix::MatrixFact;
use crate::model::payload::Datatype;

/// The entry in the table of operators.
pub(super) const ENTRY: Entry = Entry {
    name: "ZipMap",
    since: 1,
    attributes: &["classlabels_int64s", "classlabels_strings"],
    lower,
};

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let input = MatrixFact::of(node, 0)?;
    if input.fact.datatype != Datatype::Fp32 {
        let got = input.fact.datatype;
        return Err(format!(
            "input 0: got elements of type {got}, expected FP32"
        ));
    }
    let classes = classes(node, "classlabels_int64s", "classlabels_strings")?;
    let count = match &classes {
        Classes::Integers(values) => values.len(),
        Classes::Texts(values) => values.len(),
    };
    input.expect_columns(count)?;
    let fact = input.fact.clone().with_classes(Some(Arc::new(classes)));
    Ok(Lowered::same(0, fact))
}
