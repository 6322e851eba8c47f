//! Trees that are wrong are refused at the place of the fault.

use super::models::{Columns, model, small, small_tree};
use super::refusals::{TREE, check, faults};
use super::writer::{Doc, text};
use super::*;

/// A column of the small tree, values that are wrong, the node where, and the message.
const LINKS: &[(&str, [i32; 5], usize, &str)] = &[
    (
        "left_children",
        [5, -1, 3, -1, -1],
        0,
        "got node 5, expected -1 or a node",
    ),
    (
        "left_children",
        [4, -1, 3, -1, -1],
        0,
        "got node 4, expected -1 or a node",
    ),
    (
        "left_children",
        [-2, -1, 3, -1, -1],
        0,
        "got node -2, expected -1 or a node",
    ),
    (
        "left_children",
        [0, -1, 3, -1, -1],
        0,
        "got node 0, which is the root or has another parent",
    ),
    (
        "left_children",
        [1, -1, 1, -1, -1],
        2,
        "got node 1, which is the root or has another parent",
    ),
    (
        "right_children",
        [3, -1, 4, -1, -1],
        0,
        "got node 3, expected node 2",
    ),
    (
        "right_children",
        [2, 3, 4, -1, -1],
        1,
        "got node 3, expected -1",
    ),
    ("parents", [3, 0, 0, 2, 2], 0, "got 3, expected -1"),
    (
        "parents",
        [-1, 0, 0, 1, 2],
        3,
        "got 1, expected 2, whose child it is",
    ),
    (
        "parents",
        [-1, 0, -1, 2, 2],
        2,
        "got -1, expected 0, whose child it is",
    ),
    (
        "split_indices",
        [3, 0, 2, 0, 0],
        0,
        "got 3, expected an index below 3",
    ),
    (
        "split_indices",
        [-1, 0, 2, 0, 0],
        0,
        "got -1, expected an index below 3",
    ),
];

#[test]
fn trees_that_are_inconsistent_are_refused() {
    for &(key, values, node, message) in LINKS {
        // Where the children themselves are wrong, the right child follows the left one.
        let mut doc = small();
        if key == "left_children" {
            let rights = values
                .iter()
                .map(|&left| if left == -1 { -1 } else { left + 1 })
                .collect();
            doc.set(TREE, "right_children", Some(Doc::Integers(rights)));
        }
        doc.set(TREE, key, Some(Doc::Integers(values.to_vec())));
        let at = format!("{TREE}.{key}[{node}]");
        let faults = faults(&doc);
        let is_found = faults
            .iter()
            .any(|fault| fault.at == at && fault.message.contains(message));
        assert!(is_found, "{key} {values:?}: {faults:#?}");
    }
    let conditions = Doc::Singles(vec![f32::NAN, -1.0, 0.0, 2.0, 3.0]);
    check(
        TREE,
        "split_conditions",
        conditions,
        &format!("{TREE}.split_conditions[0]"),
        "the split is not categorical",
    );
    for leaf in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let conditions = Doc::Singles(vec![0.5, leaf, 0.0, 2.0, 3.0]);
        check(
            TREE,
            "split_conditions",
            conditions,
            &format!("{TREE}.split_conditions[1]"),
            "expected a finite number",
        );
    }
    check(
        TREE,
        "id",
        Doc::Integer(1),
        &format!("{TREE}.id"),
        "got 1, expected 0",
    );
}

#[test]
fn columns_must_have_a_value_per_node() {
    for key in [
        "left_children",
        "right_children",
        "parents",
        "split_indices",
    ] {
        let short = Doc::Integers(vec![0; 4]);
        check(
            TREE,
            key,
            short,
            &format!("{TREE}.{key}"),
            "got 4 values, expected one for each of 5 nodes",
        );
    }
    for key in [
        "split_conditions",
        "base_weights",
        "loss_changes",
        "sum_hessian",
    ] {
        let long = Doc::Singles(vec![0.0; 6]);
        check(
            TREE,
            key,
            long,
            &format!("{TREE}.{key}"),
            "got 6 values, expected one for each of 5 nodes",
        );
    }
    let none = Doc::Flags(vec![]);
    check(
        TREE,
        "default_left",
        none,
        &format!("{TREE}.default_left"),
        "got 0 values",
    );
    let none = model(
        3,
        1,
        "reg:squarederror",
        vec![Columns::default().doc(0, 3)],
        vec![0],
    );
    assert_eq!(
        faults(&none)[0].message,
        "got 0, expected at least the root"
    );
}

