use serde_json::Value;

use crate::model::trees::{FeatureKind, Predicted};

use super::*;

mod assignment;
mod features;
mod hostile;
mod naive;
mod objectives;
mod refusals;
mod round_trip;
mod writer;

/// A model of LightGBM, and its answers.
struct Sample {
    name: &'static str,
    text: &'static str,
    answers: &'static str,
}

macro_rules! sample {
    ($name:literal) => {
        Sample {
            name: $name,
            text: include_str!(concat!("tests/samples/", $name, ".txt")),
            answers: include_str!(concat!("tests/samples/", $name, ".json")),
        }
    };
}

const SAMPLES: [Sample; 5] = [
    sample!("v2_early"),
    sample!("v2_frame"),
    sample!("v3_linear"),
    sample!("v4_forest"),
    sample!("v4_ova"),
];

fn sample(name: &str) -> &'static str {
    let found = SAMPLES.iter().find(|sample| sample.name == name);
    found.expect("a sample").text
}

/// Returns the faults of a text as `at: message`.
fn faults(text: &str) -> Vec<String> {
    let faults = read(text.as_bytes()).expect_err("expected faults");
    let line = |fault: &FormatFault| format!("{}: {}", fault.at, fault.message);
    faults.iter().map(line).collect()
}

#[test]
fn samples_answer_as_lightgbm_does() {
    for sample in &SAMPLES {
        assert!(recognises(sample.text.as_bytes()), "{}", sample.name);
        let model = read(sample.text.as_bytes()).expect(sample.name);
        let answers: Value = serde_json::from_str(sample.answers).unwrap();
        let difference = naive::largest_difference(&model, &answers);
        assert!(difference <= 1e-15, "{}: {difference:e}", sample.name);
    }
}

#[test]
fn a_model_says_what_it_predicts() {
    let model = read(sample("v4_ova").as_bytes()).unwrap();
    assert_eq!(model.predicted, Predicted::Probabilities);
    assert_eq!(model.objective, "multiclassova");
    assert_eq!(model.framework, "lightgbm");
    assert_eq!(model.ensemble.outputs, 3);
    assert_eq!(model.ensemble.divisor, 1.0);
    assert_eq!(model.features[5].kind, FeatureKind::Codes);
    assert_eq!(model.features[5].name.as_deref(), Some("Column_5"));

    let model = read(sample("v4_forest").as_bytes()).unwrap();
    assert_eq!(model.predicted, Predicted::Probability);
    assert_eq!(model.ensemble.divisor, 3.0);
    assert!(matches!(model.features[2].kind, FeatureKind::Texts(_)));
    assert_eq!(model.features[5].kind, FeatureKind::Indicator);
}

#[test]
fn only_models_of_lightgbm_are_recognised() {
    for (bytes, is_recognised) in [
        (&b"tree\nversion=v4\n"[..], true),
        (b"tree\r\nversion=v3\r\n", true),
        (b"tree\nversion=v9\n", true),
        (b"tree\nnum_class=1\n", false),
        (b"tree", false),
        (b"trees\nversion=v4\n", false),
        (b"{\"learner\": {}}", false),
        (b"", false),
    ] {
        assert_eq!(recognises(bytes), is_recognised, "{bytes:?}");
    }
}
