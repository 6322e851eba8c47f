//! TreeEnsemble, of version 5: leaves have values of targets. Computed in the type of its input.

use super::super::super::operator::{Dim, Entry, Inputs, Lowered, Node, Operator};
use super::super::super::value::Value;
use super::super::matrix::{Matrix, MatrixFact};
use super::super::post::PostTransform;
use super::combined::{Aggregate, Combined};
use super::linked;
use super::regressor::targets;
use crate::model::payload::Datatype;

/// The entry in the table of operators.
pub(in super::super) const ENTRY: Entry = Entry {
    name: "TreeEnsemble",
    since: 5,
    attributes: &[
        "aggregate_function",
        "leaf_targetids",
        "leaf_weights",
        "membership_values",
        "n_targets",
        "nodes_falseleafs",
        "nodes_falsenodeids",
        "nodes_featureids",
        "nodes_hitrates",
        "nodes_missing_value_tracks_true",
        "nodes_modes",
        "nodes_splits",
        "nodes_trueleafs",
        "nodes_truenodeids",
        "post_transform",
        "tree_roots",
    ],
    lower,
};

#[derive(Debug)]
struct TreeEnsemble {
    combined: Combined,
    post: PostTransform,
    is_double: bool,
}

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let input = MatrixFact::of(node, 0)?;
    let is_double = match input.fact.datatype {
        Datatype::Fp32 => false,
        Datatype::Fp64 => true,
        other => return Err(format!("input 0: got {other}, expected FP32 or FP64")),
    };
    let targets = targets(node)?;
    let post = numbered(
        node,
        "post_transform",
        0,
        &PostTransform::ALL.map(|(_, post)| post),
    )?;
    post.refuse_for_one(targets)?;
    let aggregates = [
        Aggregate::Average,
        Aggregate::Sum,
        Aggregate::Min,
        Aggregate::Max,
    ];
    let aggregate = numbered(node, "aggregate_function", 1, &aggregates)?;
    let found = linked::read(node, targets)?;
    if found.rows_are_single == is_double {
        let got = input.fact.datatype;
        return Err(format!(
            "input 0: got {got}, expected the type of nodes_splits"
        ));
    }
    let combined = Combined::new(&input, found, vec![0.0; targets], aggregate)?;
    let fact = input.output(input.fact.datatype, Dim::Fixed(targets));
    let cost = combined.cost();
    let operator = TreeEnsemble {
        combined,
        post,
        is_double,
    };
    Ok(Lowered::new(operator, vec![fact], cost))
}

/// Returns the entry of `choices` whose position an attribute gives.
fn numbered<T: Copy>(
    node: &Node<'_>,
    name: &str,
    default: i64,
    choices: &[T],
) -> Result<T, String> {
    let number = node.int(name)?.unwrap_or(default);
    let found = usize::try_from(number).ok().and_then(|at| choices.get(at));
    found.copied().ok_or_else(|| {
        let most = choices.len() - 1;
        format!("attribute {name}: got {number}, expected a number up to {most}")
    })
}

impl Operator for TreeEnsemble {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let matrix = Matrix::get(inputs, 0)?;
        let targets = self.combined.outputs();
        let shape = vec![matrix.rows, targets];
        let mut values = self.combined.of(&matrix)?;
        values
            .chunks_exact_mut(targets)
            .for_each(|row| self.post.apply(row));
        let result = if self.is_double {
            Value::of(shape, values)?
        } else {
            Value::of(
                shape,
                values.into_iter().map(|value| value as f32).collect(),
            )?
        };
        Ok(vec![result])
    }

    fn bytes(&self) -> usize {
        self.combined.bytes()
    }
}
