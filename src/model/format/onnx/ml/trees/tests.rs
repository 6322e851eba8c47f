use super::super::tests::{Random, TestNode, node};

mod classifiers;
mod hostile;
mod layouts;
mod random;

/// Votes of a leaf: class or target, and weight.
pub(super) type Leaf = Vec<(i64, f32)>;

/// A node of version 1 or 3, as it is listed in a file.
#[derive(Clone, Debug)]
struct Row {
    tree: i64,
    node: i64,
    feature: i64,
    mode: &'static str,
    threshold: f32,
    yes: i64,
    no: i64,
    tracks_true: i64,
    votes: Leaf,
}

fn split(tree: i64, node: i64, mode: &'static str, threshold: f32, yes: i64, no: i64) -> Row {
    Row {
        tree,
        node,
        feature: 0,
        mode,
        threshold,
        yes,
        no,
        tracks_true: 0,
        votes: Vec::new(),
    }
}

fn leaf(tree: i64, node: i64, votes: impl Into<Leaf>) -> Row {
    Row {
        votes: votes.into(),
        ..split(tree, node, "LEAF", 0.0, 0, 0)
    }
}

/// Adds the attributes of nodes and votes. `prefix` is `class` or `target`.
fn listed(operator: &str, prefix: &str, rows: &[Row]) -> TestNode {
    let ints = |of: fn(&Row) -> i64| rows.iter().map(of).collect::<Vec<_>>();
    let modes: Vec<_> = rows.iter().map(|row| row.mode).collect();
    let thresholds: Vec<_> = rows.iter().map(|row| row.threshold).collect();
    let votes = rows
        .iter()
        .flat_map(|row| row.votes.iter().map(move |vote| (row, vote)));
    let votes: Vec<_> = votes.collect();
    let of_votes = |of: fn(&(&Row, &(i64, f32))) -> i64| votes.iter().map(of).collect::<Vec<_>>();
    let weights: Vec<_> = votes.iter().map(|(_, (_, weight))| *weight).collect();
    node(operator)
        .ints("nodes_treeids", ints(|row| row.tree))
        .ints("nodes_nodeids", ints(|row| row.node))
        .ints("nodes_featureids", ints(|row| row.feature))
        .texts("nodes_modes", &modes)
        .floats("nodes_values", thresholds)
        .ints("nodes_truenodeids", ints(|row| row.yes))
        .ints("nodes_falsenodeids", ints(|row| row.no))
        .ints(
            "nodes_missing_value_tracks_true",
            ints(|row| row.tracks_true),
        )
        .ints(&format!("{prefix}_treeids"), of_votes(|(row, _)| row.tree))
        .ints(&format!("{prefix}_nodeids"), of_votes(|(row, _)| row.node))
        .ints(
            &format!("{prefix}_ids"),
            of_votes(|(_, (target, _))| *target),
        )
        .floats(&format!("{prefix}_weights"), weights)
}

fn regressor(targets: i64, rows: &[Row]) -> TestNode {
    listed("TreeEnsembleRegressor", "target", rows).int("n_targets", targets)
}

/// A classifier of trees with one split each: `x <= 0.5`, where `x` is the feature with the number of the tree.
fn stumps(classes: i64, trees: &[(Leaf, Leaf)]) -> TestNode {
    let rows = trees.iter().zip(0..).flat_map(|((yes, no), tree)| {
        let root = Row {
            feature: tree,
            ..split(tree, 0, "BRANCH_LEQ", 0.5, 1, 2)
        };
        [root, leaf(tree, 1, yes.clone()), leaf(tree, 2, no.clone())]
    });
    listed("TreeEnsembleClassifier", "class", &rows.collect::<Vec<_>>())
        .ints("classlabels_int64s", (10..10 + classes).collect::<Vec<_>>())
}
