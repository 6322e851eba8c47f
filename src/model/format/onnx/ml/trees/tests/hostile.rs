//! Damaged files: each is refused with a reason.

use super::super::super::super::proto::tensor_proto::DataType;
use super::super::super::tests::{matrix, texts};
use super::*;

/// A tree of two splits.
fn valid() -> Vec<Row> {
    vec![
        split(0, 0, "BRANCH_LEQ", 0.5, 1, 2),
        split(0, 1, "BRANCH_LEQ", 0.25, 3, 4),
        leaf(0, 2, [(0, 1.0)]),
        leaf(0, 3, [(0, 2.0)]),
        leaf(0, 4, [(0, 3.0)]),
    ]
}

fn changed(change: impl FnOnce(&mut Vec<Row>)) -> TestNode {
    let mut rows = valid();
    change(&mut rows);
    regressor(1, &rows)
}

#[test]
fn nodes_that_are_no_trees_are_refused() {
    let rows = [matrix(&[[0.0_f32]])];
    assert!(regressor(1, &valid()).lower(&rows).is_ok());
    for (broken, reason) in [
        (
            changed(|rows| rows[1].yes = 9),
            "node 1 of tree 0: its child 9 does not exist",
        ),
        (
            changed(|rows| rows[1].no = -1),
            "node 1 of tree 0: its child -1 does not exist",
        ),
        (
            changed(|rows| rows[3].tree = 1),
            "its child 3 does not exist",
        ),
        (
            changed(|rows| rows[1].yes = 0),
            "node 0 of tree 0 does not belong to a tree",
        ),
        (
            changed(|rows| rows[1].yes = 1),
            "tree 0: got two roots, node 0 of tree 0 and node 3 of tree 0",
        ),
        (
            changed(|rows| rows[1].yes = 2),
            "tree 0: got two roots, node 0 of tree 0 and node 3 of tree 0",
        ),
        (changed(|rows| rows[0].yes = 2), "tree 0: got two roots"),
        (changed(|rows| rows[0].no = 1), "tree 0: got two roots"),
        (
            changed(|rows| rows[4].node = 3),
            "got node 3 of tree 0 twice",
        ),
        (
            changed(|rows| rows[1].mode = "BRANCH_IN"),
            "node 1 of tree 0: unknown mode \"BRANCH_IN\"",
        ),
        (changed(|rows| rows[1].mode = ""), "unknown mode \"\""),
        (
            changed(|rows| rows[1].mode = "LEAF"),
            "tree 0: got two roots",
        ),
        (
            changed(|rows| rows[1].threshold = f32::NAN),
            "node 1 of tree 0: got the threshold NaN",
        ),
        (
            changed(|rows| rows[1].feature = -1),
            "node 1 of tree 0: got feature -1",
        ),
        (
            changed(|rows| rows[1].feature = i64::MAX),
            "got feature 9223372036854775807",
        ),
        (
            changed(|rows| rows[1].feature = 1),
            "got 1 columns, expected at least 2",
        ),
        (
            changed(|rows| rows[1].tracks_true = 2),
            "nodes_missing_value_tracks_true: got 2, expected 0 or 1",
        ),
        (
            changed(|rows| rows[1].votes = vec![(0, 1.0)]),
            "vote 0 is of node 1 of tree 0, which is not a leaf",
        ),
        (
            changed(|rows| rows[2].votes = vec![(1, 1.0)]),
            "got target 1, expected one below 1",
        ),
        (
            changed(|rows| rows[2].votes = vec![(-1, 1.0)]),
            "got target -1, expected one below 1",
        ),
        (
            changed(|rows| rows[2].votes = vec![(0, 1.0), (0, 2.0)]),
            "node 2 of tree 0 votes twice for the same target",
        ),
        (
            changed(|rows| rows[2].votes = vec![(0, f32::INFINITY)]),
            "attribute target_weights: got inf at index 0",
        ),
        (
            changed(|rows| rows.iter_mut().for_each(|row| row.votes.clear())),
            "attribute target_treeids: got no values",
        ),
    ] {
        let got = broken.refusal(&rows);
        assert!(got.contains(reason), "{got} / {reason}");
    }
}

