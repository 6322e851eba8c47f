//! The models of the real library against its own answers. `tests/fixtures/formats/README.md` says how they were made.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::evaluator::predict;
use super::*;

/// The cases of XGBoost.
const CASES: [&str; 15] = [
    "absoluteerror",
    "binary",
    "categorical",
    "dart",
    "early_stopped",
    "gamma",
    "logistic",
    "missing",
    "multiclass",
    "poisson",
    "pseudohubererror",
    "regression",
    "softmax",
    "two_targets",
    "vector_leaf",
];

pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats")
}

#[test]
fn every_case_gets_the_answers_of_the_library() {
    for case in CASES {
        let largest = check_case(&folder(), &format!("xgb_{case}")).unwrap();
        assert!(largest <= 1e-6, "{case}: {largest:e}");
    }
}

#[test]
fn the_best_iterations_are_the_answer_of_the_wrapper() {
    let bytes = fs::read(folder().join("xgb_early_stopped.model.json")).unwrap();
    let all = read(&bytes).unwrap();
    let best = read_best(&bytes).unwrap();
    assert_eq!(all.ensemble.trees.len(), 41);
    assert_eq!(best.ensemble.trees, all.ensemble.trees[..38]);
    assert_eq!(
        all.notes[0],
        "Training stopped early, and iteration 38 is the best. The model uses all 41 iterations, as Booster.predict does; \
         the scikit-learn wrapper uses the first 38."
    );
    assert_eq!(
        best.notes[0],
        "Training stopped early, and iteration 38 is the best. The model uses the first 38, as the scikit-learn wrapper does; \
         Booster.predict uses all 41 iterations."
    );
    let other = fs::read(folder().join("xgb_binary.model.json")).unwrap();
    let faults = read_best(&other).unwrap_err();
    assert_eq!(faults[0].at, "learner.attributes.best_iteration");
}

#[test]
fn inputs_have_the_names_types_and_categories_of_the_file() {
    let bytes = fs::read(folder().join("xgb_categorical.model.ubj")).unwrap();
    let model = read(&bytes).unwrap();
    let names: Vec<_> = model
        .features
        .iter()
        .map(|feature| feature.name.as_deref().unwrap())
        .collect();
    assert_eq!(names, ["color", "shop", "age", "income"]);
    let colors = ["black", "blue", "green", "mauve", "red", "white"];
    assert_eq!(
        model.features[0].kind,
        FeatureKind::Texts(colors.map(String::from).to_vec())
    );
    assert_eq!(
        model.features[1].kind,
        FeatureKind::Integers((0..40).collect())
    );
    assert_eq!(model.features[2].kind, FeatureKind::Number);
    assert_eq!(model.framework, "xgboost 3.2.0");
    assert_eq!(model.objective, "binary:logistic");
    assert_eq!(model.predicted, Predicted::Probability);
    assert!(model.notes.is_empty(), "{:?}", model.notes);
}

fn read_best(bytes: &[u8]) -> Result<TreeModel, Vec<FormatFault>> {
    let iterations = Iterations::Best;
    read_with(bytes, Options { iterations })
}

/// Reads all files of a case and compares the answers; returns the largest difference.
pub(super) fn check_case(folder: &Path, name: &str) -> Result<f64, String> {
    let case = fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
    let case: Json = serde_json::from_str(&case).unwrap();
    let model = read_files(folder, &case, Iterations::All)?;
    let rows = rows(&model, &case["inputs"]);
    let mut largest: f64 = 0.0;
    for (output, expected) in case["expected"].as_object().unwrap() {
        let mut asked = match output.ends_with("_wrapper") {
            true => read_files(folder, &case, Iterations::Best)?,
            false => model.clone(),
        };
        // The margin is the sum before the link.
        if output == "margin" {
            asked.link = crate::model::trees::Link::Identity;
        }
        let expected = expected.as_array().unwrap();
        assert_eq!(rows.len(), expected.len(), "{name}");
        for (at, (row, expected)) in rows.iter().zip(expected).enumerate() {
            let expected = numbers(expected);
            let got = predict(&asked, row);
            assert_eq!(got.len(), expected.len(), "{name}.{output}");
            for (got, expected) in got.iter().zip(&expected) {
                // Probabilities are at most 1, so that the difference is absolute for them and for small values.
                let difference = (f64::from(*got) - expected).abs() / expected.abs().max(1.0);
                if difference.is_nan() || difference > 1e-6 {
                    return Err(format!("{output} of row {at}: {got}, expected {expected}"));
                }
                largest = largest.max(difference);
            }
        }
    }
    Ok(largest)
}

