use super::super::super::operator::Meaning;
use super::super::super::value::Value;
use super::super::tests::{assert_close, matrix, node, texts};

const NAN: f32 = f32::NAN;

#[test]
fn scalers_subtract_and_multiply() {
    let rows = matrix(&[[1.0_f32, -4.0], [0.5, 2.0]]);
    let per_column = node("Scaler")
        .floats("offset", [1.0, 2.0])
        .floats("scale", [2.0, 0.5]);
    let outputs = per_column.run(std::slice::from_ref(&rows)).unwrap();
    assert_close(&outputs[0], &[0.0, -3.0, -1.0, 0.0]);
    let same = node("Scaler")
        .floats("offset", [1.0])
        .floats("scale", [2.0]);
    assert_close(&same.run(&[rows]).unwrap()[0], &[0.0, -10.0, -1.0, 2.0]);
    for rows in [
        matrix(&[[3_i64, 2]]).clone(),
        matrix(&[[3_i32, 2]]),
        matrix(&[[3.0_f64, 2.0]]),
    ] {
        assert_close(&per_column.run(&[rows]).unwrap()[0], &[4.0, 0.0]);
    }
    let row = Value::vector(vec![1.0_f32, 2.0, 3.0]);
    assert_close(&same.run(&[row]).unwrap()[0], &[0.0, 2.0, 4.0]);
}

#[test]
fn scalers_keep_digits_that_f32_would_lose() {
    // As f32, 16777217 is 16777216.
    let scaler = node("Scaler")
        .floats("offset", [16_777_216.0])
        .floats("scale", [1.0]);
    assert_close(
        &scaler.run(&[matrix(&[[16_777_217_i64]])]).unwrap()[0],
        &[1.0],
    );
}

#[test]
fn imputers_replace_one_value() {
    let imputer = node("Imputer")
        .floats("imputed_value_floats", [7.0, 8.0])
        .float("replaced_value_float", NAN);
    let rows = matrix(&[[NAN, 1.0], [0.0, -NAN]]);
    assert_close(&imputer.run(&[rows]).unwrap()[0], &[7.0, 1.0, 0.0, 8.0]);
    let rows = matrix(&[[f64::NAN, 1.0]]);
    assert_close(&imputer.run(&[rows]).unwrap()[0], &[7.0, 1.0]);
    // The default replaces zeros, of both signs.
    let zeros = node("Imputer").floats("imputed_value_floats", [9.0]);
    let rows = matrix(&[[0.0_f32, -0.0, NAN, 2.0]]);
    assert_close(&zeros.run(&[rows]).unwrap()[0], &[9.0, 9.0, f64::NAN, 2.0]);
    let integers = node("Imputer")
        .ints("imputed_value_int64s", [5])
        .int("replaced_value_int64", -1);
    let outputs = integers.run(&[matrix(&[[-1_i64, 0, 3]])]).unwrap();
    assert_eq!(outputs[0].elements::<i64>().unwrap(), [5, 0, 3]);
    let outputs = integers.run(&[matrix(&[[-1_i32, 0, 3]])]).unwrap();
    assert_eq!(outputs[0].elements::<i32>().unwrap(), [5, 0, 3]);
}

#[test]
fn binarizers_compare_with_a_threshold() {
    let binarizer = node("Binarizer").float("threshold", 0.5);
    let outputs = binarizer.run(&[matrix(&[[0.5_f32, 0.6, -1.0]])]).unwrap();
    assert_close(&outputs[0], &[0.0, 1.0, 0.0]);
    let outputs = binarizer.run(&[matrix(&[[0_i64, 1, 2]])]).unwrap();
    assert_eq!(outputs[0].elements::<i64>().unwrap(), [0, 1, 1]);
    let outputs = node("Binarizer").run(&[matrix(&[[0_i32, 1]])]).unwrap();
    assert_eq!(outputs[0].elements::<i32>().unwrap(), [0, 1]);
    let error = binarizer
        .run(&[matrix(&[[0.5_f64, f64::NAN]])])
        .unwrap_err();
    assert!(error.contains("a value is missing (NaN)"), "{error}");
}

#[test]
fn normalizers_divide_by_the_norm() {
    let rows = matrix(&[[1.0_f32, -4.0, 2.0], [0.0, 0.0, 0.0], [-1.0, -2.0, -3.0]]);
    for (norm, expected) in [
        (
            "L1",
            [
                0.142_857_1,
                -0.571_428_6,
                0.285_714_3,
                0.0,
                0.0,
                0.0,
                -1.0 / 6.0,
                -1.0 / 3.0,
                -0.5,
            ],
        ),
        (
            "L2",
            [
                0.218_217_9,
                -0.872_871_6,
                0.436_435_8,
                0.0,
                0.0,
                0.0,
                -0.267_261_2,
                -0.534_522_5,
                -0.801_783_7,
            ],
        ),
        // As scikit-learn. ONNX Runtime divides the first row by 2 and the last one by -1.
        (
            "MAX",
            [0.25, -1.0, 0.5, 0.0, 0.0, 0.0, -1.0 / 3.0, -2.0 / 3.0, -1.0],
        ),
    ] {
        let outputs = node("Normalizer")
            .text("norm", norm)
            .run(std::slice::from_ref(&rows))
            .unwrap();
        assert_close(&outputs[0], &expected);
    }
    let outputs = node("Normalizer").run(&[matrix(&[[2_i64, -4]])]).unwrap();
    assert_close(&outputs[0], &[0.5, -1.0]);
    let wide = node("Normalizer")
        .run(&[matrix::<f32, 0>(&[[], []])])
        .unwrap();
    assert_eq!(wide[0].shape(), [2, 0]);
}

