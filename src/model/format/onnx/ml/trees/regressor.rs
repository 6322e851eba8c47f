//! TreeEnsembleRegressor: leaves have values of targets.

use super::super::super::operator::{Dim, Entry, Inputs, Lowered, Node, Operator};
use super::super::super::value::Value;
use super::super::attributes::{check_length, choice};
use super::super::matrix::{Matrix, MatrixFact};
use super::super::post::PostTransform;
use super::combined::{Aggregate, Combined};
use super::listed::Listed;
use crate::model::payload::Datatype;

/// The entry in the table of operators.
pub(in super::super) const ENTRY: Entry = Entry {
    name: "TreeEnsembleRegressor",
    since: 1,
    attributes: &[
        "aggregate_function",
        "base_values",
        "base_values_as_tensor",
        "n_targets",
        "nodes_falsenodeids",
        "nodes_featureids",
        "nodes_hitrates",
        "nodes_hitrates_as_tensor",
        "nodes_missing_value_tracks_true",
        "nodes_modes",
        "nodes_nodeids",
        "nodes_treeids",
        "nodes_truenodeids",
        "nodes_values",
        "nodes_values_as_tensor",
        "post_transform",
        "target_ids",
        "target_nodeids",
        "target_treeids",
        "target_weights",
        "target_weights_as_tensor",
    ],
    lower,
};

#[derive(Debug)]
struct TreeEnsembleRegressor {
    combined: Combined,
    post: PostTransform,
}

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let input = MatrixFact::of(node, 0)?;
    let targets = targets(node)?;
    let post = PostTransform::of(node)?;
    post.refuse_for_one(targets)?;
    let aggregate = choice(node, "aggregate_function", &Aggregate::ALL)?;
    let listed = Listed::read(node, "target", targets)?;
    // A target without any value would cost memory in every request, and none in the file.
    let values = listed.votes.all().len();
    if targets > values {
        return Err(format!("got {targets} targets, but only {values} values"));
    }
    let base = if listed.base.is_empty() {
        vec![0.0; targets]
    } else {
        check_length("base_values", listed.base.len(), targets)?;
        listed.base
    };
    let fact = input.output(Datatype::Fp32, Dim::Fixed(targets));
    let combined = Combined::new(&input, listed.found, base, aggregate)?;
    let cost = combined.cost();
    let operator = TreeEnsembleRegressor { combined, post };
    Ok(Lowered::new(operator, vec![fact], cost))
}

/// Reads the number of targets. Later it is compared with the number of values that leaves have.
pub(super) fn targets(node: &Node<'_>) -> Result<usize, String> {
    let targets = node
        .int("n_targets")?
        .ok_or("attribute n_targets is missing")?;
    let found = usize::try_from(targets).ok().filter(|targets| *targets > 0);
    found.ok_or_else(|| format!("attribute n_targets: got {targets}, expected a positive number"))
}

impl Operator for TreeEnsembleRegressor {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let matrix = Matrix::get(inputs, 0)?;
        let rows = matrix.rows;
        let mut values = self.combined.of(&matrix)?;
        let targets = self.combined.outputs();
        values
            .chunks_exact_mut(targets)
            .for_each(|row| self.post.apply(row));
        let values = values.into_iter().map(|value| value as f32).collect();
        Ok(vec![Value::of(vec![rows, targets], values)?])
    }

    fn bytes(&self) -> usize {
        self.combined.bytes()
    }
}