/// Reads all files of a case, which must be the same model.
fn read_files(folder: &Path, case: &Json, iterations: Iterations) -> Result<TreeModel, String> {
    let mut models = Vec::new();
    for file in case["files"].as_array().unwrap() {
        let bytes = fs::read(folder.join(file.as_str().unwrap())).unwrap();
        let model = read_with(&bytes, Options { iterations });
        models.push(model.map_err(|faults| format!("{file}: {faults:#?}"))?);
        if !recognises(&bytes) {
            return Err(format!("{file} is not recognised"));
        }
    }
    let first = models.swap_remove(0);
    match models.iter().all(|other| *other == first) {
        true => Ok(first),
        false => Err("JSON and UBJ differ".into()),
    }
}

fn numbers(value: &Json) -> Vec<f64> {
    match value {
        Json::Array(values) => values.iter().map(|value| value.as_f64().unwrap()).collect(),
        value => vec![value.as_f64().unwrap()],
    }
}

/// Returns the rows with categories replaced by their codes.
fn rows(model: &TreeModel, inputs: &Json) -> Vec<Vec<f32>> {
    if let Some(rows) = inputs.get("rows").and_then(Json::as_array) {
        return rows
            .iter()
            .map(|row| row.as_array().unwrap().iter().map(number).collect())
            .collect();
    }
    let columns: Vec<Vec<f32>> = model
        .features
        .iter()
        .map(|feature| {
            let values = inputs[feature.name.as_ref().unwrap()].as_array().unwrap();
            values
                .iter()
                .map(|value| code(&feature.kind, value))
                .collect()
        })
        .collect();
    (0..columns[0].len())
        .map(|row| columns.iter().map(|column| column[row]).collect())
        .collect()
}

#[expect(clippy::cast_possible_truncation, reason = "XGBoost holds rows in f32")]
fn number(value: &Json) -> f32 {
    match value {
        Json::Bool(value) => f32::from(*value),
        value => value.as_f64().map_or(f32::NAN, |value| value as f32),
    }
}

fn code(kind: &FeatureKind, value: &Json) -> f32 {
    let position = match (kind, value) {
        (_, Json::Null) => return f32::NAN,
        (FeatureKind::Texts(texts), value) => texts
            .iter()
            .position(|text| Some(text.as_str()) == value.as_str()),
        (FeatureKind::Integers(integers), value) => integers
            .iter()
            .position(|&integer| Some(integer) == value.as_i64()),
        _ => return number(value),
    };
    f32::from(u16::try_from(position.unwrap()).unwrap())
}

/// Compares models that `tests/it/formats/xgboost_answers.py` wrote to the folder `XGBOOST_ANSWERS`.
#[test]
#[ignore = "needs the folder XGBOOST_ANSWERS"]
fn models_of_an_installed_library_get_its_answers() {
    let folder = PathBuf::from(std::env::var_os("XGBOOST_ANSWERS").unwrap());
    let names = fs::read_to_string(folder.join("index.json")).unwrap();
    let names: Vec<String> = serde_json::from_str(&names).unwrap();
    let mut largest: f64 = 0.0;
    let mut failures = Vec::new();
    for name in &names {
        match check_case(&folder, name) {
            Ok(difference) => largest = largest.max(difference),
            Err(failure) => failures.push(format!("{name}: {failure}")),
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} models, largest difference of the others {largest:e}:\n{}",
        failures.len(),
        names.len(),
        failures.join("\n")
    );
}