#[test]
fn scores_between_0_and_1_become_probabilities() {
    let rows = matrix(&[[0.5_f32, 0.25]]);
    let mut fact = super::super::tests::by_row(&rows);
    for (before, norm, after) in [
        (Meaning::Logistic, "L1", Meaning::Probabilities),
        (Meaning::Probabilities, "L1", Meaning::Probabilities),
        (Meaning::Unknown, "L1", Meaning::Unknown),
        (Meaning::Logistic, "L2", Meaning::Unknown),
    ] {
        fact.meaning = before;
        let lowered = node("Normalizer")
            .text("norm", norm)
            .lower_for(std::slice::from_ref(&fact), &[]);
        assert_eq!(lowered.unwrap().outputs[0].meaning, after);
    }
}

#[test]
fn vectorizers_join_columns() {
    let vectorizer = node("FeatureVectorizer").ints("inputdimensions", [2, 1, 0]);
    let inputs = [
        matrix(&[[1.0_f32, 2.0], [3.0, 4.0]]),
        matrix(&[[5_i64], [6]]),
        matrix::<f64, 0>(&[[], []]),
    ];
    let outputs = vectorizer.run(&inputs).unwrap();
    assert_close(&outputs[0], &[1.0, 2.0, 5.0, 3.0, 4.0, 6.0]);
    assert_eq!(outputs[0].shape(), [2, 3]);
    let inputs = [
        matrix(&[[1.0_f32, 2.0], [3.0, 4.0]]),
        matrix(&[[5_i64]]),
        matrix::<f64, 0>(&[[], []]),
    ];
    let error = vectorizer.run(&inputs).unwrap_err();
    assert_eq!(error, "got inputs of 2 and 1 rows");
}

#[test]
fn malformed_models_are_refused() {
    let rows = [matrix(&[[1.0_f32, 2.0]])];
    let scaler = node("Scaler")
        .floats("offset", [1.0, 2.0])
        .floats("scale", [2.0, 0.5]);
    let imputer = node("Imputer").floats("imputed_value_floats", [7.0]);
    for (broken, reason) in [
        (
            scaler.clone().without("offset"),
            "attribute offset: got no values",
        ),
        (
            scaler.clone().without("scale"),
            "attribute scale: got 0 values, expected 2",
        ),
        (
            scaler.clone().floats("offset", [1.0; 3]),
            "attribute offset: got 3 values for 2 columns",
        ),
        (
            scaler.clone().floats("scale", [1.0]),
            "attribute scale: got 1 values, expected 2",
        ),
        (
            scaler.clone().floats("scale", [1.0, NAN]),
            "attribute scale: got NaN at index 1",
        ),
        (
            imputer.clone().without("imputed_value_floats"),
            "attribute imputed_value_floats: got no values",
        ),
        (
            imputer.clone().floats("imputed_value_floats", [1.0; 3]),
            "got 3 values for 2 columns",
        ),
        (
            imputer.clone().floats("imputed_value_floats", [NAN]),
            "got NaN at index 0",
        ),
        (
            imputer.clone().ints("imputed_value_int64s", [1]),
            "input 0 is FP32, expected only imputed_value_floats",
        ),
        (
            node("Binarizer").float("threshold", NAN),
            "attribute threshold: got NaN",
        ),
        (
            node("Normalizer").text("norm", "l1"),
            "attribute norm: got \"l1\", expected one of",
        ),
        (
            node("FeatureVectorizer"),
            "attribute inputdimensions: got 0 values, expected 1",
        ),
        (
            node("FeatureVectorizer").ints("inputdimensions", [3]),
            "input 0: got 2 columns, expected 3",
        ),
        (
            node("FeatureVectorizer").ints("inputdimensions", [-1]),
            "attribute inputdimensions: got -1",
        ),
    ] {
        let got = broken.refusal(&rows);
        assert!(got.contains(reason), "{got} / {reason}");
    }
    for operator in [
        "Scaler",
        "Imputer",
        "Binarizer",
        "Normalizer",
        "FeatureVectorizer",
    ] {
        let broken = node(operator).ints("inputdimensions", [1]);
        let broken = if operator == "FeatureVectorizer" {
            broken
        } else {
            node(operator)
        };
        let got = broken.refusal(&[texts(&["a"])]);
        assert!(got.contains("got elements of type BYTES"), "{got}");
    }
    let cube = Value::of(vec![1, 2, 1], vec![0.0_f32; 2]).unwrap();
    assert!(scaler.refusal(&[cube]).contains("got 3 axes, expected 2"));
    let narrow = imputer
        .without("imputed_value_floats")
        .ints("imputed_value_int64s", [1 << 40]);
    let got = narrow.refusal(&[matrix(&[[1_i32]])]);
    assert_eq!(got, "got 1099511627776, expected a 32-bit integer");
}
