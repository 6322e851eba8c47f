//! `taper import` as users run it: what it takes from the shell, other imports at the same time, and files that are no models.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::thread;

use serde_json::{Value, json};
use taper::model::Manifest;

use crate::onnx_file::{FLOAT, Graph, Message, empty_tensor, node, value};
use crate::process::{stdout_of, taper};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/formats")
        .join(name)
}

/// Runs `taper import FILE --model m --registry REGISTRY MORE` in `dir`.
fn import(dir: &Path, file: &Path, registry: &Path, more: &[&str]) -> Output {
    let mut command = taper(&["import", "--model", "m"]);
    command
        .current_dir(dir)
        .arg(file)
        .arg("--registry")
        .arg(registry)
        .args(more);
    command.output().expect("taper runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A graph `y = x w` whose weights are in the file `w.bin`.
fn graph() -> Vec<u8> {
    let place = Message::default().bytes(1, b"location").bytes(2, b"w.bin");
    let weights = empty_tensor("w", FLOAT, &[4, 1])
        .bytes(13, &place.0)
        .number(14, 1);
    Graph {
        nodes: vec![node("", "MatMul", &["x", "w"], &["y"], &[])],
        weights: vec![weights],
        inputs: vec![value("x", FLOAT, &[4])],
        outputs: vec![value("y", FLOAT, &[1])],
    }
    .file()
}

#[test]
fn weights_beside_a_graph_are_found_from_its_bare_name() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let weights: Vec<u8> = [0.5_f32, -1.0, 0.25, 2.0]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    fs::write(dir.path().join("w.bin"), weights).expect("written");
    fs::write(dir.path().join("model.onnx"), graph()).expect("written");
    for name in ["model.onnx", "./model.onnx"] {
        let imported = import(dir.path(), Path::new(name), Path::new("models"), &[]);
        assert!(imported.status.success(), "{name}: {}", stderr(&imported));
    }
    assert!(dir.path().join("models/m/2/w.bin").is_file());
}

#[test]
fn imports_at_the_same_time_get_numbers_of_their_own() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (file, registry) = (fixture("xgb_binary.model.json"), dir.path().join("models"));
    let imported: Vec<Output> = thread::scope(|scope| {
        let one = || import(dir.path(), &file, &registry, &[]);
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
        let outputs = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"));
        outputs.collect()
    });
    for one in &imported {
        assert!(one.status.success(), "{}", stderr(one));
    }
    let mut numbers: Vec<_> = fs::read_dir(registry.join("m"))
        .expect("a model")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("a name")
        })
        .collect();
    numbers.sort();
    assert_eq!(numbers, ["1", "2", "3", "4"]);

    let taken = import(dir.path(), &file, &registry, &["--version", "2"]);
    assert!(
        stderr(&taken).contains("already exists"),
        "{}",
        stderr(&taken)
    );
}

#[test]
fn what_is_no_model_file_is_refused_at_once() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let registry = dir.path().join("models");
    let pipe = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo of coreutils runs").success());
    let text = fs::read_to_string(fixture("lgb_categorical.model.txt")).expect("a model");
    let cut = dir.path().join("cut.txt");
    let at = text.find("feature_importances:").expect("importances") + 12;
    fs::write(&cut, &text[..at]).expect("written");
    for (file, more, reason) in [
        (&pipe, &[][..], "is not a regular file"),
        (&PathBuf::from("/dev/null"), &[], "is not a regular file"),
        (
            &cut,
            &[],
            "got \"feature_impo\", expected the importance of a feature",
        ),
        (
            &fixture("lgb_binary.model.txt"),
            &["--iterations", "best"],
            "got --iterations",
        ),
    ] {
        let refused = import(dir.path(), file, &registry, more);
        assert!(!refused.status.success(), "{}", file.display());
        assert!(stderr(&refused).contains(reason), "{}", stderr(&refused));
    }
    assert!(!registry.join("m").exists());
}

/// Returns the manifest of version `version` of the model `m`.
fn manifest(registry: &Path, version: u64) -> Manifest {
    let dir = registry.join("m").join(version.to_string());
    Manifest::read(&dir).expect("a valid manifest")
}

