//! What differs between files of different versions of XGBoost.

use super::evaluator::predict;
use super::models::{model, small, small_tree};
use super::writer::{Doc, object, text};
use super::*;
use crate::model::trees::{Leaf, Missing, Node, Test};

const MODEL: &str = "learner.gradient_booster.model";
const TREE: &str = "learner.gradient_booster.model.trees[0]";

/// Sets the version of a file.
pub(super) fn version(doc: &mut Doc, version: [i64; 3]) {
    let version = Doc::List(version.map(Doc::Integer).into());
    doc.set("", "version", Some(version));
}

#[test]
fn files_of_1_0_have_fewer_fields() {
    let mut tree = small_tree();
    tree.categories.clear();
    let mut doc = model(3, 1, "reg:linear", vec![tree.doc(0, 3)], vec![0]);
    let expected = read(&doc.json()).unwrap();
    version(&mut doc, [1, 0, 2]);
    for key in [
        "categories",
        "categories_nodes",
        "categories_segments",
        "categories_sizes",
        "split_type",
    ] {
        doc.set(TREE, key, None);
    }
    doc.set(&format!("{TREE}.tree_param"), "num_deleted", None);
    doc.set(
        &format!("{TREE}.tree_param"),
        "size_leaf_vector",
        Some(text("0")),
    );
    doc.set(
        &format!("{MODEL}.gbtree_model_param"),
        "num_parallel_tree",
        None,
    );
    for key in ["feature_names", "feature_types"] {
        doc.set("learner", key, None);
    }
    doc.set("learner.learner_model_param", "num_target", None);
    doc.set(
        "learner.learner_model_param",
        "base_score",
        Some(text("0.500000")),
    );
    let model = read(&doc.json()).unwrap();
    assert_eq!(model.ensemble, expected.ensemble);
    assert_eq!(model.framework, "xgboost 1.0.2");
    assert_eq!(model.objective, "reg:linear");
}

#[test]
fn nan_is_a_legal_condition_of_categorical_splits() {
    let mut tree = small_tree();
    tree.conditions[2] = f32::NAN;
    let doc = model(3, 1, "reg:squarederror", vec![tree.doc(0, 3)], vec![0]);
    assert!(String::from_utf8(doc.json()).unwrap().contains("NaN"));
    assert_eq!(
        read(&doc.json()).unwrap().ensemble,
        read(&small().ubj()).unwrap().ensemble
    );
}

#[test]
fn categorical_splits_send_their_set_to_the_right() {
    let model = read(&small().json()).unwrap();
    // Input 1 decides first, below 0.5 and missing to a leaf of -1. Then input 2: categories 1 and 4 to a leaf of 3.
    for (row, expected, why) in [
        ([0.0, 0.0, 1.0], -0.5, "numeric, below"),
        (
            [0.0, f32::NAN, 1.0],
            -0.5,
            "missing goes to the default, left",
        ),
        (
            [0.0, 0.5, 1.0],
            3.5,
            "numeric, equal is not below; in the set",
        ),
        ([0.0, 1.0, 4.9], 3.5, "truncated to 4"),
        ([0.0, 1.0, 0.0], 2.5, "not in the set"),
        ([0.0, 1.0, -0.5], 2.5, "negative before truncation"),
        ([0.0, 1.0, -1.0], 2.5, "negative"),
        ([0.0, 1.0, 33.0], 2.5, "unknown"),
        ([0.0, 1.0, 16_777_217.0], 2.5, "beyond all categories"),
        ([0.0, 1.0, f32::INFINITY], 2.5, "infinite"),
        (
            [0.0, 1.0, f32::NAN],
            3.5,
            "missing goes to the default, right",
        ),
    ] {
        assert_eq!(predict(&model, &row), [expected], "{why}");
    }
    let Node::Split {
        test,
        missing,
        yes,
        no,
        ..
    } = &model.ensemble.trees[0].nodes[2]
    else {
        panic!("not a split");
    };
    let set = Test::In {
        codes: vec![1, 4],
        truncates_first: false,
    };
    assert_eq!((test, *missing, *yes, *no), (&set, Missing::Yes, 4, 3));
}

