//! Models that are made in the test by the published libraries, with the answers that these libraries give.

use std::path::Path;
use std::process::Command;
use std::thread;

use serde_json::Value;
use taper::proto::v1;

use super::{Case, WRAPPER, differences, flat};
use crate::harness::TestGateway;
use crate::process::taper;
use crate::python::{Environment, python_in};

/// Imports a model file. Returns the reasons if it is refused.
fn import(file: &Path, model: &str, registry: &Path, more: &[&str]) -> Result<(), String> {
    let mut command: Command = taper(&["import", "--model", model]);
    command.arg(file).arg("--registry").arg(registry).args(more);
    let output = command.output().expect("taper runs");
    let reasons = String::from_utf8_lossy(&output.stderr).into_owned();
    output.status.success().then_some(()).ok_or(reasons)
}

/// Returns a text as the name of a model.
fn model_name(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    text.chars().map(allowed).collect()
}

/// A file to import, and the case that it belongs to.
struct File<'c> {
    path: &'c Path,
    model: String,
    case: &'c Case,
    more: &'static [&'static str],
}

/// Models with the cases that they belong to.
type Imported<'c> = Vec<(String, &'c Case)>;

/// Models that are refused, with the reasons.
type Refused = Vec<(String, String)>;

/// Imports all files, some at a time. Returns the models, and the files that are refused with their reasons.
fn import_each<'c>(files: &[File<'c>], registry: &Path) -> (Imported<'c>, Refused) {
    let one = |file: &File<'c>| {
        let imported = import(file.path, &file.model, registry, file.more);
        match imported {
            Ok(()) => Ok((file.model.clone(), file.case)),
            Err(reasons) => Err((file.model.clone(), reasons)),
        }
    };
    let results: Vec<_> = thread::scope(|scope| {
        let parts = files.chunks(files.len().div_ceil(4).max(1));
        let threads: Vec<_> = parts
            .map(|part| scope.spawn(move || part.iter().map(one).collect::<Vec<_>>()))
            .collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"));
        joined.flatten().collect()
    });
    let (imported, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    (
        imported.into_iter().filter_map(Result::ok).collect(),
        refused.into_iter().filter_map(Result::err).collect(),
    )
}

/// Returns the answers of the scikit-learn wrapper of XGBoost, which uses the trees up to the best iteration, as cases.
fn stopped_early(cases: &[Case]) -> Vec<Case> {
    let wrapped = |case: &Case| {
        let answers = case.expected.iter().filter_map(|(name, answers)| {
            Some((name.strip_suffix(WRAPPER)?.to_owned(), answers.clone()))
        });
        Case {
            name: format!("{}-best", case.name),
            files: case.files.clone(),
            inputs: case.inputs.clone(),
            expected: answers.collect(),
            outputs: case.outputs.clone(),
            tolerance: case.tolerance,
        }
    };
    let wrapped = cases.iter().map(wrapped);
    wrapped.filter(|case| !case.expected.is_empty()).collect()
}

/// Runs `tests/it/formats/{script}`, imports every model that it writes, and compares the answers. `refused` lists the models that
/// the import refuses, by how their names begin, each with a part of the reason.
async fn compare(script: &str, args: &[&str], least: usize, refused: &[(&str, &str)]) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let folder = dir.path().to_str().expect("a path");
    let script = format!("tests/it/formats/{script}");
    let args = [&[folder][..], args].concat();
    python_in(Environment::Clients, &script, &args).await;
    let mut cases = Case::read_all(dir.path());
    for case in &mut cases {
        // Values 1e-5, probabilities of trees 1e-6.
        let has_values = case
            .expected
            .keys()
            .any(|name| !name.starts_with("probability"));
        let default = if has_values { 1e-5 } else { 1e-6 };
        case.tolerance = case.tolerance.or(Some(default));
    }
    let stopped = stopped_early(&cases);
    let files = |cases, more| files_of(cases, more);
    let mut all = files(&cases, &[]);
    all.extend(files(&stopped, &["--iterations", "best"]));
    let (mut models, mut reasons) = (Vec::new(), Vec::new());
    let mut gateway = TestGateway::start("", |root| {
        (models, reasons) = import_each(&all, root);
    })
    .await;
    let mut wrong = differences(&mut gateway, &models).await;
    let known = |(model, reason): &(String, String)| {
        let is_listed =
            |(name, why): &(&str, &str)| model.starts_with(name) && reason.contains(why);
        refused.iter().any(is_listed)
    };
    let unknown = reasons.iter().filter(|refusal| !known(refusal));
    wrong.extend(unknown.map(|(model, reason)| format!("{model}: {}", reason.trim())));
    for (name, _) in refused {
        if !reasons.iter().any(|(model, _)| model.starts_with(name)) {
            wrong.push(format!("{name}: imported, expected a refusal"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} models:\n{}",
        wrong.len(),
        all.len(),
        wrong.join("\n")
    );
    assert!(models.len() >= least, "{} models", models.len());
    gateway.drain().await;
}

fn files_of<'c>(cases: &'c [Case], more: &'static [&'static str]) -> Vec<File<'c>> {
    let of = |case: &'c Case| {
        let files = case.files.iter().enumerate();
        files.map(move |(at, path)| File {
            path,
            model: format!("{}-{at}", model_name(&case.name)),
            case,
            more,
        })
    };
    cases.iter().flat_map(of).collect()
}

