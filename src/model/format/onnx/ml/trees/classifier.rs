//! TreeEnsembleClassifier: leaves vote for classes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::super::super::operator::{Entry, Inputs, Lowered, Node, Operator};
use super::super::super::value::Value;
use super::super::attributes::{check_length, classes};
use super::super::labels::Labels;
use super::super::matrix::{Matrix, MatrixFact};
use super::super::post::PostTransform;
use super::decision::{Decision, Facts, Sum, winner};
use super::listed::Listed;
use super::sums::{Shape, Sums};
use crate::model::trees::{Leaf, Node as TreeNode, Tree};

/// The entry in the table of operators, for files whose class is decided as ONNX Runtime does.
pub(in super::super) const ENTRY: Entry = Entry {
    name: "TreeEnsembleClassifier",
    since: 1,
    attributes: &[
        "base_values",
        "base_values_as_tensor",
        "class_ids",
        "class_nodeids",
        "class_treeids",
        "class_weights",
        "class_weights_as_tensor",
        "classlabels_int64s",
        "classlabels_strings",
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
    ],
    lower: |node| lower(node, false),
};

/// The entry for files of converters, whose class is decided as the library does that trained the model.
pub(in super::super) const TRAINED_ENTRY: Entry = Entry {
    lower: |node| lower(node, true),
    ..ENTRY
};

#[derive(Debug)]
struct TreeEnsembleClassifier {
    sums: Sums,
    labels: Labels,
    decision: Decision,
    /// Where the sum is that a [`Decision::Second`] looks at.
    only: usize,
    needs_labels: bool,
}

fn lower(node: &Node<'_>, follows_trainer: bool) -> Result<Lowered, String> {
    let input = MatrixFact::of(node, 0)?;
    let labels = Labels::new(classes(node, "classlabels_int64s", "classlabels_strings")?);
    let classes = labels.len();
    let mut listed = Listed::read(node, "class", classes)?;
    // skl2onnx writes a single zero for boosted trees that start from zero, whatever the number of classes.
    if listed.base == [0.0] {
        listed.base.clear();
    }
    if ![0, 1].contains(&listed.base.len()) {
        check_length("base_values", listed.base.len(), classes)?;
    }
    let voted = Voted::of(&listed, classes);
    let decision = Decision::of(Facts {
        classes,
        only: voted.only,
        all_positive: listed.votes.all().iter().all(|(_, weight)| *weight >= 0.0),
        only_is_always_voted: voted.only_always,
        base: listed.base.len(),
        post: PostTransform::of(node)?,
        follows_trainer,
    })?;
    let only = voted.only.map_or(0, |class| class as usize);
    let base = base(decision, &listed.base, classes, only);
    let sums = Sum {
        is_one: listed.base.is_empty() && voted.add_up,
        is_zero: listed.base.is_empty() && voted.cancel,
    };
    let columns = decision.columns(classes);
    let facts = labels.facts(input.fact, columns, decision.meaning(sums));
    let needs_labels = node.is_used(0);
    let mut shape = Shape {
        outputs: classes,
        base,
        divisor: 1.0,
    };
    // With base values, every class has a score.
    let is_largest = matches!(decision, Decision::Largest(_));
    if is_largest && needs_labels && listed.base.is_empty() && !voted.every_always {
        count_votes(&mut listed.found.trees, classes)?;
        shape.outputs = 2 * classes;
        shape.base.resize(2 * classes, 0.0);
    }
    let sums = Sums::new(&input, listed.found, shape)?;
    let cost = sums.cost();
    let operator = TreeEnsembleClassifier {
        sums,
        labels,
        decision,
        only,
        needs_labels,
    };
    Ok(Lowered::new(operator, facts, cost))
}

/// What the leaves of an ensemble vote for.
#[derive(Debug, Default)]
struct Voted {
    /// The class that all votes are for, if there is only one.
    only: Option<u32>,
    /// Whether every row has a vote for that class.
    only_always: bool,
    /// Whether every row has a vote for every class.
    every_always: bool,
    /// Whether the scores of every row are not negative and add up to 1; those of the only class, to at most 1.
    add_up: bool,
    /// Whether there are two classes, and the score of one is always the negative of the other.
    cancel: bool,
}