#[test]
fn releases_with_another_rule_for_categories_are_noted() {
    for (number, expected) in [
        ([1, 5, 2], false),
        ([1, 6, 0], true),
        ([1, 7, 6], true),
        ([2, 0, 0], false),
    ] {
        let mut doc = small();
        version(&mut doc, number);
        let notes = read(&doc.json()).unwrap().notes.join(" ");
        assert_eq!(
            notes.contains("XGBoost 1.6 and 1.7 treat some categories"),
            expected,
            "{number:?}"
        );
        doc.set(TREE, "default_left", Some(Doc::Flags(vec![true; 5])));
        let notes = read(&doc.json()).unwrap().notes.join(" ");
        assert!(!notes.contains("1.6"), "{notes}");
    }
}

/// Returns a model with the columns of a tree with two outputs per leaf, in the layout before 3.2.
fn vectors() -> Doc {
    let mut tree = small_tree();
    tree.vectors = (0..5)
        .map(|node| vec![node as f32, -(node as f32)])
        .collect();
    model(3, 2, "reg:squarederror", vec![tree.doc(0, 3)], vec![0])
}

#[test]
fn vectors_are_in_base_weights_or_in_leaf_weights() {
    let mut doc = vectors();
    let before = read(&doc.json()).unwrap();
    assert_eq!(
        before.ensemble.trees[0].nodes[3],
        Node::Leaf(Leaf::Many(vec![(0, 3.0), (1, -3.0)]))
    );
    // Since 3.2 the leaf has the row in `right_children`. `base_weights` may have another width.
    doc.set(
        TREE,
        "right_children",
        Some(Doc::Integers(vec![2, 2, 4, 0, 1])),
    );
    doc.set(
        TREE,
        "leaf_weights",
        Some(Doc::Singles(vec![3.0, -3.0, 4.0, -4.0, 1.0, -1.0])),
    );
    doc.set(TREE, "base_weights", Some(Doc::Singles(vec![0.0; 5])));
    for bytes in [doc.json(), doc.ubj()] {
        assert_eq!(read(&bytes).unwrap().ensemble, before.ensemble);
    }
    for (key, value, at, message) in [
        (
            "right_children",
            Doc::Integers(vec![2, 3, 4, 0, 1]),
            "[1]",
            "got 3, expected a row of `leaf_weights` that no other leaf has, of 3",
        ),
        (
            "right_children",
            Doc::Integers(vec![2, -1, 4, 0, 1]),
            "[1]",
            "got -1, expected a row",
        ),
        (
            "right_children",
            Doc::Integers(vec![2, 0, 4, 0, 1]),
            "[3]",
            "got 0, expected a row",
        ),
        (
            "leaf_weights",
            Doc::Singles(vec![0.0; 5]),
            "",
            "got 5 numbers, expected a multiple of 2",
        ),
        (
            "leaf_weights",
            Doc::Singles(vec![f32::NAN; 6]),
            "[1]",
            "expected a finite number",
        ),
    ] {
        let mut broken = doc.clone();
        broken.set(TREE, key, Some(value));
        let faults = read(&broken.json()).unwrap_err();
        assert_eq!(faults[0].at, format!("{TREE}.{key}{at}"), "{faults:?}");
        assert!(faults[0].message.contains(message), "{faults:?}");
    }
    let mut broken = vectors();
    broken.set(TREE, "base_weights", Some(Doc::Singles(vec![0.0; 9])));
    let faults = read(&broken.ubj()).unwrap_err();
    assert_eq!(
        faults[0].message,
        "got 9 numbers, expected 2 for each of 5 nodes"
    );
}