#[test]
fn cycles_apart_from_the_root_are_refused() {
    let mut rows = valid();
    rows.push(split(0, 5, "BRANCH_LEQ", 0.0, 6, 6));
    rows.push(split(0, 6, "BRANCH_LEQ", 0.0, 5, 5));
    let got = regressor(1, &rows).refusal(&[matrix(&[[0.0_f32]])]);
    assert_eq!(got, "node 5 of tree 0 does not belong to a tree");
    let circle = [
        split(0, 0, "BRANCH_LEQ", 0.0, 1, 1),
        split(0, 1, "BRANCH_LEQ", 0.0, 0, 0),
    ];
    let got = regressor(1, &circle).refusal(&[matrix(&[[0.0_f32]])]);
    assert_eq!(got, "tree 0: got no root, its nodes form a cycle");
    // A chain of equal conditions that leads back to itself.
    let mut rows = valid();
    rows.push(split(0, 5, "BRANCH_EQ", 0.0, 2, 6));
    rows.push(split(0, 6, "BRANCH_EQ", 1.0, 2, 5));
    rows[0].no = 5;
    let got = regressor(1, &rows).refusal(&[matrix(&[[0.0_f32]])]);
    assert!(
        got.contains("has several parents, or is its own descendant"),
        "{got}"
    );
}

#[test]
fn lists_of_different_lengths_are_refused() {
    let rows = [matrix(&[[0.0_f32]])];
    let node = regressor(1, &valid());
    for name in [
        "nodes_nodeids",
        "nodes_featureids",
        "nodes_truenodeids",
        "nodes_falsenodeids",
    ] {
        for (list, reason) in [
            (
                vec![0; 4],
                format!("attribute {name}: got 4 values, expected 5"),
            ),
            (vec![], format!("attribute {name}: got no values")),
        ] {
            let got = node.clone().ints(name, list).refusal(&rows);
            assert_eq!(got, reason);
        }
    }
    for (broken, reason) in [
        (
            node.clone().ints("nodes_treeids", [0; 6]),
            "attribute nodes_nodeids: got 5 values, expected 6",
        ),
        (
            node.clone().without("nodes_treeids"),
            "attribute nodes_treeids: got no values",
        ),
        (
            node.clone().floats("nodes_values", [0.0; 6]),
            "attribute nodes_values: got 6 values, expected 5",
        ),
        (
            node.clone().without("nodes_modes"),
            "attribute nodes_modes: got 0 values, expected 5",
        ),
        (
            node.clone().ints("nodes_missing_value_tracks_true", [1]),
            "attribute nodes_missing_value_tracks_true: got 1 values",
        ),
        (
            node.clone().ints("target_nodeids", [2]),
            "attribute target_nodeids: got 1 values, expected 3",
        ),
        (
            node.clone().ints("target_ids", [0; 4]),
            "attribute target_ids: got 4 values, expected 3",
        ),
        (
            node.clone().floats("target_weights", [0.0; 2]),
            "attribute target_weights: got 2 values, expected 3",
        ),
        (
            node.clone().floats("base_values", [0.0; 2]),
            "attribute base_values: got 2 values, expected 1",
        ),
        (
            node.clone().floats("base_values", [f32::NAN]),
            "attribute base_values: got NaN at index 0",
        ),
        (
            node.clone().int("n_targets", 0),
            "attribute n_targets: got 0",
        ),
        (node.clone().int("n_targets", i64::MAX), "but only 3 values"),
        (
            node.clone().int("n_targets", 4),
            "got 4 targets, but only 3 values",
        ),
        (
            node.clone().without("n_targets"),
            "attribute n_targets is missing",
        ),
        (
            node.clone().text("aggregate_function", "MEDIAN"),
            "attribute aggregate_function: got \"MEDIAN\"",
        ),
        (
            node.clone().text("post_transform", "EXP"),
            "attribute post_transform: got \"EXP\"",
        ),
        (
            node.clone().text("post_transform", "LOGISTIC"),
            "LOGISTIC of a single score is not supported",
        ),
        (
            node.small("nodes_values_as_tensor", DataType::Int32, [0; 5]),
            "got elements of type INT32, expected FP32 or FP64",
        ),
    ] {
        let got = broken.refusal(&rows);
        assert!(got.contains(reason), "{got} / {reason}");
    }
    let got = regressor(1, &valid()).refusal(&[texts(&["a"])]);
    assert!(got.contains("got elements of type BYTES"), "{got}");
}

fn linked() -> TestNode {
    node("TreeEnsemble")
        .version(5)
        .int("n_targets", 1)
        .ints("tree_roots", [0])
        .ints("nodes_featureids", [0, 0])
        .small("nodes_modes", DataType::Uint8, [0, 0])
        .singles("nodes_splits", [0.5, 0.25])
        .ints("nodes_truenodeids", [1, 0])
        .ints("nodes_falsenodeids", [2, 1])
        .ints("nodes_trueleafs", [0, 1])
        .ints("nodes_falseleafs", [1, 1])
        .ints("leaf_targetids", [0; 3])
        .singles("leaf_weights", [0.1, 0.2, 0.3])
}