/// Every objective, way to grow trees, booster and kind of target, as JSON and as UBJ, with categories and missing values.
#[tokio::test]
async fn xgboost_answers_equally() {
    // Names with control characters are no names of inputs.
    let refused = [("names-", "none of them a control character")];
    compare("xgboost_answers.py", &[], 130, &refused).await;
}

/// Every objective, booster and rule for missing values, with categories as codes and as in data frames.
#[tokio::test]
async fn lightgbm_answers_equally() {
    compare("lightgbm_answers.py", &[], 100, &[]).await;
}

/// Pipelines, linear models, networks, trees and ensembles of scikit-learn as ONNX, and XGBoost and LightGBM as ONNX.
#[tokio::test]
async fn scikit_learn_answers_equally() {
    let parts = [
        "columns",
        "logistic_",
        "forest",
        "boosting",
        "k_means",
        "histogram",
        "tree_",
        "network",
        "one_hot",
        "imputer",
        "transform_p",
        "transform_n",
        "scaler",
        "regressor_linear",
        "regressor_ridge",
        "svc_rbf",
        "xgb_",
        "lgb_",
    ];
    let refused = [
        // It returns texts only, and no classes are known.
        ("imputer-texts", "no output can be judged"),
        // skl2onnx writes the two targets of a row as two rows.
        ("regressor-network-two", "no output can be judged"),
    ];
    compare("sklearn_answers.py", &parts, 80, &refused).await;
}

/// A tensor of any type in the form that `onnx_answers.py` writes.
fn typed(described: &Value) -> v1::Tensor {
    let datatype = described["datatype"].as_str().expect("a datatype");
    let datatype = v1::Datatype::from_str_name(&format!("DATATYPE_{datatype}")).expect("known");
    let data = described["data"].as_array().expect("a list");
    let whole = |value: &Value| value.as_i64().expect("a whole number");
    let narrow = |value: &Value| i32::try_from(whole(value)).expect("32 bits");
    let short = |value: &Value| u32::try_from(whole(value)).expect("32 bits");
    let texts = |value: &Value| value.as_str().expect("a text").to_owned().into();
    let mut tensor = v1::Tensor {
        name: described["name"].as_str().expect("a name").to_owned(),
        datatype: datatype.into(),
        shape: serde_json::from_value(described["shape"].clone()).expect("a shape"),
        ..v1::Tensor::default()
    };
    match datatype {
        v1::Datatype::Bool => {
            tensor.bool_values = data
                .iter()
                .map(|x| x.as_bool().expect("a truth value"))
                .collect()
        }
        v1::Datatype::Int8 | v1::Datatype::Int16 | v1::Datatype::Int32 => {
            tensor.int32_values = data.iter().map(narrow).collect();
        }
        v1::Datatype::Int64 => tensor.int64_values = data.iter().map(whole).collect(),
        v1::Datatype::Uint8 | v1::Datatype::Uint16 | v1::Datatype::Uint32 => {
            tensor.uint32_values = data.iter().map(short).collect();
        }
        v1::Datatype::Uint64 => {
            tensor.uint64_values = data
                .iter()
                .map(|x| x.as_u64().expect("a whole number"))
                .collect()
        }
        v1::Datatype::Bytes => tensor.bytes_values = data.iter().map(texts).collect(),
        v1::Datatype::Fp16 => {
            // Every FP16 is an FP32, and the gateway converts it back.
            tensor.datatype = v1::Datatype::Fp32.into();
            tensor.fp32_values = data.iter().map(|x| single(number(x))).collect();
        }
        v1::Datatype::Fp32 => tensor.fp32_values = data.iter().map(|x| single(number(x))).collect(),
        _ => tensor.fp64_values = data.iter().map(number).collect(),
    }
    tensor
}

#[expect(clippy::cast_possible_truncation, reason = "these numbers were FP32")]
fn single(x: f64) -> f32 {
    x as f32
}

/// Returns a number, which is a text where JSON has no such number.
fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some(text) => text.parse().expect("a number"),
        None => value.as_f64().expect("a number"),
    }
}