#[test]
fn weights_of_dart_multiply_the_leaves_in_f32() {
    let trees: Vec<_> = (0..2).map(|at| small_tree().doc(at, 3)).collect();
    let weights = Doc::List(vec![Doc::Single(0.1), Doc::Single(1.0)]);
    let plain = model(3, 1, "reg:squarederror", trees, vec![0, 0]);
    let mut new = plain.clone();
    new.set(MODEL, "weight_drop", Some(weights.clone()));
    let mut old = plain.clone();
    let booster = plain.clone().at("learner.gradient_booster").clone();
    let dart = object([
        ("gbtree", booster),
        ("name", text("dart")),
        ("weight_drop", weights),
    ]);
    *old.at("learner.gradient_booster") = dart;
    let model = read(&new.json()).unwrap();
    assert_eq!(read(&old.ubj()).unwrap().ensemble, model.ensemble);
    let leaf = |tree: usize| &model.ensemble.trees[tree].nodes[4];
    let (output, value) = (0, f64::from(3.0 * 0.1_f32));
    assert_eq!(leaf(0), &Node::Leaf(Leaf::One { output, value }));
    assert_eq!(leaf(1), &Node::Leaf(Leaf::One { output, value: 3.0 }));
}

/// Returns a model of six trees, two outputs, with these attributes.
fn stopped(attributes: &[(&str, &str)]) -> Doc {
    let trees = (0..6).map(|at| small_tree().doc(at, 3)).collect();
    let mut doc = model(3, 2, "reg:squarederror", trees, vec![0, 1, 0, 1, 0, 1]);
    for (key, value) in attributes {
        doc.set("learner.attributes", key, Some(text(*value)));
    }
    doc
}

fn best(doc: &Doc) -> Result<usize, String> {
    let iterations = Iterations::Best;
    let model = read_with(&doc.json(), Options { iterations });
    match model {
        Ok(model) => Ok(model.ensemble.trees.len()),
        Err(faults) => Err(format!("{}: {}", faults[0].at, faults[0].message)),
    }
}

#[test]
fn the_trees_of_the_best_iteration_are_found_in_all_versions() {
    let attributes = [("best_iteration", "1")];
    let mut doc = stopped(&attributes);
    assert_eq!(
        best(&doc),
        Ok(4),
        "one tree per output, as `num_parallel_tree` says"
    );
    doc.set(
        MODEL,
        "iteration_indptr",
        Some(Doc::Integers(vec![0, 1, 5, 6])),
    );
    assert_eq!(best(&doc), Ok(5), "as `iteration_indptr` says");

    let parameters = format!("{MODEL}.gbtree_model_param");
    for (limit, expected) in [("2", Ok(4)), ("1", Err(()))] {
        let mut doc = stopped(&[("best_iteration", "1"), ("best_ntree_limit", limit)]);
        doc.set(&parameters, "num_parallel_tree", None);
        assert_eq!(
            best(&doc).map_err(drop),
            expected,
            "before 1.6, best_ntree_limit {limit}"
        );
    }
    let mut doc = stopped(&attributes);
    doc.set(&parameters, "num_parallel_tree", None);
    assert!(
        best(&doc)
            .unwrap_err()
            .contains("does not say how many trees an iteration has")
    );
    assert_eq!(read(&doc.json()).unwrap().ensemble.trees.len(), 6);

    assert!(
        best(&stopped(&[]))
            .unwrap_err()
            .contains("the file has no best iteration")
    );
    for (value, message) in [
        ("3", "got 3, expected an iteration below 3"),
        ("x", "expected the text of a whole number"),
    ] {
        let doc = stopped(&[("best_iteration", value)]);
        assert!(best(&doc).unwrap_err().contains(message));
    }
    for value in ["2", "3"] {
        let model = read(&stopped(&[("best_iteration", value)]).json()).unwrap();
        let is_noted = model.notes.iter().any(|note| note.contains("best"));
        assert!(!is_noted, "nothing to choose: {:?}", model.notes);
    }
}
