//! What is wrong with a document is refused at its place.

use super::models::{model, small, small_tree};
use super::writer::{Doc, object, text};
use super::*;

const BOOSTER: &str = "learner.gradient_booster";
const MODEL: &str = "learner.gradient_booster.model";
pub(super) const TREE: &str = "learner.gradient_booster.model.trees[0]";
const PARAMETERS: &str = "learner.learner_model_param";

/// Returns the faults of a document.
pub(super) fn faults(doc: &Doc) -> Vec<FormatFault> {
    let faults = read(&doc.json()).expect_err("a fault");
    assert_eq!(
        read(&doc.ubj()).unwrap_err(),
        faults,
        "JSON and UBJ have the same faults"
    );
    faults
}

/// Sets one field of the small model and expects a fault at `at` whose message contains `message`.
pub(super) fn check(
    owner: &str,
    key: &str,
    value: impl Into<Option<Doc>>,
    at: &str,
    message: &str,
) {
    let mut doc = small();
    doc.set(owner, key, value.into());
    let faults = faults(&doc);
    let is_found = faults
        .iter()
        .any(|fault| fault.at == at && fault.message.contains(message));
    assert!(
        is_found,
        "{owner}.{key}: {faults:#?}, expected {at}: {message}"
    );
}

#[test]
fn missing_fields_are_named() {
    for (owner, keys) in [
        ("", &["version", "learner"][..]),
        (
            "learner",
            &["gradient_booster", "learner_model_param", "objective"],
        ),
        (BOOSTER, &["model", "name"]),
        (MODEL, &["gbtree_model_param", "tree_info", "trees"]),
        (PARAMETERS, &["base_score", "num_class", "num_feature"]),
        ("learner.objective", &["name"]),
        (
            TREE,
            &[
                "categories",
                "categories_nodes",
                "categories_segments",
                "categories_sizes",
                "default_left",
                "id",
                "left_children",
                "parents",
                "right_children",
                "split_conditions",
                "split_indices",
                "tree_param",
            ],
        ),
    ] {
        for key in keys {
            let at = format!("{owner}.{key}");
            check(
                owner,
                key,
                None,
                at.trim_start_matches('.'),
                "this field is missing",
            );
        }
    }
}

#[test]
fn fields_of_another_type_are_refused() {
    for (owner, key, value, message) in [
        (
            "",
            "version",
            text("3.2.0"),
            "got \"3.2.0\", expected a list of numbers",
        ),
        ("", "learner", Doc::Null, "got null, expected an object"),
        (BOOSTER, "name", Doc::Integer(1), "got 1, expected a text"),
        (
            PARAMETERS,
            "num_feature",
            Doc::Integer(3),
            "got 3, expected a text",
        ),
        (
            PARAMETERS,
            "num_class",
            text("-1"),
            "expected the text of a whole number",
        ),
        (
            PARAMETERS,
            "base_score",
            Doc::Single(0.5),
            "got 0.5, expected a text",
        ),
        (MODEL, "trees", object([]), "got an object, expected a list"),
        (
            MODEL,
            "tree_info",
            text("0"),
            "got \"0\", expected a list of numbers",
        ),
        (
            "learner",
            "feature_names",
            Doc::Integers(vec![1]),
            "got a list of 1 numbers, expected a list",
        ),
        (
            TREE,
            "left_children",
            Doc::List(vec![object([])]),
            "got a list of 1 values, expected a list of numbers",
        ),
    ] {
        let at = format!("{owner}.{key}");
        check(owner, key, value, at.trim_start_matches('.'), message);
    }
    let indices = Doc::Singles(vec![1.0, 0.5, 0.0, 0.0, 0.0]);
    check(
        TREE,
        "split_indices",
        indices,
        &format!("{TREE}.split_indices[0]"),
        "got 1.0, expected a whole number",
    );
    let flags = Doc::Integers(vec![0, 1, 2, 0, 0]);
    check(
        TREE,
        "default_left",
        flags,
        &format!("{TREE}.default_left[2]"),
        "got 2, expected 0 or 1",
    );
}

#[test]
fn boosters_that_are_inconsistent_are_refused() {
    check(
        BOOSTER,
        "name",
        text("gblinear"),
        &format!("{BOOSTER}.name"),
        "the booster \"gblinear\" is not supported",
    );
    check(
        BOOSTER,
        "name",
        text("dart"),
        &format!("{BOOSTER}.gbtree"),
        "this field is missing",
    );
    for (key, value, message) in [
        (
            "tree_info",
            Doc::Integers(vec![0, 0]),
            "got 2 entries, expected one per tree: 1",
        ),
        (
            "weight_drop",
            Doc::Singles(vec![]),
            "got 0 weights, expected one per tree: 1",
        ),
        (
            "iteration_indptr",
            Doc::Integers(vec![0, 2]),
            "expected ascending numbers of trees from 0 to 1",
        ),
        (
            "iteration_indptr",
            Doc::Integers(vec![1]),
            "expected ascending numbers",
        ),
        (
            "iteration_indptr",
            Doc::Integers(vec![]),
            "expected ascending numbers",
        ),
        (
            "iteration_indptr",
            Doc::Integers(vec![0, -1, 1]),
            "expected ascending numbers",
        ),
    ] {
        check(MODEL, key, value, &format!("{MODEL}.{key}"), message);
    }
}

