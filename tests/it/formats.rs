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

use crate::harness::{TestGateway, row};

mod peers;

/// How the keys of answers end that XGBoost's scikit-learn wrapper gives for a model that stopped early.
const WRAPPER: &str = "_wrapper";

/// A case: a model with rows and answers.
pub struct Case {
    pub name: String,
    pub files: Vec<PathBuf>,
    pub inputs: serde_json::Map<String, Value>,
    pub expected: serde_json::Map<String, Value>,
    /// The output of the model for each key of `expected`, or one output per column, where the case names them.
    outputs: serde_json::Map<String, Value>,
    /// Relative to the larger of 1 and the expected value, where the case states it.
    tolerance: Option<f64>,
}

impl Case {
    /// Reads every case in `dir`, sorted by name.
    pub fn read_all(dir: &Path) -> Vec<Self> {
        let entries = fs::read_dir(dir).expect("a folder of cases");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let is_case = |path: &PathBuf| {
            let name = path.to_string_lossy();
            name.ends_with(".json")
                && !name.ends_with(".model.json")
                && !name.ends_with("index.json")
                && !name.ends_with("REFUSED.json")
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
            outputs: case["outputs"].as_object().cloned().unwrap_or_default(),
            tolerance: case["tolerance"].as_f64(),
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
    if elements.iter().all(|element| element.is_boolean()) {
        let truth = |element: &&Value| element.as_bool().expect("a truth value");
        return v1::Tensor {
            datatype: v1::Datatype::Bool.into(),
            bool_values: elements.iter().map(truth).collect(),
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
    let singles = tensor
        .fp32_values
        .iter()
        .map(|x| Value::from(f64::from(*x)));
    let doubles = tensor.fp64_values.iter().map(|x| Value::from(*x));
    let whole = tensor.int64_values.iter().map(|x| Value::from(*x));
    let short = tensor.int32_values.iter().map(|x| Value::from(*x));
    let truths = tensor.bool_values.iter().map(|x| Value::from(*x));
    let whole = whole.chain(short).chain(truths);
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
fn difference(case: &Case, name: &str, got: &[Value], expected: &Value) -> Option<String> {
    let (shape, expected) = flat(expected);
    // An output may have the probability of the first class too.
    let both = got.len() == 2 * expected.len() && shape.len() == 1;
    let got: Vec<&Value> = match both {
        true => got.iter().skip(1).step_by(2).collect(),
        false => got.iter().collect(),
    };
    if got.len() != expected.len() {
        return Some(format!(
            "{} answers, expected {}",
            got.len(),
            expected.len()
        ));
    }
    let largest = expected.iter().filter_map(|value| value.as_f64());
    let largest = largest.fold(0.0, |most: f64, x| most.max(x.abs()));
    let is_probability = name.starts_with("probab");
    // Graphs have numbers for the classes `false` and `true`.
    let as_number = |value: &Value| match value.as_bool() {
        Some(truth) => Some(f64::from(u8::from(truth))),
        None => value.as_f64(),
    };
    let agrees = |got: &Value, expected: &Value| match (as_number(got), as_number(expected)) {
        (Some(got), Some(expected)) => {
            if let Some(tolerance) = case.tolerance {
                return (got - expected).abs() <= tolerance * expected.abs().max(1.0);
            }
            let is_graph = case.name.starts_with("torch_") || case.name.starts_with("skl_");
            let scale = match (is_probability, is_graph) {
                (true, _) => 1.0,
                (false, true) => largest,
                (false, false) => expected.abs(),
            };
            (got - expected).abs() <= tolerance(&case.name) * scale
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
        "probability" | "probability_all_trees" => {
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
fn import_all<'c>(cases: &'c [Case], models: &Path, more: &[&str]) -> Vec<(String, &'c Case)> {
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

/// Returns the request for the rows of a case.
async fn request(gateway: &mut TestGateway, model: &str, case: &Case) -> v1::PredictRequest {
    let mut request = v1::PredictRequest {
        model: model.to_owned(),
        ..v1::PredictRequest::default()
    };
    let lacks_text = |value: &Value| {
        let (_, elements) = flat(value);
        let has_text = elements.iter().any(|element| element.is_string());
        has_text && elements.iter().any(|element| element.is_null())
    };
    if case.inputs.values().any(lacks_text) {
        // A tensor of texts has no missing values, but a named row has.
        let columns: Vec<_> = case
            .inputs
            .iter()
            .map(|(name, value)| (name, flat(value).1))
            .collect();
        let count = columns.first().map_or(0, |(_, cells)| cells.len());
        let named = |at: usize| {
            let cells = columns
                .iter()
                .map(|(name, cells)| ((*name).clone(), cells[at].clone()));
            row(&Value::Object(cells.collect()))
        };
        request.rows = (0..count).map(named).collect();
        return request;
    }
    let tensors = case.inputs.iter();
    request.tensors = tensors.map(|(name, value)| tensor(name, value)).collect();
    if let [only] = &mut request.tensors[..] {
        // The fixtures call every matrix `rows`; a graph has a name of its own for it.
        only.name = input_name(gateway, model).await;
    }
    request
}

/// Returns the elements of the answer that a key of `expected` stands for, if the model has such outputs.
fn answered(case: &Case, outputs: &[v1::Tensor], name: &str) -> Option<Vec<Value>> {
    let by_name = |wanted: &Value| outputs.iter().find(|output| *wanted == output.name);
    match case.outputs.get(name) {
        None => output_for(outputs, name).map(elements),
        Some(Value::Array(columns)) => {
            let columns: Option<Vec<_>> = columns
                .iter()
                .map(|one| by_name(one).map(elements))
                .collect();
            let columns = columns?;
            let rows = columns.first().map_or(0, Vec::len);
            let by_row =
                (0..rows).flat_map(|at| columns.iter().map(move |column| column[at].clone()));
            Some(by_row.collect())
        }
        Some(single) => by_name(single).map(elements),
    }
}

/// Returns what differs from the answers of the library, for each model; empty if everything agrees.
async fn differences(gateway: &mut TestGateway, models: &[(String, &Case)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (model, case) in models {
        let request = request(gateway, model, case).await;
        let answer = match gateway.predict(request).await {
            Ok(answer) => answer,
            Err(status) => {
                wrong.push(format!("{model}: {}", status.message()));
                continue;
            }
        };
        for (name, expected) in &case.expected {
            if ["margin", "raw"].contains(&name.as_str()) || name.ends_with(WRAPPER) {
                continue;
            }
            let Some(got) = answered(case, &answer.outputs, name) else {
                let names: Vec<_> = answer.outputs.iter().map(|one| &one.name).collect();
                wrong.push(format!("{model}: no output for `{name}` among {names:?}"));
                continue;
            };
            let found = difference(case, name, &got, expected);
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
                .args([
                    "import",
                    case.files[0].to_str().expect("a path"),
                    "--model",
                    name,
                ])
                .args(["--registry", registry.to_str().expect("a path")])
                .args(["--rows", rows.to_str().expect("a path")])
                .args(["--expected", expected.to_str().expect("a path")])
                .output()
                .expect("taper runs");
            let text = [output.stdout, output.stderr].concat();
            (
                output.status.success(),
                String::from_utf8_lossy(&text).into_owned(),
            )
        };
        let (imported, text) = import(&expected);
        assert!(imported, "{name}: {text}");
        assert!(
            text.contains("all answered as the original library did"),
            "{text}"
        );
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
            assert!(
                !imported && text.contains("answers differ"),
                "{name}: {text}"
            );
            assert!(
                !registry.join(name).join("2").exists(),
                "nothing is published"
            );
        }
    }
}
