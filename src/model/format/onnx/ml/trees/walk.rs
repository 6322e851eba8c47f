//! The leaf that a row reaches in one tree.

use crate::model::trees::{Leaf, Missing, Node, Test, Tree};

/// Returns the leaf that a row reaches, or `None` if the tree is malformed. `row` has a value for each feature.
pub(super) fn leaf<'a>(tree: &'a Tree, row: &[f64]) -> Option<&'a Leaf> {
    let mut at = 0;
    // Each step goes to another node, so that a tree without a leaf ends here.
    for _ in 0..tree.nodes.len() {
        let Node::Split {
            input,
            test,
            missing,
            yes,
            no,
        } = tree.nodes.get(at)?
        else {
            break;
        };
        let x = *row.get(*input as usize)?;
        let is_yes = if x.is_nan() {
            *missing == Missing::Yes
        } else {
            holds(test, x)
        };
        at = *(if is_yes { yes } else { no }) as usize;
    }
    match tree.nodes.get(at)? {
        Node::Leaf(leaf) => Some(leaf),
        Node::Split { .. } => None,
    }
}

fn holds(test: &Test, x: f64) -> bool {
    match test {
        Test::Less(threshold) => x < *threshold,
        Test::LessOrEqual(threshold) => x <= *threshold,
        Test::Greater(threshold) => x > *threshold,
        Test::GreaterOrEqual(threshold) => x >= *threshold,
        Test::Equal(threshold) => x == *threshold,
        Test::NotEqual(threshold) => x != *threshold,
        Test::Among(values) => {
            let less = values.partition_point(|value| *value < x);
            values.get(less) == Some(&x)
        }
        // Not a condition of ONNX.
        Test::In { .. } => false,
    }
}
