use serde_json::{Value, json};

use super::Signature;
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
            &[r#"classes are ["yes", "no"] there and ["no", "yes"] here"#],
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