impl Voted {
    fn of(listed: &Listed, classes: usize) -> Self {
        /// Weights are rounded to f32.
        const ROUNDING: f64 = 1e-4;
        let all = listed.votes.all();
        let first = all.first().map(|(class, _)| *class);
        let only = first.filter(|first| all.iter().all(|(class, _)| class == first));
        let mut always = vec![false; classes];
        let (mut smallest, mut largest) = (0.0, 0.0);
        let mut cancel = true;
        for tree in &listed.found.trees {
            let (mut leaves, mut counts) = (0_usize, BTreeMap::new());
            let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
            for leaf in tree.nodes.iter().filter_map(votes) {
                leaves += 1;
                cancel &= matches!(*leaf, [(first, a), (second, b)] if first != second && a == -b);
                leaf.iter()
                    .for_each(|(class, _)| *counts.entry(*class).or_insert(0_usize) += 1);
                let weight: f64 = leaf.iter().map(|(_, weight)| weight).sum();
                (least, most) = (weight.min(least), weight.max(most));
            }
            (smallest, largest) = (smallest + least, largest + most);
            for (class, _) in counts.iter().filter(|(_, count)| **count == leaves) {
                always[*class as usize] = true;
            }
        }
        let all_positive = all.iter().all(|(_, weight)| *weight >= 0.0);
        let reach_one = only.is_some() || smallest >= 1.0 - ROUNDING;
        Self {
            only,
            only_always: only.is_some_and(|class| always[class as usize]),
            every_always: always.iter().all(|always| *always),
            cancel: classes == 2 && cancel,
            add_up: all_positive && reach_one && largest <= 1.0 + ROUNDING,
        }
    }
}

/// Returns the votes of a leaf, or `None` for a split.
fn votes(node: &TreeNode) -> Option<Cow<'_, [(u32, f64)]>> {
    match node {
        TreeNode::Leaf(Leaf::One { output, value }) => Some(Cow::Owned(vec![(*output, *value)])),
        TreeNode::Leaf(Leaf::Many(votes)) => Some(Cow::Borrowed(votes)),
        TreeNode::Leaf(Leaf::Linear { .. }) | TreeNode::Split { .. } => None,
    }
}

/// Adds a vote of 1 for a sum after those of the classes to each vote, so that these sums count the votes.
fn count_votes(trees: &mut [Tree], classes: usize) -> Result<(), String> {
    let classes = u32::try_from(classes).map_err(|_| "got too many classes")?;
    for node in trees.iter_mut().flat_map(|tree| &mut tree.nodes) {
        let Some(votes) = votes(node) else { continue };
        let counts = votes
            .iter()
            .map(|(class, _)| (class.saturating_add(classes), 1.0));
        let all = votes.iter().copied().chain(counts).collect();
        *node = TreeNode::Leaf(Leaf::Many(all));
    }
    Ok(())
}

/// Returns the initial value of each sum.
fn base(decision: Decision, values: &[f64], classes: usize, only: usize) -> Vec<f64> {
    match (decision, values.last()) {
        // Of two values, the second one counts.
        (Decision::Second { .. }, Some(last)) => {
            let mut base = vec![0.0; classes];
            base[only] = *last;
            base
        }
        (_, None) => vec![0.0; classes],
        (_, Some(_)) => values.to_vec(),
    }
}

impl Operator for TreeEnsembleClassifier {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let matrix = Matrix::get(inputs, 0)?;
        let rows = matrix.rows;
        let sums = self.sums.of(&matrix)?;
        let classes = self.labels.len();
        let columns = self.decision.columns(classes);
        let mut found = Vec::with_capacity(rows);
        let mut scores = Vec::with_capacity(rows * columns);
        let mut row = vec![0.0; classes];
        for sums in sums.chunks_exact(self.sums.outputs()) {
            let (own, counts) = sums.split_at(classes);
            let class = match self.decision {
                Decision::Single => {
                    scores.extend(own.iter().map(|score| *score as f32));
                    0
                }
                Decision::Second { above, output } => {
                    let pair = output.of(own[self.only]);
                    scores.extend(pair.map(|score| score as f32));
                    usize::from(own[self.only] as f32 > above)
                }
                Decision::Largest(post) => {
                    row.copy_from_slice(own);
                    post.apply(&mut row);
                    scores.extend(row.iter().map(|score| *score as f32));
                    winner(own, counts)
                }
            };
            if self.needs_labels {
                found.push(class);
            }
        }
        Ok(vec![
            self.labels.pick(&found),
            Value::of(vec![rows, columns], scores)?,
        ])
    }

    fn bytes(&self) -> usize {
        self.sums.bytes()
    }
}