#[test]
fn positions_that_are_no_trees_are_refused() {
    let rows = [matrix(&[[0.0_f32]])];
    assert!(linked().lower(&rows).is_ok());
    for (broken, reason) in [
        (
            linked().ints("tree_roots", []),
            "attribute tree_roots: got no values",
        ),
        (
            linked().ints("tree_roots", [2]),
            "got root 2, expected one below 2",
        ),
        (
            linked().ints("tree_roots", [-1]),
            "got root -1, expected one below 2",
        ),
        (
            linked().ints("tree_roots", [0, 0]),
            "split 0 has several parents",
        ),
        (
            linked().ints("tree_roots", [0, 1]),
            "split 1 has several parents",
        ),
        (
            linked().ints("tree_roots", [1]),
            "split 0 does not belong to a tree",
        ),
        (
            linked().ints("nodes_truenodeids", [0, 0]),
            "split 0 has several parents",
        ),
        (
            linked().ints("nodes_truenodeids", [2, 0]),
            "split 0: got split 2, expected one below 2",
        ),
        (
            linked().ints("nodes_falsenodeids", [3, 1]),
            "split 0: got leaf 3, expected one below 3",
        ),
        (
            linked().ints("nodes_falsenodeids", [2]),
            "attribute nodes_falsenodeids: got 1 values, expected 2",
        ),
        (
            linked().ints("nodes_trueleafs", [0, 2]),
            "split 1: got 2, expected 1 for a leaf and 0 for a split",
        ),
        (
            linked().ints("nodes_falseleafs", []),
            "attribute nodes_falseleafs: got no values",
        ),
        (
            linked().ints("nodes_featureids", [0, -3]),
            "split 1: got feature -3",
        ),
        (
            linked().singles("nodes_splits", [0.5]),
            "attribute nodes_splits: got 1 values, expected 2",
        ),
        (
            linked().singles("nodes_splits", [0.5, f32::NAN]),
            "split 1: got the threshold NaN",
        ),
        (
            linked().without("nodes_splits"),
            "attribute nodes_splits is missing",
        ),
        (
            linked().without("nodes_modes"),
            "attribute nodes_modes is missing",
        ),
        (
            linked().small("nodes_modes", DataType::Uint8, [0, 7]),
            "split 1: unknown mode 7",
        ),
        (
            linked().small("nodes_modes", DataType::Int32, [0, 0]),
            "attribute nodes_modes: got elements of type INT32",
        ),
        (
            linked().small("nodes_modes", DataType::Uint8, [0, 6]),
            "got fewer lists",
        ),
        (
            linked().singles("membership_values", [1.0]),
            "got more lists",
        ),
        (
            linked().ints("leaf_targetids", [0, 0, 1]),
            "got target 1, expected one below 1",
        ),
        (
            linked().ints("leaf_targetids", [0; 2]),
            "attribute leaf_weights: got 3 values, expected 2",
        ),
        (
            linked().singles("leaf_weights", [0.1, f32::NAN, 0.2]),
            "attribute leaf_weights: got NaN at index 1",
        ),
        (linked().int("n_targets", 1 << 40), "but only 3 leaves"),
        (
            linked().int("aggregate_function", 4),
            "attribute aggregate_function: got 4, expected a number up to 3",
        ),
        (
            linked().int("post_transform", -1),
            "attribute post_transform: got -1, expected a number up to 4",
        ),
        (
            linked().ints("nodes_missing_value_tracks_true", [0]),
            "attribute nodes_missing_value_tracks_true: got 1 values",
        ),
    ] {
        let got = broken.refusal(&rows);
        assert!(got.contains(reason), "{got} / {reason}");
    }
}

/// A long path must not need a deep stack.
#[test]
fn long_paths_are_read() {
    let count = 100_000;
    let mut rows: Vec<Row> = (0..count)
        .map(|at| split(0, at * 2, "BRANCH_LEQ", at as f32, at * 2 + 1, at * 2 + 2))
        .collect();
    rows.extend((0..count).map(|at| leaf(0, at * 2 + 1, [(0, at as f32)])));
    rows.push(leaf(0, count * 2, [(0, -1.0)]));
    let outputs = regressor(1, &rows)
        .run(&[matrix(&[[99_999.0_f32], [1e9], [0.0]])])
        .unwrap();
    assert_eq!(outputs[0].elements::<f32>().unwrap(), [99_999.0, -1.0, 0.0]);
}
