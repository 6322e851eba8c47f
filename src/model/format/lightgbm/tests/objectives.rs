//! What the objective says about the predictions.

use crate::model::trees::{Link, Precision, Predicted};

use super::super::read;
use super::faults;
use super::writer;

/// Returns the text of a model with one constant tree per sum.
fn text(sums: usize, objective: &str) -> String {
    use crate::model::trees::{Ensemble, Leaf, Node, Tree};
    let tree = |output| Tree {
        nodes: vec![Node::Leaf(Leaf::One { output, value: 0.5 })],
    };
    let ensemble = Ensemble {
        inputs: 1,
        outputs: sums,
        base: vec![0.0; sums],
        divisor: 1.0,
        trees: (0..sums as u32).map(tree).collect(),
    };
    writer::write(&ensemble, objective)
}

const fn sigmoid(slope: f64) -> Link {
    Link::Sigmoid {
        slope,
        precision: Precision::Double,
    }
}

#[test]
fn each_objective_has_its_link() {
    let exp = Link::Exp(Precision::Double);
    for (objective, name, link) in [
        ("regression", "regression", Link::Identity),
        ("regression sqrt", "regression", Link::SignedSquare),
        ("regression_l2", "regression", Link::Identity),
        ("regression_l1", "regression_l1", Link::Identity),
        ("regression_l1 sqrt", "regression_l1", Link::SignedSquare),
        ("huber", "huber", Link::Identity),
        ("fair sqrt", "fair", Link::SignedSquare),
        ("quantile", "quantile", Link::Identity),
        ("mape", "mape", Link::Identity),
        ("poisson", "poisson", exp),
        ("gamma", "gamma", exp),
        ("tweedie", "tweedie", exp),
        ("binary sigmoid:1", "binary", sigmoid(1.0)),
        ("binary sigmoid:0.7", "binary", sigmoid(0.7)),
        ("cross_entropy", "cross_entropy", sigmoid(1.0)),
        ("xentropy", "cross_entropy", sigmoid(1.0)),
        (
            "cross_entropy_lambda",
            "cross_entropy_lambda",
            Link::Log1pExp,
        ),
        ("xentlambda", "cross_entropy_lambda", Link::Log1pExp),
        ("lambdarank", "lambdarank", Link::Identity),
        ("rank_xendcg", "rank_xendcg", Link::Identity),
        ("none", "", Link::Identity),
        ("", "", Link::Identity),
    ] {
        let model = read(text(1, objective).as_bytes()).expect(objective);
        assert_eq!(model.objective, name, "{objective}");
        assert_eq!(model.link, link, "{objective}");
        let is_binary = name == "binary";
        assert_eq!(model.predicted == Predicted::Probability, is_binary);
        let has_note = model
            .notes
            .iter()
            .any(|note| note.contains("has no objective"));
        assert_eq!(has_note, name.is_empty(), "{objective}");
    }
}

#[test]
fn objectives_of_classes_have_a_sum_per_class() {
    for (sums, objective, link, predicted) in [
        (
            3,
            "multiclass num_class:3",
            Link::Softmax(Precision::Double),
            Predicted::Probabilities,
        ),
        (
            2,
            "multiclassova num_class:2 sigmoid:2",
            sigmoid(2.0),
            Predicted::Probabilities,
        ),
        (3, "", Link::Identity, Predicted::Values),
    ] {
        let model = read(text(sums, objective).as_bytes()).expect(objective);
        assert_eq!(model.link, link, "{objective}");
        assert_eq!(model.predicted, predicted, "{objective}");
        assert_eq!(model.ensemble.outputs, sums, "{objective}");
    }
}

#[test]
fn other_objectives_are_refused_by_name() {
    let form = "expected num_class:N, sigmoid:K with K above 0, or sqrt";
    for (sums, objective, expected) in [
        (1, "ordinal", "objective: got \"ordinal\", which taper does not know".to_owned()),
        (1, "binary", "objective: sigmoid:K is missing".to_owned()),
        (1, "binary sigmoid:0", format!("objective: got \"sigmoid:0\", {form}")),
        (1, "binary sigmoid:nan", format!("objective: got \"sigmoid:nan\", {form}")),
        (1, "binary sigmoid:1 sigmoid:1", format!("objective: got \"sigmoid:1\", {form}")),
        (1, "regression power:3", format!("objective: got \"power:3\", {form}")),
        (1, "poisson sqrt", "objective: sqrt is not a parameter of \"poisson\"".to_owned()),
        (1, "huber sqrt", "objective: sqrt is not a parameter of \"huber\"".to_owned()),
        (1, "regression sigmoid:1", "objective: sigmoid is not a parameter of \"regression\"".to_owned()),
        (3, "multiclass", "objective: multiclass has no num_class".to_owned()),
        (
            3,
            "multiclass num_class:4",
            "objective: got num_class:4 and num_tree_per_iteration 3, expected the same number, at least 2".to_owned(),
        ),
        (3, "multiclass num_class:3 sigmoid:1", "objective: sigmoid is not a parameter of \"multiclass\"".to_owned()),
        (3, "multiclassova num_class:3", "objective: sigmoid:K is missing".to_owned()),
        (3, "regression", "num_tree_per_iteration: got 3, expected 1 for the objective \"regression\"".to_owned()),
    ] {
        assert_eq!(faults(&text(sums, objective)), [expected], "{objective}");
    }
}