/// Returns the elements of an answer of numbers or truth values as numbers.
fn numbers(tensor: &v1::Tensor) -> Vec<f64> {
    let halves = match tensor.datatype() {
        v1::Datatype::Fp16 => tensor.raw.as_chunks::<2>().0,
        _ => &[],
    };
    let halves = halves
        .iter()
        .map(|bytes| half::f16::from_le_bytes(*bytes).to_f64());
    let truths = tensor.bool_values.iter().map(|x| f64::from(u8::from(*x)));
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let long = tensor.int64_values.iter().map(|x| *x as f64);
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let unsigned = tensor.uint64_values.iter().map(|x| *x as f64);
    let rest = tensor
        .fp64_values
        .iter()
        .copied()
        .chain(long)
        .chain(unsigned);
    let singles = tensor.fp32_values.iter().map(|x| f64::from(*x));
    let narrow = tensor.int32_values.iter().map(|x| f64::from(*x));
    let short = tensor.uint32_values.iter().map(|x| f64::from(*x));
    halves
        .chain(truths)
        .chain(rest)
        .chain(singles)
        .chain(narrow)
        .chain(short)
        .collect()
}

/// Compares one answer of a graph with that of ONNX Runtime.
fn graph_difference(case: &Value, answer: &v1::PredictResponse) -> Option<String> {
    for expected in case["outputs"].as_array().expect("outputs") {
        let name = expected["name"].as_str().expect("a name");
        let Some(output) = answer.outputs.iter().find(|output| output.name == name) else {
            return Some(format!("no output `{name}`"));
        };
        let shape: Vec<i64> = serde_json::from_value(expected["shape"].clone()).expect("a shape");
        if output.shape != shape {
            return Some(format!(
                "`{name}`: shape {:?}, expected {shape:?}",
                output.shape
            ));
        }
        let wanted: Vec<f64> = flat(&expected["data"])
            .1
            .into_iter()
            .map(|value| match value.as_bool() {
                Some(truth) => f64::from(u8::from(truth)),
                None => number(value),
            })
            .collect();
        let largest = wanted
            .iter()
            .filter(|x| x.is_finite())
            .fold(0.0, |most: f64, x| most.max(x.abs()));
        let tolerance = case["tolerance"].as_f64().expect("a tolerance") * largest;
        let got = numbers(output);
        let agrees = |(got, wanted): (&f64, &f64)| {
            (got - wanted).abs() <= tolerance || (got.is_nan() && wanted.is_nan()) || got == wanted
        };
        if got.len() != wanted.len() || !got.iter().zip(&wanted).all(agrees) {
            return Some(format!("`{name}`: {got:?}, expected {wanted:?}"));
        }
    }
    None
}

/// Returns whether the first axis of every input and output is the rows.
fn has_rows(case: &Value) -> bool {
    let tensors = ["inputs", "outputs"].map(|key| case[key].as_array().expect("tensors"));
    let mut rows = tensors
        .into_iter()
        .flatten()
        .map(|tensor| tensor["shape"][0].as_i64());
    let first = rows.next().flatten();
    first.is_some() && rows.all(|axis| axis == first)
}

/// Why graphs of one operator may be refused: they are no models.
const NO_MODELS: [&str; 4] = [
    "no output can be judged",
    "$.inputs: got [], wants at least 1 items",
    // Of zeros, which a version is warmed up with.
    "the score of row 0 is not finite",
    // One of the graphs returns a value twice.
    "wants each name once",
];

/// Graphs of one operator each, of every kind that the script writes, and small networks, over gRPC. Here is a sample: the tests of
/// the reader run graphs that are no models, for example without rows.
#[tokio::test]
async fn onnx_runtime_answers_equally() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let folder = dir.path().to_str().expect("a path");
    python_in(
        Environment::Clients,
        "tests/it/formats/onnx_answers.py",
        &[folder, "23"],
    )
    .await;
    let text = std::fs::read(dir.path().join("answers.json")).expect("answers");
    let cases: Vec<Value> = serde_json::from_slice(&text).expect("JSON");
    let cases: Vec<&Value> = cases.iter().filter(|case| has_rows(case)).collect();
    let mut imported = Vec::new();
    let mut wrong = Vec::new();
    let mut gateway = TestGateway::start("", |root| {
        for (at, case) in cases.iter().enumerate() {
            let file = dir.path().join(case["file"].as_str().expect("a file"));
            let model = format!("graph-{at}");
            match import(&file, &model, root, &[]) {
                Ok(()) => imported.push((model, *case)),
                Err(reason) if NO_MODELS.iter().any(|why| reason.contains(why)) => {}
                Err(reason) => wrong.push(format!("{}: {}", case["name"], reason.trim())),
            }
        }
    })
    .await;
    for (model, case) in &imported {
        let inputs = case["inputs"].as_array().expect("inputs");
        let request = v1::PredictRequest {
            model: model.clone(),
            tensors: inputs.iter().map(typed).collect(),
            ..v1::PredictRequest::default()
        };
        let found = match gateway.predict(request).await {
            Ok(answer) => graph_difference(case, &answer),
            Err(status) => Some(status.message().to_owned()),
        };
        wrong.extend(found.map(|found| format!("{model} {}: {found}", case["name"])));
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    assert!(imported.len() >= 30, "{} graphs", imported.len());
    gateway.drain().await;
}
