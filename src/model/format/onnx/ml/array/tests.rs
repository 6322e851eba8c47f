use super::super::super::operator::{Classes, Dim, Meaning, Rows};
use super::super::super::value::Value;
use super::super::tests::{as_texts, assert_close, by_row, matrix, node, texts};

fn positions(values: &[i64]) -> Value {
    Value::of(vec![values.len(), 1], values.to_vec()).unwrap()
}

#[test]
fn columns_are_selected() {
    let select = node("ArrayFeatureExtractor").constant(1);
    let rows = matrix(&[[1.0_f32, -4.0, 2.0], [0.0, 5.0, 0.5]]);
    let outputs = select.run(&[rows.clone(), positions(&[2, 0, 2])]).unwrap();
    assert_close(&outputs[0], &[2.0, 1.0, 2.0, 0.5, 0.0, 0.5]);
    assert_eq!(outputs[0].shape(), [2, 3]);
    let lowered = select.lower(&[rows, positions(&[2])]).unwrap();
    assert_eq!(
        (lowered.outputs[0].rows, lowered.outputs[0].dim(1)),
        (Rows::Axis(0), Dim::Fixed(1))
    );
    for value in [
        matrix(&[[7_i64, 8]]),
        matrix(&[[7_i32, 8]]),
        matrix(&[[7.0_f64, 8.0]]),
    ] {
        let outputs = select.run(&[value.clone(), positions(&[1])]).unwrap();
        assert_eq!(
            (outputs[0].datatype(), outputs[0].shape()),
            (value.datatype(), &[1, 1][..])
        );
    }
    let cube = Value::of(vec![2, 1, 2], vec![1_i64, 2, 3, 4]).unwrap();
    let outputs = select.run(&[cube, positions(&[1])]).unwrap();
    assert_eq!(outputs[0].elements::<i64>().unwrap(), [2, 4]);
}

/// scikit-learn's classifiers end like this: the position of the largest score selects one of the classes.
#[test]
fn classes_are_selected_by_row() {
    let select = node("ArrayFeatureExtractor").constant(0);
    let classes = texts(&["no", "yes"]).with_shape(vec![2]).unwrap();
    let found = [classes, positions(&[1, 0, 1])];
    let outputs = select.run(&found).unwrap();
    assert_eq!(as_texts(&outputs[0]), ["yes", "no", "yes"]);
    assert_eq!(outputs[0].shape(), [1, 3]);
    let lowered = select.lower(&found).unwrap();
    let fact = &lowered.outputs[0];
    let expected = Classes::Texts(vec!["no".to_owned(), "yes".to_owned()]);
    assert_eq!(fact.classes.as_deref(), Some(&expected));
    assert_eq!((fact.meaning, fact.rows), (Meaning::Labels, Rows::Axis(1)));
    assert_eq!(fact.shape, Some(vec![Dim::Fixed(1), Dim::Rows]));
    let integers = Value::vector(vec![3_i32, 9]);
    let lowered = select.lower(&[integers, positions(&[1])]).unwrap();
    let expected = Classes::Integers(vec![3, 9]);
    assert_eq!(lowered.outputs[0].classes.as_deref(), Some(&expected));
    // Neighbours: several positions per row. Their order cannot be followed.
    let several = matrix(&[[0_i64, 1], [1, 1]]);
    let lowered = select
        .lower(&[Value::vector(vec![3_i64, 9]), several])
        .unwrap();
    assert_eq!(
        (lowered.outputs[0].rows, lowered.outputs[0].meaning),
        (Rows::Mixed, Meaning::Unknown)
    );
}

#[test]
fn positions_that_do_not_exist_are_refused() {
    let rows = matrix(&[[1.0_f32, -4.0]]);
    let select = node("ArrayFeatureExtractor").constant(1);
    for (bad, reason) in [
        (
            positions(&[2]),
            "input 1: got position 2, expected one below 2",
        ),
        (
            positions(&[-1]),
            "input 1: got position -1, expected one below 2",
        ),
        (positions(&[i64::MIN]), "expected one below 2"),
        (positions(&[]), "input 1: got no positions"),
        (
            Value::vector(vec![0_i32]),
            "input 1: got elements of type INT32, expected one of INT64",
        ),
    ] {
        let got = select.refusal(&[rows.clone(), bad]);
        assert!(got.contains(reason), "{got} / {reason}");
    }
    // Positions that are known only when the model runs.
    let by_request = node("ArrayFeatureExtractor").constant(0);
    let classes = Value::vector(vec![3_i64, 9]);
    let error = by_request
        .run(&[classes.clone(), positions(&[0, 2])])
        .unwrap_err();
    assert!(error.contains("got position 2"), "{error}");
    let none = Value::of(vec![0, 1], Vec::<i64>::new()).unwrap();
    assert_eq!(by_request.run(&[classes, none]).unwrap()[0].shape(), [1, 0]);
    let got = node("ArrayFeatureExtractor").refusal(&[rows, positions(&[0])]);
    assert_eq!(
        got,
        "got two inputs that depend on the request, expected one of them to be constant"
    );
    let scalar = select.refusal(&[Value::scalar(1.0_f32), positions(&[0])]);
    assert!(scalar.contains("got a single number"), "{scalar}");
}

#[test]
fn maps_of_probabilities_are_matrices_with_classes() {
    let zip_map = node("ZipMap").texts("classlabels_strings", &["no", "yes"]);
    let rows = matrix(&[[0.25_f32, 0.75]]);
    let outputs = zip_map.run(std::slice::from_ref(&rows)).unwrap();
    assert_eq!(outputs, std::slice::from_ref(&rows));
    let fact = by_row(&rows).with_meaning(Meaning::Probabilities);
    let lowered = zip_map.lower_for(&[fact], &[]).unwrap();
    let expected = Classes::Texts(vec!["no".to_owned(), "yes".to_owned()]);
    assert_eq!(lowered.outputs[0].classes.as_deref(), Some(&expected));
    assert_eq!(lowered.outputs[0].meaning, Meaning::Probabilities);
    let rows = [rows];
    let integers = node("ZipMap").ints("classlabels_int64s", [0, 1]);
    assert!(integers.lower(&rows).is_ok());
    for (broken, reason) in [
        (
            node("ZipMap"),
            "expected classes in classlabels_int64s or classlabels_strings",
        ),
        (
            zip_map.ints("classlabels_int64s", [0, 1]),
            "expected only one of them",
        ),
        (
            node("ZipMap").ints("classlabels_int64s", [0, 1, 2]),
            "got 2 columns, expected 3",
        ),
        (
            node("ZipMap").ints("classlabels_int64s", [0, 0]),
            "got class 0 twice",
        ),
    ] {
        let got = broken.refusal(&rows);
        assert!(got.contains(reason), "{got} / {reason}");
    }
    let got = integers.refusal(&[matrix(&[[1_i64, 2]])]);
    assert_eq!(got, "input 0: got elements of type INT64, expected FP32");
}
