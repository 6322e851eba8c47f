use super::super::super::operator::{Classes, Meaning};
use super::super::tests::{TestNode, as_texts, assert_close, by_row, matrix, node};
use crate::model::payload::Datatype;

fn classifier() -> TestNode {
    node("LinearClassifier")
        .floats("coefficients", [0.3, 0.1, 0.1, -0.2])
        .floats("intercepts", [0.2, 0.0])
        .ints("classlabels_ints", [5, 6])
}

fn one_function() -> TestNode {
    classifier()
        .floats("coefficients", [0.3, 0.1])
        .floats("intercepts", [0.2])
        .text("post_transform", "LOGISTIC")
}

/// The answers are those of ONNX Runtime 1.32.
#[test]
fn classifiers_answer_as_onnx_runtime() {
    let rows = matrix(&[[1.0_f32, 2.0], [-1.0, 0.5]]);
    for (post, expected) in [
        ("NONE", [0.7, -0.3, -0.05, -0.2]),
        (
            "LOGISTIC",
            [0.668_187_8, 0.425_557_5, 0.487_502_6, 0.450_166],
        ),
        (
            "SOFTMAX",
            [0.731_058_6, 0.268_941_4, 0.537_429_8, 0.462_570_2],
        ),
        (
            "SOFTMAX_ZERO",
            [0.731_058_6, 0.268_941_4, 0.537_429_8, 0.462_570_2],
        ),
        ("PROBIT", [0.524_445_9, f64::NAN, f64::NAN, f64::NAN]),
    ] {
        let outputs = classifier()
            .text("post_transform", post)
            .run(std::slice::from_ref(&rows))
            .unwrap();
        assert_eq!(outputs[0].elements::<i64>().unwrap(), [5, 5], "{post}");
        assert_close(&outputs[1], &expected);
    }
    let outputs = one_function().run(&[rows]).unwrap();
    assert_eq!(outputs[0].elements::<i64>().unwrap(), [6, 5]);
    assert_close(
        &outputs[1],
        &[0.331_812_26, 0.668_187_74, 0.512_497_37, 0.487_502_63],
    );
}

#[test]
fn classes_are_known_before_any_request() {
    let rows = matrix(&[[1.0_f64, 2.0]]);
    let texts = classifier()
        .without("classlabels_ints")
        .texts("classlabels_strings", &["no", "yes"])
        .text("post_transform", "SOFTMAX");
    let lowered = texts.lower(std::slice::from_ref(&rows)).unwrap();
    let [labels, scores] = &*lowered.outputs else {
        panic!("{lowered:?}");
    };
    let classes = Classes::Texts(vec!["no".to_owned(), "yes".to_owned()]);
    assert_eq!(labels.classes.as_deref(), Some(&classes));
    assert_eq!(scores.classes.as_deref(), Some(&classes));
    assert_eq!(
        (labels.meaning, scores.meaning),
        (Meaning::Labels, Meaning::Probabilities)
    );
    assert_eq!(
        (labels.datatype, scores.datatype),
        (Datatype::Bytes, Datatype::Fp32)
    );
    assert_eq!((labels.rank(), scores.rank()), (Some(1), Some(2)));
    assert_eq!(as_texts(&texts.run(&[rows]).unwrap()[0]), ["no"]);
}

#[test]
fn opposite_functions_are_probabilities() {
    let rows = [matrix(&[[1.0_f32, 2.0]])];
    let logistic = classifier().text("post_transform", "LOGISTIC");
    let opposite = logistic
        .clone()
        .floats("coefficients", [0.3, 0.0, -0.3, -0.0])
        .floats("intercepts", [0.2, -0.2]);
    for (node, expected) in [
        (opposite.clone(), Meaning::Probabilities),
        (
            opposite.clone().floats("intercepts", [0.2, 0.2]),
            Meaning::Logistic,
        ),
        (opposite.text("post_transform", "NONE"), Meaning::Unknown),
        (logistic, Meaning::Logistic),
        (one_function(), Meaning::Probabilities),
    ] {
        assert_eq!(node.lower(&rows).unwrap().outputs[1].meaning, expected);
    }
}

#[test]
fn equal_scores_are_the_first_class() {
    let equal = classifier()
        .floats("coefficients", [0.5; 4])
        .floats("intercepts", [0.0; 2]);
    let outputs = equal.run(&[matrix(&[[0.1_f32, 0.7]])]).unwrap();
    assert_eq!(outputs[0].elements::<i64>().unwrap(), [5]);
}

#[test]
fn regressors_answer_as_onnx_runtime() {
    let rows = matrix(&[[1.0_f32, 2.0], [-1.0, 0.5]]);
    let one = node("LinearRegressor").floats("coefficients", [0.3, 0.1]);
    assert_close(
        &one.run(std::slice::from_ref(&rows)).unwrap()[0],
        &[0.5, -0.25],
    );
    let one = one.floats("intercepts", [0.2]);
    assert_close(
        &one.run(std::slice::from_ref(&rows)).unwrap()[0],
        &[0.7, -0.05],
    );
    let two = node("LinearRegressor")
        .int("targets", 2)
        .floats("coefficients", [0.3, 0.1, 0.2, 0.1])
        .floats("intercepts", [0.2, 0.1]);
    let expected = [0.7, 0.5, -0.05, -0.05];
    assert_close(&two.run(std::slice::from_ref(&rows)).unwrap()[0], &expected);
    let softmax = two.text("post_transform", "SOFTMAX");
    let expected = [0.549_834, 0.450_166, 0.5, 0.5];
    assert_close(&softmax.run(&[rows]).unwrap()[0], &expected);
}

