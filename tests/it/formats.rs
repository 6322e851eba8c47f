//! Model files of other libraries, imported by `taper import` and answered over gRPC as those libraries answer.
//!
//! Each case in `tests/fixtures/formats` has model files, rows, and the answers of the library that made it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use taper::model::npz;
use taper::model::payload::{Tensor, TensorData};
use taper::proto::v1;

use crate::harness::TestGateway;

/// A case: a model with rows and answers.
pub struct Case {
    pub name: String,
    pub files: Vec<PathBuf>,
    pub inputs: serde_json::Map<String, Value>,
    pub expected: serde_json::Map<String, Value>,
}

impl Case {
    /// Reads every case in `dir`, sorted by name.
    pub fn read_all(dir: &Path) -> Vec<Self> {
        let entries = fs::read_dir(dir).expect("a folder of cases");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let is_case = |path: &PathBuf| {
            let name = path.to_string_lossy();
            name.ends_with(".json") && !name.ends_with(".model.json") && !name.ends_with("index.json")
        };
        let mut paths: Vec<PathBuf> = paths.filter(is_case).collect();
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("a case");
        let case: Value = serde_json::from_str(&text).expect("JSON");
        let home = path.parent().expect("a folder");
        let object = |key: &str| case[key].as_object().expect("an object").clone();
        let files = case["files"].as_array().expect("files").iter();
        Self {
            name: case["name"].as_str().expect("a name").to_owned(),
            files: files
                .map(|file| home.join(file.as_str().expect("a file name")))
                .collect(),
            inputs: object("inputs"),
            expected: object("expected"),
        }
    }
}

/// Runs `taper` and returns its output, which must be a success.
fn taper(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_taper"))
        .args(args)
        .output()
        .expect("taper runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "taper {args:?}: {stderr}");
    String::from_utf8(output.stdout).expect("text")
}

/// Returns the length of each axis of nested lists, and their elements.
fn flat(value: &Value) -> (Vec<i64>, Vec<&Value>) {
    let Value::Array(items) = value else {
        return (Vec::new(), vec![value]);
    };
    let parts: Vec<_> = items.iter().map(flat).collect();
    let mut shape = vec![i64::try_from(items.len()).expect("short")];
    shape.extend(parts.first().map_or(Vec::new(), |(shape, _)| shape.clone()));
    let elements = parts.into_iter().flat_map(|(_, elements)| elements);
    (shape, elements.collect())
}

/// Returns nested lists as a tensor: numbers as FP64, with NaN for `null`, and texts as BYTES.
fn tensor(name: &str, value: &Value) -> v1::Tensor {
    let (shape, elements) = flat(value);
    let tensor = v1::Tensor {
        name: name.to_owned(),
        shape,
        ..v1::Tensor::default()
    };
    if elements.iter().any(|element| element.is_string()) {
        let text = |element: &&Value| element.as_str().expect("a text").to_owned().into();
        return v1::Tensor {
            datatype: v1::Datatype::Bytes.into(),
            bytes_values: elements.iter().map(text).collect(),
            ..tensor
        };
    }
    let is_whole = elements.iter().all(|element| element.is_i64());
    if is_whole {
        let whole = |element: &&Value| element.as_i64().expect("a whole number");
        return v1::Tensor {
            datatype: v1::Datatype::Int64.into(),
            int64_values: elements.iter().map(whole).collect(),
            ..tensor
        };
    }
    let number = |element: &&Value| element.as_f64().unwrap_or(f64::NAN);
    v1::Tensor {
        datatype: v1::Datatype::Fp64.into(),
        fp64_values: elements.iter().map(number).collect(),
        ..tensor
    }
}

/// Returns the elements of an output as numbers, or as texts.
fn elements(tensor: &v1::Tensor) -> Vec<Value> {
    let texts = tensor.bytes_values.iter();
    let texts = texts.map(|text| Value::from(String::from_utf8_lossy(text).into_owned()));
    let singles = tensor.fp32_values.iter().map(|x| Value::from(f64::from(*x)));
    let doubles = tensor.fp64_values.iter().map(|x| Value::from(*x));
    let whole = tensor.int64_values.iter().map(|x| Value::from(*x));
    texts.chain(singles).chain(doubles).chain(whole).collect()
}

/// The tolerance of a case, as its README states it: absolute for probabilities, otherwise relative, for graphs to the largest value.
fn tolerance(case: &str) -> f64 {
    match case {
        "skl_kmeans" => 5e-4,
        _ if case.starts_with("xgb_") || case.starts_with("lgb_") => 1e-6,
        _ if case.contains("forest") || case.contains("boosting") || case.contains("tree") => 1e-6,
        _ => 1e-5,
    }
}

/// Returns the first answer that differs from what is expected.
fn difference(case: &str, name: &str, got: &[Value], expected: &Value) -> Option<String> {
    let (shape, expected) = flat(expected);
    // An output may have the probability of the first class too.
    let both = got.len() == 2 * expected.len() && shape.len() == 1;
    let got: Vec<&Value> = match both {
        true => got.iter().skip(1).step_by(2).collect(),
        false => got.iter().collect(),
    };
    if got.len() != expected.len() {
        return Some(format!("{} answers, expected {}", got.len(), expected.len()));
    }
    let largest = expected.iter().filter_map(|value| value.as_f64());
    let largest = largest.fold(0.0, |most: f64, x| most.max(x.abs()));
    let is_probability = name.starts_with("probab");
    let agrees = |got: &Value, expected: &Value| match (got.as_f64(), expected.as_f64()) {
        (Some(got), Some(expected)) => {
            let is_graph = case.starts_with("torch_") || case.starts_with("skl_");
            let scale = match (is_probability, is_graph) {
                (true, _) => 1.0,
                (false, true) => largest,
                (false, false) => expected.abs(),
            };
            (got - expected).abs() <= tolerance(case) * scale
        }
        (None, None) => got == expected,
        _ => false,
    };
    let differs = |(_, (got, expected)): &(usize, (&&Value, &&Value))| !agrees(got, expected);
    let mut pairs = got.iter().zip(&expected).enumerate();
    pairs
        .find(differs)
        .map(|(at, (got, expected))| format!("element {at}: got {got}, expected {expected}"))
}

/// Returns the output of the model that a name in a case stands for.
fn output_for<'a>(outputs: &'a [v1::Tensor], name: &str) -> Option<&'a v1::Tensor> {
    let stands_for: &[&str] = match name {
        "probability" | "probability_all_trees" | "probability_wrapper" => {
            &["probability", "probabilities", "output_probability"]
        }
        "value" => &["value", "variable"],
        "class" => &["class", "label", "output_label"],
        other => &[other],
    };
    let named = |output: &&v1::Tensor| stands_for.contains(&output.name.as_str());
    outputs.iter().find(named)
}