#[test]
fn parameters_of_a_tree_must_fit_the_tree_and_the_model() {
    let param = format!("{TREE}.tree_param");
    check(
        &param,
        "num_feature",
        text("4"),
        &format!("{param}.num_feature"),
        "got 4, expected 3 as in the model",
    );
    check(
        &param,
        "num_deleted",
        text("1"),
        &format!("{param}.num_deleted"),
        "got 1, expected 0",
    );
    check(
        &param,
        "size_leaf_vector",
        text("2"),
        &format!("{param}.size_leaf_vector"),
        "got 2, expected 1",
    );
}

#[test]
fn nodes_that_are_not_reached_must_be_marked_as_deleted() {
    let mut tree = small_tree();
    for column in [&mut tree.left, &mut tree.right, &mut tree.parents] {
        column.extend([-1, -1]);
    }
    tree.inputs.extend([0, i32::MAX]);
    tree.conditions.extend([0.0; 2]);
    tree.default_left.extend([false; 2]);
    let doc = model(3, 1, "reg:squarederror", vec![tree.doc(0, 3)], vec![0]);
    let faults = faults(&doc);
    assert_eq!(faults.len(), 2, "{faults:#?}");
    assert_eq!(faults[0].at, format!("{TREE}.left_children[5]"));
    assert!(faults[0].message.contains("not marked as deleted"));
    assert_eq!(faults[1].at, format!("{TREE}.tree_param.num_deleted"));
    tree.inputs[5] = i32::MAX;
    let doc = model(3, 1, "reg:squarederror", vec![tree.doc(0, 3)], vec![0]);
    assert_eq!(read(&doc.ubj()).unwrap().ensemble.trees[0].nodes.len(), 5);
}

#[test]
fn categories_that_are_inconsistent_are_refused() {
    for (key, values, at, message) in [
        (
            "categories_nodes",
            vec![1],
            "",
            "differ from those whose `split_type` is 1",
        ),
        (
            "categories_nodes",
            vec![],
            "",
            "got 0 nodes, 1 segments and 1 sizes",
        ),
        ("categories_segments", vec![1], "[0]", "got 1, expected 0"),
        ("categories_segments", vec![-1], "[0]", "got -1, expected 0"),
        ("categories_sizes", vec![0], "[0]", "got 0, expected 1 to 2"),
        ("categories_sizes", vec![3], "[0]", "got 3, expected 1 to 2"),
        (
            "categories_sizes",
            vec![-1],
            "[0]",
            "got -1, expected 1 to 2",
        ),
        (
            "categories_sizes",
            vec![1],
            "",
            "got 2 categories, expected 1",
        ),
        (
            "categories",
            vec![1, -1],
            "[1]",
            "got -1, expected a category from 0 to 16777215",
        ),
        (
            "categories",
            vec![1, 1 << 24],
            "[1]",
            "got 16777216, expected a category",
        ),
        (
            "split_type",
            vec![0, 0, 2, 0, 0],
            "[2]",
            "got 2, expected 0 (numeric) or 1 (categorical)",
        ),
    ] {
        let place = match key {
            "categories_sizes" if at.is_empty() => format!("{TREE}.categories"),
            _ => format!("{TREE}.{key}{at}"),
        };
        check(TREE, key, Doc::Integers(values), &place, message);
    }
    // Two sets that overlap would let a small file describe a huge model.
    let mut tree = small_tree();
    tree.categories = vec![(0, vec![1, 2]), (2, vec![3])];
    let mut doc = model(3, 1, "reg:squarederror", vec![tree.doc(0, 3)], vec![0]);
    doc.set(TREE, "categories_segments", Some(Doc::Integers(vec![0, 0])));
    assert!(
        faults(&doc)[0]
            .message
            .contains("got 0, expected 2, where the set before it ends")
    );
}