#[test]
fn the_lists_of_a_booster_must_fit_its_trees() {
    let untrained = model(3, 1, "reg:squarederror", vec![], vec![]);
    assert!(faults(&untrained)[0].message.contains("got no trees"));
    check(
        MODEL,
        "tree_info",
        Doc::Integers(vec![1]),
        &format!("{MODEL}.tree_info[0]"),
        "got 1, expected an output below 1",
    );
    check(
        MODEL,
        "tree_info",
        Doc::Integers(vec![-1]),
        &format!("{MODEL}.tree_info[0]"),
        "got -1, expected an output below 1",
    );
    let parameters = format!("{MODEL}.gbtree_model_param");
    check(
        &parameters,
        "num_trees",
        text("2"),
        &format!("{parameters}.num_trees"),
        "got 2, expected 1, the length of `trees`",
    );
    let weight = Doc::Singles(vec![f32::NAN]);
    check(
        MODEL,
        "weight_drop",
        weight,
        &format!("{TREE}.split_conditions[1]"),
        "the leaf adds -1.0 times NaN",
    );
}

#[test]
fn sizes_that_the_file_cannot_have_are_refused_before_memory_is_reserved() {
    let at = format!("{PARAMETERS}.num_feature");
    check(
        PARAMETERS,
        "num_feature",
        text("4294967295"),
        &at,
        "got 4294967295, expected 1 to 65536",
    );
    check(
        PARAMETERS,
        "num_feature",
        text("0"),
        &at,
        "got 0, expected 1 to 65536",
    );
    check(
        PARAMETERS,
        "num_feature",
        text("4294967296"),
        &at,
        "expected the text of a whole number below 2^32",
    );
    let message = "got 4294967295 outputs and 1 trees";
    check(
        PARAMETERS,
        "num_target",
        text("4294967295"),
        PARAMETERS,
        message,
    );
    let many = format!("{TREE}.tree_param");
    check(
        &many,
        "num_nodes",
        text("4294967295"),
        &format!("{TREE}.left_children"),
        "got 5 values",
    );
}

#[test]
fn versions_after_3_are_refused() {
    for version in [
        vec![4, 0, 0],
        vec![0, 90, 0],
        vec![3, 2],
        vec![3, -1, 0],
        vec![],
        vec![3, 2, 0, 0],
    ] {
        let version = Doc::Integers(version);
        check(
            "",
            "version",
            version,
            "version",
            "expected a version of three numbers",
        );
    }
}

#[test]
fn names_and_types_must_fit_the_inputs() {
    let texts = |texts: &[&str]| Doc::List(texts.iter().map(|&one| text(one)).collect());
    for (key, value, at, message) in [
        (
            "feature_names",
            texts(&["a"]),
            "",
            "got 1 texts, expected one for each of 3 inputs",
        ),
        (
            "feature_names",
            texts(&["a", "b", "a"]),
            "[2]",
            "got \"a\", which is the name of an earlier input",
        ),
        ("feature_types", texts(&["q", "q"]), "", "got 2 texts"),
        (
            "feature_types",
            texts(&["q", "q", "q"]),
            "[2]",
            "a tree splits the input by category",
        ),
        (
            "feature_types",
            texts(&["text", "q", "c"]),
            "[0]",
            "expected float, int, i, q or c",
        ),
        (
            "feature_types",
            Doc::List(vec![text("q"), object([]), text("c")]),
            "[1]",
            "got an object, expected a text",
        ),
    ] {
        check(
            "learner",
            key,
            value,
            &format!("learner.{key}{at}"),
            message,
        );
    }
}

#[test]
fn all_faults_are_returned_together_up_to_a_limit() {
    let mut doc = small();
    doc.set("", "version", Some(Doc::Integers(vec![9, 9, 9])));
    doc.set("learner.objective", "name", Some(text("mine")));
    doc.set(PARAMETERS, "base_score", Some(text("x")));
    doc.set(MODEL, "tree_info", Some(Doc::Integers(vec![7])));
    let found: Vec<_> = faults(&doc).into_iter().map(|fault| fault.at).collect();
    assert_eq!(
        found,
        [
            "version",
            "learner.objective.name",
            "learner.learner_model_param.base_score",
            "learner.gradient_booster.model.tree_info[0]"
        ]
    );
    let trees: Vec<_> = (0..200).map(|_| small_tree().doc(0, 3)).collect();
    let many = faults(&model(3, 1, "reg:squarederror", trees, vec![0; 200]));
    assert_eq!(many.len(), 65);
    assert_eq!(
        many[64],
        FormatFault::new("", "135 more faults are not listed")
    );
}