/// Imports every file of `cases` into `models`. Returns the names of the models with their cases.
fn import_all<'c>(
    cases: &'c [Case],
    models: &Path,
    more: &[&str],
) -> Vec<(String, &'c Case)> {
    let registry = models.to_str().expect("a path");
    let mut imported = Vec::new();
    for case in cases {
        for (at, file) in case.files.iter().enumerate() {
            let model = format!("{}-{at}", case.name);
            let file = file.to_str().expect("a path");
            let mut args = vec!["import", file, "--model", &model, "--registry", registry];
            args.extend(more);
            taper(&args);
            imported.push((model, case));
        }
    }
    imported
}

/// Returns what differs from the answers of the library, for each model; empty if everything agrees.
async fn differences(gateway: &mut TestGateway, models: &[(String, &Case)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (model, case) in models {
        let tensors = case.inputs.iter();
        let mut tensors: Vec<_> = tensors.map(|(name, value)| tensor(name, value)).collect();
        if let [only] = &mut tensors[..] {
            // The fixtures call every matrix `rows`; a graph has a name of its own for it.
            only.name = input_name(gateway, model).await;
        }
        let request = v1::PredictRequest {
            model: model.clone(),
            tensors,
            ..v1::PredictRequest::default()
        };
        let answer = match gateway.predict(request).await {
            Ok(answer) => answer,
            Err(status) => {
                wrong.push(format!("{model}: {}", status.message()));
                continue;
            }
        };
        for (name, expected) in &case.expected {
            if ["margin", "raw", "probability_wrapper"].contains(&name.as_str()) {
                continue;
            }
            let Some(output) = output_for(&answer.outputs, name) else {
                let names: Vec<_> = answer.outputs.iter().map(|one| &one.name).collect();
                wrong.push(format!("{model}: no output for `{name}` among {names:?}"));
                continue;
            };
            let found = difference(&case.name, name, &elements(output), expected);
            wrong.extend(found.map(|found| format!("{model}, `{name}`: {found}")));
        }
    }
    wrong
}

/// Returns the name of the only input of a model, or of its matrix.
async fn input_name(gateway: &mut TestGateway, model: &str) -> String {
    let request = v1::GetModelRequest {
        model: model.to_owned(),
    };
    let response = gateway.admin.get_model(request).await.expect("the model");
    let versions = response.into_inner().versions;
    let inputs = &versions.last().expect("a version").inputs;
    match &inputs[..] {
        [only] => only.name.clone(),
        _ => "rows".to_owned(),
    }
}

#[tokio::test]
async fn every_case_is_imported_and_answers_as_its_library_does() {
    let cases = Case::read_all(Path::new("tests/fixtures/formats"));
    assert_eq!(cases.len(), 47);
    let mut models = Vec::new();
    let mut gateway = TestGateway::start("", |root| {
        models = import_all(&cases, root, &[]);
    })
    .await;
    assert_eq!(models.len(), 55);
    let wrong = differences(&mut gateway, &models).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    gateway.drain().await;
}

/// Writes the rows and the answers of a case as numpy archives.
fn write_archives(case: &Case, dir: &Path, input: Option<&str>, output: &str) -> [PathBuf; 2] {
    let to_tensor = |name: &str, value: &Value| {
        let (shape, elements) = flat(value);
        let data = if elements.iter().any(|element| element.is_string()) {
            let text = |element: &&Value| element.as_str().expect("a text").to_owned().into();
            TensorData::Bytes(elements.iter().map(text).collect())
        } else {
            let number = |element: &&Value| element.as_f64().unwrap_or(f64::NAN);
            TensorData::Fp64(elements.iter().map(number).collect())
        };
        Tensor {
            name: name.to_owned(),
            shape,
            data,
        }
    };
    let rows: Vec<_> = case
        .inputs
        .iter()
        .map(|(name, value)| to_tensor(input.unwrap_or(name), value))
        .collect();
    let answers = vec![to_tensor(output, &case.expected[output])];
    [("rows.npz", rows), ("expected.npz", answers)].map(|(name, tensors)| {
        let path = dir.join(format!("{}-{name}", case.name));
        fs::write(&path, npz::write(&tensors).expect("an archive")).expect("written");
        path
    })
}

#[test]
fn answers_of_the_library_become_golden_answers_and_wrong_ones_stop_the_import() {
    let cases = Case::read_all(Path::new("tests/fixtures/formats"));
    let dir = tempfile::tempdir().expect("temporary folder");
    for (name, output) in [
        ("xgb_categorical", "probability"),
        ("lgb_multiclass", "probability"),
        ("skl_columns", "probability"),
        ("torch_two_ts", "score"),
    ] {
        let case = cases.iter().find(|case| case.name == name).expect("a case");
        let [rows, expected] = write_archives(case, dir.path(), None, output);
        let registry = dir.path().join("models");
        let import = |expected: &Path| {
            let output = Command::new(env!("CARGO_BIN_EXE_taper"))
                .args(["import", case.files[0].to_str().expect("a path"), "--model", name])
                .args(["--registry", registry.to_str().expect("a path")])
                .args(["--rows", rows.to_str().expect("a path")])
                .args(["--expected", expected.to_str().expect("a path")])
                .output()
                .expect("taper runs");
            let text = [output.stdout, output.stderr].concat();
            (output.status.success(), String::from_utf8_lossy(&text).into_owned())
        };
        let (imported, text) = import(&expected);
        assert!(imported, "{name}: {text}");
        assert!(text.contains("all answered as the original library did"), "{text}");
        let manifest = registry.join(name).join("1/metadata.json");
        let manifest: Value =
            serde_json::from_slice(&fs::read(manifest).expect("a manifest")).expect("JSON");
        assert_eq!(manifest["golden"][0]["source"], "library", "{name}");
        assert!(manifest["reference"]["rows"] == 40, "{name}");
        let wrong = vec![Tensor {
            name: output.to_owned(),
            shape: vec![40],
            data: TensorData::Fp64(vec![0.123; 40]),
        }];
        if name != "lgb_multiclass" {
            fs::write(&expected, npz::write(&wrong).expect("an archive")).expect("written");
            let (imported, text) = import(&expected);
            assert!(!imported && text.contains("answers differ"), "{name}: {text}");
            assert!(!registry.join(name).join("2").exists(), "nothing is published");
        }
    }
}
