use super::super::super::operator::{Classes, Dim, Meaning};
use super::super::super::proto::tensor_proto::DataType;
use super::super::super::value::Value;
use super::super::tests::{as_texts, assert_close, by_row, matrix, node, texts};

#[test]
fn categories_become_columns() {
    let colors = node("OneHotEncoder").texts("cats_strings", &["red", "green"]);
    let outputs = colors.run(&[texts(&["green", "red", "blue"])]).unwrap();
    assert_eq!(outputs[0].shape(), [3, 1, 2]);
    assert_close(&outputs[0], &[0.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    let numbers = node("OneHotEncoder").ints("cats_int64s", [0, 2, -1]);
    let outputs = numbers.run(&[matrix(&[[2_i64, 7], [-1, 0]])]).unwrap();
    let expected = [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0];
    assert_close(&outputs[0], &expected);
    assert_eq!(outputs[0].shape(), [2, 2, 3]);
}

/// As ONNX says, and as ONNX Runtime 1.32 answers.
#[test]
fn numbers_are_cut_to_integers() {
    let encoder = node("OneHotEncoder").ints("cats_int64s", [0, 1, 2]);
    let expected = [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let rows = matrix(&[[1.7_f32, f32::NAN], [-0.5, 4.0]]);
    assert_close(&encoder.run(&[rows]).unwrap()[0], &expected);
    let rows = matrix(&[[1.7_f64, f64::INFINITY], [-0.5, 1e300]]);
    assert_close(&encoder.run(&[rows]).unwrap()[0], &expected);
    let outputs = encoder.run(&[matrix(&[[2_i32]])]).unwrap();
    assert_close(&outputs[0], &[0.0, 0.0, 1.0]);
}

#[test]
fn unknown_categories_are_errors_where_the_model_says_so() {
    let strict = node("OneHotEncoder")
        .texts("cats_strings", &["red", "green"])
        .int("zeros", 0);
    assert!(strict.run(&[texts(&["red"])]).is_ok());
    let error = strict.run(&[texts(&["red", "vio\"let"])]).unwrap_err();
    assert_eq!(
        error,
        r#"unknown category "vio\"let", expected one of the 2 categories of the model"#
    );
    let long = "x".repeat(1000);
    let error = strict.run(&[texts(&[&long])]).unwrap_err();
    assert!(error.len() < 200, "{error}");
    let strict = node("OneHotEncoder")
        .ints("cats_int64s", [1])
        .int("zeros", 0);
    let error = strict.run(&[matrix(&[[5_i64]])]).unwrap_err();
    assert!(error.starts_with("unknown category 5,"), "{error}");
    let error = strict.run(&[matrix(&[[f32::NAN]])]).unwrap_err();
    assert!(error.starts_with("unknown category NaN,"), "{error}");
}

#[test]
fn texts_need_not_be_utf_8() {
    let encoder = node("OneHotEncoder")
        .texts("cats_strings", &["a"])
        .int("zeros", 0);
    let bytes = vec![bytes::Bytes::from_static(&[0xff, b'a'])];
    let error = encoder
        .run(&[Value::of(vec![1, 1], bytes).unwrap()])
        .unwrap_err();
    assert!(error.contains("unknown category"), "{error}");
}

#[test]
fn labels_of_version_1_are_positions() {
    let encoder = node("LabelEncoder").texts("classes_strings", &["a", "b"]);
    let outputs = encoder.run(&[texts(&["b", "c", "a"])]).unwrap();
    assert_eq!(outputs[0].elements::<i64>().unwrap(), [1, -1, 0]);
    let outputs = encoder
        .clone()
        .int("default_int64", 9)
        .run(&[texts(&["c"])])
        .unwrap();
    assert_eq!(outputs[0].elements::<i64>().unwrap(), [9]);
    let outputs = encoder.run(&[matrix(&[[0_i64, 1, 2, -1]])]).unwrap();
    assert_eq!(as_texts(&outputs[0]), ["a", "b", "_Unused", "_Unused"]);
    let outputs = encoder
        .text("default_string", "?")
        .run(&[matrix(&[[5_i64]])])
        .unwrap();
    assert_eq!(as_texts(&outputs[0]), ["?"]);
}

#[test]
fn labels_of_version_2_have_every_pair_of_types() {
    let encoder = node("LabelEncoder").version(2);
    let keys = [
        (
            encoder.clone().ints("keys_int64s", [3, 4]),
            matrix(&[[4_i64, 5]]),
        ),
        (
            encoder.clone().floats("keys_floats", [0.5, 4.0]),
            matrix(&[[4.0_f32, 5.0]]),
        ),
        (
            encoder.texts("keys_strings", &["c", "d"]),
            texts(&["d", "e"]),
        ),
    ];
    for (encoder, rows) in keys {
        let rows = [rows];
        let outputs = encoder
            .clone()
            .ints("values_int64s", [7, 8])
            .run(&rows)
            .unwrap();
        assert_eq!(outputs[0].elements::<i64>().unwrap(), [8, -1]);
        let outputs = encoder
            .clone()
            .floats("values_floats", [0.25, 0.5])
            .run(&rows)
            .unwrap();
        assert_close(&outputs[0], &[0.5, 0.0]);
        assert!(outputs[0].elements::<f32>().unwrap()[1].is_sign_negative());
        let named = encoder.texts("values_strings", &["x", "y"]);
        assert_eq!(as_texts(&named.run(&rows).unwrap()[0]), ["y", "_Unused"]);
        let other = named.text("default_string", "z");
        assert_eq!(as_texts(&other.run(&rows).unwrap()[0]), ["y", "z"]);
    }
}

#[test]
fn labels_of_version_4_may_be_tensors() {
    let encoder = node("LabelEncoder")
        .version(4)
        .doubles("keys_tensor", [1.0, f64::NAN, -0.0]);
    let values = encoder
        .clone()
        .longs("values_tensor", [5, 6, 7])
        .longs("default_tensor", [-5]);
    let rows = matrix(&[[1.0_f64, f64::NAN, 0.0, -0.0, 2.0]]);
    let outputs = values.run(std::slice::from_ref(&rows)).unwrap();
    assert_eq!(outputs[0].elements::<i64>().unwrap(), [5, 6, 7, 7, -5]);
    let values = encoder.small("values_tensor", DataType::Int16, [5, 6, 7]);
    let outputs = values.run(&[rows]).unwrap();
    assert_eq!(outputs[0].elements::<i16>().unwrap(), [5, 6, 7, 7, -1]);
    let integers = node("LabelEncoder")
        .version(4)
        .small("keys_tensor", DataType::Int32, [5]);
    let integers = integers.doubles("values_tensor", [0.5]);
    let outputs = integers.run(&[matrix(&[[5_i32, 6]])]).unwrap();
    assert_close(&outputs[0], &[0.5, 0.0]);
    let singles = node("LabelEncoder")
        .version(4)
        .texts("keys_strings", &["a"])
        .singles("values_tensor", [0.5]);
    let singles = singles.float("default_float", 0.75);
    assert_close(
        &singles.run(&[texts(&["a", "b"])]).unwrap()[0],
        &[0.5, 0.75],
    );
}

#[test]
fn mappers_replace_texts_by_integers_and_back() {
    let mapper = node("CategoryMapper")
        .texts("cats_strings", &["a", "b"])
        .ints("cats_int64s", [3, 4]);
    let outputs = mapper.run(&[texts(&["a", "c"])]).unwrap();
    assert_eq!(outputs[0].elements::<i64>().unwrap(), [3, -1]);
    let outputs = mapper.run(&[matrix(&[[3_i64, 9]])]).unwrap();
    assert_eq!(as_texts(&outputs[0]), ["a", "_Unused"]);
}

#[test]
fn labels_that_are_replaced_stay_labels() {
    let encoder = node("LabelEncoder")
        .version(2)
        .ints("keys_int64s", [0, 1, 2])
        .texts("values_strings", &["b", "a", "b"]);
    let rows = matrix(&[[1_i64]]);
    let mut fact = by_row(&rows);
    let lowered = encoder.lower_for(std::slice::from_ref(&fact), &[]).unwrap();
    assert_eq!(
        (lowered.outputs[0].meaning, &lowered.outputs[0].classes),
        (Meaning::Unknown, &None)
    );
    fact.meaning = Meaning::Labels;
    let lowered = encoder.lower_for(&[fact], &[]).unwrap();
    let classes = Classes::Texts(vec!["b".to_owned(), "a".to_owned()]);
    assert_eq!(lowered.outputs[0].classes.as_deref(), Some(&classes));
    assert_eq!(lowered.outputs[0].dim(0), Dim::Rows);
}

#[test]
fn malformed_models_are_refused() {
    let text = [texts(&["a"])];
    let one_hot = node("OneHotEncoder").texts("cats_strings", &["a", "b"]);
    let encoder = node("LabelEncoder")
        .version(2)
        .texts("keys_strings", &["a", "b"])
        .ints("values_int64s", [1, 2]);
    let first = node("LabelEncoder").texts("classes_strings", &["a", "b"]);
    let tensors = node("LabelEncoder")
        .version(4)
        .texts("keys_strings", &["a"])
        .longs("values_tensor", [1]);
    for (broken, reason) in [
        (
            node("OneHotEncoder"),
            "expected categories either in cats_int64s or in cats_strings",
        ),
        (
            one_hot.clone().ints("cats_int64s", [1]),
            "expected categories either in",
        ),
        (
            one_hot.clone().texts("cats_strings", &["a", "a"]),
            "categories: got \"a\" twice",
        ),
        (
            one_hot.clone().int("zeros", 2),
            "attribute zeros: got 2, expected 0 or 1",
        ),
        (
            node("OneHotEncoder").ints("cats_int64s", [1]),
            "got elements of type BYTES for categories of type INT64",
        ),
        (
            encoder.clone().ints("values_int64s", [1]),
            "attribute values: got 1 values, expected 2",
        ),
        (encoder.clone().without("values_int64s"), "got no values"),
        (encoder.clone().without("keys_strings"), "got no keys"),
        (
            encoder.clone().floats("keys_floats", [1.0]),
            "got several lists of keys, expected one",
        ),
        (
            encoder.clone().texts("values_strings", &["x", "y"]),
            "got several lists of values, expected one",
        ),
        (
            encoder.clone().texts("keys_strings", &["a", "a"]),
            "got \"a\" twice",
        ),
        (
            encoder
                .clone()
                .without("keys_strings")
                .ints("keys_int64s", [1, 2]),
            "got BYTES, expected the type of the keys",
        ),
        (first.clone().texts("classes_strings", &[]), "got no keys"),
        (
            first.texts("classes_strings", &["a", "a"]),
            "got \"a\" twice",
        ),
        (
            tensors.clone().longs("default_tensor", [1, 2]),
            "attribute default_tensor: got 2 values of type INT64",
        ),
        (
            tensors.clone().doubles("default_tensor", [1.0]),
            "attribute default_tensor: got 1 values of type FP64",
        ),
        (
            tensors.small("values_tensor", DataType::Int8, [1]),
            "values of type INT8 are not supported",
        ),
        (
            node("CategoryMapper").texts("cats_strings", &["a"]),
            "attribute values: got 0 values, expected 1",
        ),
        (node("CategoryMapper"), "got no keys"),
    ] {
        let got = broken.refusal(&text);
        assert!(got.contains(reason), "{got} / {reason}");
    }
    let got = one_hot.refusal(&[matrix(&[[1_i64]])]);
    assert!(
        got.contains("got elements of type INT64 for categories of type BYTES"),
        "{got}"
    );
    let numbers = node("LabelEncoder")
        .version(2)
        .floats("keys_floats", [0.0, -0.0])
        .ints("values_int64s", [1, 2]);
    let got = numbers.refusal(&[matrix(&[[1.0_f32]])]);
    assert_eq!(got, "got 0 twice");
}