/// Imports a fixture that must be published.
fn publish(dir: &Path, name: &str, registry: &Path, more: &[&str]) {
    let imported = import(dir, &fixture(name), registry, more);
    assert!(imported.status.success(), "{}", stderr(&imported));
}

#[test]
fn an_import_like_another_version_can_share_a_split_with_it() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let registry = dir.path().join("models");
    publish(
        dir.path(),
        "xgb_binary.model.ubj",
        &registry,
        &["--classes", "malignant,benign"],
    );
    publish(dir.path(), "lgb_binary.model.txt", &registry, &[]);
    let apart = manifest(&registry, 1)
        .signature
        .differences(&manifest(&registry, 2).signature);
    assert_eq!(apart.len(), 2, "{apart:?}");
    publish(
        dir.path(),
        "lgb_binary.model.txt",
        &registry,
        &["--like", "1"],
    );

    // Version 4 has names, requires a value of each, and has inputs that it does not use.
    let folder = registry.join("m/4");
    publish(dir.path(), "xgb_binary.model.ubj", &registry, &[]);
    let text = fs::read_to_string(folder.join("metadata.json")).expect("a manifest");
    let mut document: Value = serde_json::from_str(&text).expect("JSON");
    let column = |at: usize| json!({"name": format!("c{at}"), "datatype": "INT32", "shape": [-1], "encoding": {"kind": "numeric"}});
    let mut inputs: Vec<_> = (0..30).map(column).collect();
    inputs[7]["encoding"]["missing"] = json!("accept");
    let mask = json!({"kind": "mask", "of": "c7"});
    inputs.push(json!({"name": "c7_missing", "datatype": "BOOL", "shape": [-1], "encoding": mask}));
    inputs.push(
        json!({"name": "note", "datatype": "BYTES", "shape": [-1], "encoding": {"kind": "ignore"}}),
    );
    document["inputs"] = inputs.into();
    document["features"] = json!([]);
    document["outputs"][0]["name"] = json!("p");
    document["batching"]["max_rows"] = json!(77);
    fs::write(folder.join("metadata.json"), document.to_string()).expect("written");
    stdout_of(&["seal", folder.to_str().expect("a path")]);
    publish(
        dir.path(),
        "lgb_binary.model.txt",
        &registry,
        &["--like", folder.to_str().expect("a path")],
    );

    for (version, like) in [(3, 1), (5, 4)] {
        let (made, like) = (manifest(&registry, version), manifest(&registry, like));
        let apart = like.signature.differences(&made.signature);
        assert!(apart.is_empty(), "{version}: {apart:?}");
        assert_eq!(made.signature.classes, like.signature.classes);
    }
    let made = manifest(&registry, 5).signature;
    assert_eq!(made.mask_of(7), Some(30));
    assert!(!made.inputs()[31].is_used());
}

#[test]
fn what_keeps_an_import_from_being_like_another_version_is_listed() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let registry = dir.path().join("models");
    publish(dir.path(), "xgb_binary.model.ubj", &registry, &[]);
    for (name, like, reasons) in [
        (
            "skl_columns.onnx",
            "1",
            &[
                "cannot be like version 1; it is the first below, and this file the second",
                "input `age` is missing in the first",
                "output `probability` is missing in the second",
            ][..],
        ),
        (
            "xgb_categorical.model.ubj",
            "1",
            &["input `color` is missing in the first"],
        ),
        (
            "lgb_binary.model.txt",
            "9",
            &["metadata.json: cannot be read"],
        ),
    ] {
        let refused = import(dir.path(), &fixture(name), &registry, &["--like", like]);
        assert!(!refused.status.success(), "{name}");
        for reason in reasons {
            assert!(
                stderr(&refused).contains(reason),
                "{name}: {}",
                stderr(&refused)
            );
        }
    }
    let model = fixture("lgb_binary.model.txt");
    let pushed = taper(&["import", "--model", "m", "--push", "--like", "1"])
        .arg(&model)
        .output()
        .expect("taper runs");
    assert!(
        stderr(&pushed).contains("--like: got a number, expected the folder of a version"),
        "{}",
        stderr(&pushed)
    );
    assert!(!registry.join("m/2").exists());
}
