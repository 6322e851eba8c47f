//! Scores rows in the plainest way: node by node in f32, as XGBoost does.

use crate::model::trees::{Leaf, Missing, Node, Test, Tree, TreeModel};

/// Returns the predictions of one row.
#[expect(clippy::cast_possible_truncation, reason = "XGBoost computes in f32")]
pub(super) fn predict(model: &TreeModel, row: &[f32]) -> Vec<f32> {
    assert_eq!(row.len(), model.ensemble.inputs);
    let mut sums: Vec<f32> = model.ensemble.base.iter().map(|&x| x as f32).collect();
    for tree in &model.ensemble.trees {
        match leaf(tree, row) {
            Leaf::One { output, value } => sums[*output as usize] += *value as f32,
            Leaf::Many(values) => {
                for (output, value) in values {
                    sums[*output as usize] += *value as f32;
                }
            }
            Leaf::Linear { .. } => panic!("XGBoost has no linear trees"),
        }
    }
    let sums: Vec<f64> = sums.into_iter().map(f64::from).collect();
    let mut predictions = vec![f32::NAN; model.link.columns(sums.len())];
    model.link.apply(&sums, sums.len(), &mut predictions);
    predictions
}

fn leaf<'a>(tree: &'a Tree, row: &[f32]) -> &'a Leaf {
    let mut at = 0;
    loop {
        match &tree.nodes[at as usize] {
            Node::Leaf(leaf) => return leaf,
            Node::Split {
                input,
                test,
                missing,
                yes,
                no,
            } => {
                let x = row[*input as usize];
                let goes_yes = match x.is_nan() {
                    true => *missing == Missing::Yes,
                    false => holds(test, x),
                };
                at = if goes_yes { *yes } else { *no };
            }
        }
    }
}

fn holds(test: &Test, x: f32) -> bool {
    match test {
        Test::Less(threshold) => f64::from(x) < *threshold,
        Test::In {
            codes,
            truncates_first: false,
        } => {
            assert!(codes.is_sorted_by(|one, next| one < next), "{codes:?}");
            x >= 0.0 && codes.contains(&(x as u32))
        }
        other => panic!("XGBoost has no such test: {other:?}"),
    }
}
