use serde_json::{Value, json};

use super::*;
use crate::model::samples;

fn signature(change: impl FnOnce(&mut Value)) -> Signature {
    let mut document = samples::document("m", 1);
    change(&mut document);
    samples::manifest(document).signature
}

#[test]
fn versions_that_do_not_take_the_same_requests_differ() {
    type Change = fn(&mut Value);
    let cases: [(Change, &[&str]); 5] = [
        (
            |d| d["inputs"][0]["datatype"] = json!("FP64"),
            &["input `a` is FP64 [-1] there and FP32 [-1] here"],
        ),
        (
            |d| {
                d["inputs"][1]["encoding"] =
                    json!({"kind": "numeric", "missing": "impute", "impute": 0})
            },
            &["input `b` is FP32 [-1] that may be left out there and FP32 [-1] here"],
        ),
        (
            |d| d["batching"]["max_rows"] = json!(8),
            &["a request may hold 8 rows there and 16 here"],
        ),
        (
            |d| {
                d["inputs"][1]["name"] = json!("c");
                d["features"][1] = json!("c");
                d["golden"] = json!([]);
            },
            &["input `b` is missing", "input `c` is surplus"],
        ),
        (
            |d| d["classes"] = json!(["yes", "no"]),
            &[r#"class 0 is "yes" there and "no" here"#],
        ),
    ];
    let own = signature(|_| {});
    for (change, want) in cases {
        assert_eq!(own.differences(&signature(change)), want);
    }
    let back = signature(cases[1].0).differences(&own);
    assert_eq!(
        back,
        ["input `b` is FP32 [-1] there and FP32 [-1] that may be left out here"]
    );
}

#[test]
fn versions_that_only_encode_differently_do_not_differ() {
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
        width: None,
        encoding: Encoding::Ignore { optional: true },
        sensitive: Sensitivity::Open,
    };
    let output = Output {
        name: "probability".into(),
        columns: 1,
    };
    let classes = classes.iter().map(|class| (*class).to_owned()).collect();
    Signature::new(names.iter().map(input).collect(), output, classes, 1)
}

#[test]
fn every_input_is_found_at_its_place_and_nothing_else_is() {
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
fn differences_name_the_first_other_class_and_not_whole_lists() {
    let long: Vec<_> = (0..5_000).map(|i| format!("class-{i}")).collect();
    let mut classes: Vec<_> = long.iter().map(String::as_str).collect();
    let here = named(&["x"], &classes);
    assert!(here.differences(&here).is_empty());
    (classes[7], classes[8]) = (classes[8], classes[7]);
    let swapped = named(&["x"], &classes);
    assert_eq!(
        here.differences(&swapped),
        ["class 7 is \"class-8\" there and \"class-7\" here"]
    );
    assert_eq!(
        here.differences(&named(&["x"], &classes[1..])),
        ["classes are 4999 there and 5000 here"]
    );
    assert_eq!(
        named(&["x", "y"], &[]).differences(&named(&["z", "x"], &[])),
        ["input `y` is missing", "input `z` is surplus"]
    );
}
