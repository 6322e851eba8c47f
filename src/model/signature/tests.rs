use serde_json::{Value, json};

use super::*;
use crate::model::samples;

fn signature(change: impl FnOnce(&mut Value)) -> Signature {
    let mut document = samples::document("m", 1);
    change(&mut document);
    samples::manifest(document).signature
}

#[test]
fn versions_that_accept_different_requests_differ() {
    type Change = fn(&mut Value);
    let cases: [(Change, &[&str]); 5] = [
        (
            |d| d["inputs"][0]["datatype"] = json!("FP64"),
            &["input `a` is FP32 [-1] in the first and FP64 [-1] in the second"],
        ),
        (
            |d| {
                d["inputs"][1]["encoding"] =
                    json!({"kind": "numeric", "missing": "impute", "impute": 0})
            },
            &["input `b` is FP32 [-1] in the first and FP32 [-1] (optional) in the second"],
        ),
        (
            |d| d["batching"]["max_rows"] = json!(8),
            &["a request may have 16 rows in the first and 8 in the second"],
        ),
        (
            |d| {
                d["inputs"][1]["name"] = json!("c");
                d["features"][1] = json!("c");
                d["golden"] = json!([]);
            },
            &[
                "input `b` is missing in the second",
                "input `c` is missing in the first",
            ],
        ),
        (
            |d| d["classes"] = json!(["yes", "no"]),
            &[r#"class 0 is "no" in the first and "yes" in the second"#],
        ),
    ];
    let own = signature(|_| {});
    for (change, want) in cases {
        assert_eq!(own.differences(&signature(change)), want);
    }
    let back = signature(cases[1].0).differences(&own);
    assert_eq!(
        back,
        ["input `b` is FP32 [-1] (optional) in the first and FP32 [-1] in the second"]
    );
}

#[test]
fn versions_that_differ_only_in_encodings_do_not_differ() {
    let own = signature(|_| {});
    let other = signature(|d| {
        d["inputs"][0]["encoding"] =
            json!({"kind": "numeric", "scale": "standardise", "mean": [1.0], "std": [2.0]});
        d["inputs"][1]["encoding"]["range"] = json!({"min": 0.0, "max": 9.0, "outside": "reject"});
    });
    assert_eq!(own.differences(&other), [""; 0]);
}

fn named(names: &[&str], classes: &[&str]) -> Signature {
    let input = |name: &&str| Input {
        name: (*name).to_owned(),
        datatype: Datatype::Fp32,
        shape: Shape::scalars(),
        encoding: Encoding::Ignore { optional: true },
        sensitive: Sensitivity::Open,
    };
    let output = Output {
        name: "probability".into(),
        datatype: Datatype::Fp32,
        shape: Shape::vectors(1),
    };
    let prediction = Prediction {
        output: 0,
        kind: PredictionKind::Probabilities,
        columns: 1,
    };
    let classes = classes.iter().map(|class| (*class).to_owned()).collect();
    let inputs = names.iter().map(input).collect();
    Signature::new(inputs, vec![output], prediction, classes, 1)
}

#[test]
fn every_input_is_found_by_its_name_and_by_no_other() {
    let names = ["wind", "temp", "a", "zulu", "temp2", ""];
    let signature = named(&names, &[]);
    for (at, name) in names.iter().enumerate() {
        assert_eq!(signature.find(name), Some(at), "{name:?}");
    }
    for name in ["tem", "temp3", "A", "zulu "] {
        assert_eq!(signature.find(name), None, "{name:?}");
    }
}

#[test]
fn matrices_whose_columns_have_another_order_differ() {
    let with_matrix = |names: &[&str], matrix: &str| Signature {
        matrix: Some(matrix.to_owned()),
        ..named(names, &[])
    };
    let first = with_matrix(&["a", "b", "c"], "rows");
    assert_eq!(
        first.differences(&with_matrix(&["b", "a", "c"], "rows")),
        ["column 0 of `rows` is `a` in the first and `b` in the second"]
    );
    let differences = first.differences(&with_matrix(&["a", "b", "c"], "table"));
    assert_eq!(differences.len(), 1, "{differences:?}");
    // Without a matrix, clients name each input.
    let plain = |names| named(names, &[]);
    assert!(
        plain(&["a", "b"])
            .differences(&plain(&["b", "a"]))
            .is_empty()
    );
}

#[test]
fn only_the_first_difference_between_classes_is_reported() {
    let long: Vec<_> = (0..5_000).map(|i| format!("class-{i}")).collect();
    let mut classes: Vec<_> = long.iter().map(String::as_str).collect();
    let here = named(&["x"], &classes);
    assert!(here.differences(&here).is_empty());
    (classes[7], classes[8]) = (classes[8], classes[7]);
    let swapped = named(&["x"], &classes);
    assert_eq!(
        here.differences(&swapped),
        ["class 7 is \"class-7\" in the first and \"class-8\" in the second"]
    );
    assert_eq!(
        here.differences(&named(&["x"], &classes[1..])),
        ["there are 5000 classes in the first and 4999 in the second"]
    );
    assert_eq!(
        named(&["x", "y"], &[]).differences(&named(&["z", "x"], &[])),
        [
            "input `y` is missing in the second",
            "input `z` is missing in the first"
        ]
    );
}