#[test]
fn all_types_of_numbers_give_the_same_answer() {
    let regressor = node("LinearRegressor").floats("coefficients", [0.5, -2.0, 1.0]);
    for rows in [
        matrix(&[[1.0_f32, -3.0, 0.0]]),
        matrix(&[[1.0_f64, -3.0, 0.0]]),
        matrix(&[[1_i64, -3, 0]]),
        matrix(&[[1_i32, -3, 0]]),
    ] {
        assert_close(&regressor.run(&[rows]).unwrap()[0], &[6.5]);
    }
}

#[test]
fn sums_do_not_depend_on_other_rows() {
    let weights: Vec<f32> = (0..11).map(|at| 1.0 / (at as f32 + 3.0)).collect();
    let regressor = node("LinearRegressor").floats("coefficients", weights);
    let row: [f32; 11] = std::array::from_fn(|at| 1e3 / (at as f32 - 5.5));
    let alone = regressor.run(&[matrix(&[row])]).unwrap();
    let together = regressor
        .run(&[matrix(&[[0.5; 11], row, [-0.1; 11]])])
        .unwrap();
    let alone = alone[0].elements::<f32>().unwrap();
    assert_eq!(together[0].elements::<f32>().unwrap()[1], alone[0]);
}

#[test]
fn rows_may_be_none() {
    let empty = matrix::<f32, 2>(&[]);
    let outputs = classifier().run(&[empty]).unwrap();
    assert_eq!(
        (outputs[0].shape(), outputs[1].shape()),
        (&[0][..], &[0, 2][..])
    );
}

#[test]
fn malformed_models_are_refused() {
    let rows = [matrix(&[[1.0_f32, 2.0]])];
    let regressor = node("LinearRegressor").floats("coefficients", [0.3, 0.1]);
    for (broken, reason) in [
        (
            classifier().without("coefficients"),
            "attribute coefficients: got 0 values for 2 functions",
        ),
        (
            classifier().floats("coefficients", [0.1; 3]),
            "attribute coefficients: got 3 values for 2 functions",
        ),
        (
            classifier().floats("coefficients", [0.1; 6]),
            "got 2 columns, expected 3",
        ),
        (
            classifier().floats("intercepts", [0.1; 3]),
            "got 3 intercepts for 2 classes",
        ),
        (
            classifier().floats("coefficients", [0.1, f32::NAN, 0.1, 0.1]),
            "attribute coefficients: got NaN at index 1",
        ),
        (
            classifier().ints("classlabels_ints", [5]),
            "got 2 intercepts for 1 classes",
        ),
        (
            classifier().ints("classlabels_ints", [5, 5]),
            "got class 5 twice",
        ),
        (
            classifier().texts("classlabels_strings", &["a"]),
            "got classes in classlabels_ints and in classlabels_strings",
        ),
        (
            classifier().without("classlabels_ints"),
            "expected classes in classlabels_ints or classlabels_strings",
        ),
        (
            classifier().text("post_transform", "SOFT"),
            "attribute post_transform: got \"SOFT\", expected one of",
        ),
        (
            classifier().int("post_transform", 1),
            "attribute post_transform: got type INT, expected STRING",
        ),
        (
            one_function().without("post_transform"),
            "NONE of one function for two classes",
        ),
        (
            one_function().text("post_transform", "SOFTMAX"),
            "SOFTMAX of one function for two classes",
        ),
        (
            regressor.clone().int("targets", 0),
            "attribute targets: got 0",
        ),
        (
            regressor.clone().int("targets", -1),
            "attribute targets: got -1",
        ),
        (
            regressor.clone().int("targets", i64::MAX),
            "attribute coefficients: got 2 values for",
        ),
        (
            regressor.clone().floats("intercepts", [0.1; 2]),
            "attribute intercepts: got 2 values, expected 1",
        ),
        (
            regressor.clone().text("post_transform", "LOGISTIC"),
            "LOGISTIC of a single score",
        ),
        (
            regressor.floats("coefficients", []),
            "attribute coefficients: got 0 values",
        ),
    ] {
        let got = broken.refusal(&rows);
        assert!(got.contains(reason), "{got} / {reason}");
    }
}

#[test]
fn inputs_of_other_types_and_shapes_are_refused() {
    let refusal = classifier().refusal(&[super::super::tests::texts(&["a", "b"])]);
    assert!(
        refusal.contains("got elements of type BYTES, expected one of FP32"),
        "{refusal}"
    );
    let cube =
        crate::model::format::onnx::value::Value::of(vec![1, 2, 1], vec![0.0_f32; 2]).unwrap();
    assert_eq!(
        classifier().refusal(&[cube]),
        "input 0: got 3 axes, expected 2"
    );
    assert_eq!(classifier().refusal(&[]), "input 0 is missing");
    // The number of columns may be known only when the model runs.
    let rows = matrix(&[[1.0_f32, 2.0, 3.0]]);
    let mut fact = by_row(&rows);
    fact.shape = None;
    let lowered = classifier().lower_for(&[fact], &[]).unwrap();
    let operator = lowered.work.into_operator(&mut || {});
    let error =
        crate::model::format::onnx::operator::run_alone(&*operator, vec![Some(rows)]).unwrap_err();
    assert_eq!(error, "input 0: got 3 columns, expected 2");
}
