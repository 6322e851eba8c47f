//! Nodes with random damage: each is refused, or runs. None of them panics.

use super::super::super::proto::tensor_proto::DataType;
use super::*;

fn trees(operator: &str, prefix: &str) -> TestNode {
    let (split, equal) = ("BRANCH_LEQ", "BRANCH_EQ");
    node(operator)
        .ints("nodes_treeids", [0, 0, 0, 1, 1, 1, 1])
        .ints("nodes_nodeids", [0, 1, 2, 0, 1, 2, 3])
        .ints("nodes_featureids", [0, 0, 0, 1, 1, 0, 0])
        .texts(
            "nodes_modes",
            &[split, "LEAF", "LEAF", equal, equal, "LEAF", "LEAF"],
        )
        .floats("nodes_values", [0.5, 0.0, 0.0, 1.0, 2.0, 0.0, 0.0])
        .ints("nodes_truenodeids", [1, 0, 0, 2, 2, 0, 0])
        .ints("nodes_falsenodeids", [2, 0, 0, 1, 3, 0, 0])
        .ints("nodes_missing_value_tracks_true", [1, 0, 0, 0, 1, 0, 0])
        .ints(&format!("{prefix}_treeids"), [0, 0, 1, 1])
        .ints(&format!("{prefix}_nodeids"), [1, 2, 2, 3])
        .ints(&format!("{prefix}_ids"), [0, 0, 0, 0])
        .floats(&format!("{prefix}_weights"), [0.25, 0.5, 0.25, 0.5])
        .floats("base_values", [0.5])
        .text("post_transform", "NONE")
}

/// Valid nodes, each with an input of two columns.
fn valid() -> Vec<TestNode> {
    vec![
        trees("TreeEnsembleClassifier", "class").ints("classlabels_int64s", [3, 4]),
        trees("TreeEnsembleClassifier", "class")
            .texts("classlabels_strings", &["a", "b", "c"])
            .ints("class_ids", [0, 1, 2, 0])
            .floats("base_values", [0.0, 0.5, 0.25]),
        trees("TreeEnsembleRegressor", "target")
            .int("n_targets", 1)
            .text("aggregate_function", "MIN"),
        trees("TreeEnsembleRegressor", "target").int("n_targets", 1),
        node("TreeEnsemble")
            .version(5)
            .int("n_targets", 1)
            .int("aggregate_function", 1)
            .int("post_transform", 0)
            .ints("tree_roots", [0])
            .ints("nodes_featureids", [0, 1])
            .small("nodes_modes", DataType::Uint8, [0, 6])
            .singles("nodes_splits", [0.5, 0.25])
            .singles("membership_values", [1.0, 2.0, f32::NAN])
            .ints("nodes_truenodeids", [1, 0])
            .ints("nodes_falsenodeids", [2, 1])
            .ints("nodes_trueleafs", [0, 1])
            .ints("nodes_falseleafs", [1, 1])
            .ints("nodes_missing_value_tracks_true", [0, 1])
            .ints("leaf_targetids", [0; 3])
            .singles("leaf_weights", [0.25, 0.5, 0.75]),
        node("LinearClassifier")
            .floats("coefficients", [0.5, 0.25, -0.5, -0.25])
            .floats("intercepts", [0.5, -0.5])
            .int("multi_class", 0)
            .text("post_transform", "LOGISTIC")
            .ints("classlabels_ints", [0, 1]),
        node("LinearRegressor")
            .floats("coefficients", [0.5, 0.25, -0.5, -0.25])
            .floats("intercepts", [0.5, -0.5])
            .int("targets", 2)
            .text("post_transform", "SOFTMAX"),
        node("SVMClassifier")
            .text("kernel_type", "RBF")
            .floats("kernel_params", [0.5, 0.0, 3.0])
            .floats("support_vectors", [0.0, 1.0, 0.5, 0.25, 1.0, 1.0])
            .floats("coefficients", [0.5, -0.5, 0.25])
            .ints("vectors_per_class", [1, 2])
            .floats("rho", [0.25])
            .floats("prob_a", [-1.0])
            .floats("prob_b", [0.5])
            .ints("classlabels_ints", [0, 1]),
        node("SVMRegressor")
            .text("kernel_type", "POLY")
            .floats("kernel_params", [0.5, 0.0, 3.0])
            .floats("support_vectors", [0.0, 1.0, 0.5, 0.25])
            .floats("coefficients", [0.5, -0.5])
            .int("n_supports", 2)
            .int("one_class", 0)
            .floats("rho", [0.25]),
        node("Scaler")
            .floats("offset", [0.5, 1.0])
            .floats("scale", [2.0, 0.5]),
        node("Imputer")
            .floats("imputed_value_floats", [0.5, 1.0])
            .float("replaced_value_float", f32::NAN),
        node("Binarizer").float("threshold", 0.5),
        node("Normalizer").text("norm", "L2"),
        node("FeatureVectorizer").ints("inputdimensions", [2]),
        node("OneHotEncoder")
            .ints("cats_int64s", [0, 1, 2])
            .int("zeros", 1),
        node("LabelEncoder")
            .version(2)
            .floats("keys_floats", [0.5, 1.0])
            .ints("values_int64s", [5, 6])
            .int("default_int64", 7),
        node("LabelEncoder")
            .version(4)
            .singles("keys_tensor", [0.5, 1.0])
            .singles("values_tensor", [0.5, 1.0])
            .singles("default_tensor", [0.25]),
        node("ZipMap").ints("classlabels_int64s", [0, 1]),
    ]
}

#[test]
fn long_texts_are_shortened_in_errors() {
    let rows = [matrix(&[[0.5_f32, 1.0]])];
    let long = &*"x".repeat(10_000);
    for node in [
        trees("TreeEnsembleRegressor", "target")
            .int("n_targets", 1)
            .texts("nodes_modes", &[long; 7]),
        node("Normalizer").text("norm", long),
        node("ZipMap").texts("classlabels_strings", &[long, long]),
        node("OneHotEncoder").texts("cats_strings", &[long, long]),
    ] {
        let reason = node.refusal(&rows);
        assert!(reason.len() < 200, "{reason}");
    }
}

#[test]
fn damaged_nodes_are_refused_or_run() {
    let rows = [matrix(&[
        [0.5_f32, 1.0],
        [f32::NAN, 2.0],
        [f32::INFINITY, -0.0],
    ])];
    for (at, node) in valid().into_iter().enumerate() {
        let name = node.proto.op_type.clone();
        let outcome = node.run(&rows);
        let refuses_nan = name == "Binarizer" && outcome.is_err();
        assert!(outcome.is_ok() || refuses_nan, "{at} {name} {outcome:?}");
        let mut random = Random::new(at as u64);
        for _ in 0..400 {
            let mut damaged = node.clone();
            for _ in 0..=random.below(2) {
                if !damaged.proto.attribute.is_empty() {
                    damaged = damaged.mutated(&mut random);
                }
            }
            if let Err(reason) = damaged.run(&rows) {
                assert!(!reason.is_empty() && reason.len() < 500, "{name}: {reason}");
            }
        }
    }
}
