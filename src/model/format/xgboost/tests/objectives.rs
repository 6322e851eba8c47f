//! Base scores, links and kinds of predictions.

use super::super::objective::{Objective, ToMargin};
use super::models::{model, small_tree};
use super::writer::{Doc, text};
use super::*;
use crate::model::trees::{Link, Precision};

#[test]
fn each_objective_has_its_margin_and_link() {
    let sigmoid = Link::Sigmoid {
        slope: 1.0,
        precision: Precision::Single,
    };
    let exp = Link::Exp(Precision::Single);
    let softmax = Link::Softmax(Precision::Single);
    let (same, logit) = (ToMargin::Same, ToMargin::Logit);
    let (values, class) = (Predicted::Values, Predicted::Class);
    let mut expected = vec![
        ("binary:logistic", 1, logit, sigmoid, Predicted::Probability),
        ("binary:logistic", 3, logit, sigmoid, values.clone()),
        ("reg:logistic", 1, logit, sigmoid, values.clone()),
        ("binary:hinge", 1, same, Link::Step, class(2)),
        ("binary:hinge", 2, same, Link::Step, values.clone()),
        ("multi:softprob", 3, same, softmax, Predicted::Probabilities),
        ("multi:softmax", 3, same, Link::ArgMax, class(3)),
    ];
    for name in [
        "reg:squarederror",
        "reg:linear",
        "reg:squaredlogerror",
        "reg:absoluteerror",
        "reg:pseudohubererror",
        "reg:quantileerror",
        "rank:pairwise",
        "rank:ndcg",
        "rank:map",
    ] {
        expected.push((name, 2, same, Link::Identity, values.clone()));
    }
    for name in [
        "reg:gamma",
        "reg:tweedie",
        "count:poisson",
        "survival:cox",
        "survival:aft",
    ] {
        expected.push((name, 1, ToMargin::Ln, exp, values.clone()));
    }
    for (name, outputs, to_margin, link, predicted) in expected {
        let objective = Objective::find(name).unwrap();
        assert_eq!(objective.to_margin, to_margin, "{name}");
        assert_eq!(objective.link, link, "{name}");
        assert_eq!(objective.predicted(outputs), Ok(predicted), "{name}");
    }
}

#[test]
fn unknown_objectives_are_refused_by_name() {
    for (name, reason) in [
        ("binary:logitraw", "train with binary:logistic"),
        ("reg:expectileerror", "its definition changed"),
        ("my_objective", "not an objective of XGBoost"),
        ("", "not an objective of XGBoost"),
    ] {
        let message = Objective::find(name).unwrap_err();
        assert!(
            message.contains(reason) && message.contains(name),
            "{message}"
        );
    }
    for name in ["multi:softprob", "multi:softmax"] {
        let message = Objective::find(name).unwrap().predicted(1).unwrap_err();
        assert_eq!(
            message,
            "got 1 class, expected at least 2 for an objective of several classes"
        );
    }
}

#[test]
fn base_scores_become_margins_in_f32() {
    for (to_margin, score, expected) in [
        (ToMargin::Same, -3.5, -3.5),
        (ToMargin::Logit, 0.5, 0.0),
        (ToMargin::Logit, 0.25, -1.098_612_3),
        (ToMargin::Logit, 1.0, 13.745_16),
        (ToMargin::Logit, 0.0, -13.815_51),
        (ToMargin::Logit, 1e-7, -13.815_51),
        (ToMargin::Ln, 1.0, 0.0),
        (ToMargin::Ln, 0.5, -std::f32::consts::LN_2),
    ] {
        let margin = to_margin.margin(score).unwrap();
        assert!(
            (margin - expected).abs() < 2e-6,
            "{to_margin:?} of {score}: {margin}"
        );
    }
    for (to_margin, score) in [
        (ToMargin::Logit, -0.1),
        (ToMargin::Logit, 1.000_001),
        (ToMargin::Ln, 0.0),
        (ToMargin::Ln, -1.0),
        (ToMargin::Same, f32::NAN),
        (ToMargin::Same, f32::INFINITY),
    ] {
        let message = to_margin.margin(score).unwrap_err();
        assert!(
            message.starts_with(&format!("got the base score {score:?}, expected ")),
            "{message}"
        );
    }
}

/// Returns a model of three outputs with this base score.
fn with_base_score(score: &str) -> Result<TreeModel, Vec<FormatFault>> {
    let trees = (0..3).map(|at| small_tree().doc(at, 3)).collect();
    let mut doc = model(3, 3, "reg:squarederror", trees, vec![0, 1, 2]);
    doc.set(
        "learner.learner_model_param",
        "base_score",
        Some(text(score)),
    );
    read(&doc.json())
}

#[test]
fn base_scores_are_one_for_all_or_one_per_output() {
    for (score, expected) in [
        ("5E-1", [0.5, 0.5, 0.5]),
        ("2", [2.0, 2.0, 2.0]),
        ("[-2.5E-1]", [-0.25, -0.25, -0.25]),
        ("[1E0,2E0,3E0]", [1.0, 2.0, 3.0]),
        ("[1, 2, 3]", [1.0, 2.0, 3.0]),
    ] {
        let model = with_base_score(score).unwrap();
        assert_eq!(model.ensemble.base, expected, "{score}");
    }
    for score in [
        "",
        "[]",
        "[1",
        "1]",
        "a",
        "nan",
        "inf",
        "[1E0,2E0]",
        "[1,2,3,4]",
        "1 2",
        "NaN",
        "1E99",
    ] {
        let faults = with_base_score(score).unwrap_err();
        assert_eq!(
            faults[0].at, "learner.learner_model_param.base_score",
            "{score}"
        );
    }
}

#[test]
fn notes_say_what_the_columns_are() {
    let trees: Vec<_> = (0..3).map(|at| small_tree().doc(at, 3)).collect();
    let mut doc = model(3, 3, "reg:quantileerror", trees.clone(), vec![0, 1, 2]);
    let alphas = super::writer::object([("quantile_alpha", text("[0.1,0.5,0.9]"))]);
    doc.set("learner.objective", "quantile_loss_param", Some(alphas));
    let notes = read(&doc.json()).unwrap().notes.join(" ");
    assert!(
        notes.contains("The columns are the quantiles [0.1,0.5,0.9] of each target."),
        "{notes}"
    );
    assert!(
        notes.contains("The file does not name the inputs."),
        "{notes}"
    );
    assert!(
        notes.contains("the categories of 1 of the inputs"),
        "{notes}"
    );

    let doc = model(3, 3, "binary:logistic", trees, vec![0, 1, 2]);
    let notes = read(&doc.ubj()).unwrap().notes.join(" ");
    assert!(
        notes.contains("Each of the 3 columns is a target of its own with two classes."),
        "{notes}"
    );
}

#[test]
fn classes_and_targets_exclude_each_other() {
    let mut doc = super::models::small();
    doc.set("learner.learner_model_param", "num_class", Some(text("2")));
    doc.set(
        "learner.learner_model_param",
        "num_target",
        Some(Doc::Text("2".into())),
    );
    let faults = read(&doc.json()).unwrap_err();
    assert_eq!(faults[0].at, "learner.learner_model_param.num_target");
}
