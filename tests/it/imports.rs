//! `taper import` as users run it: what it takes from the shell, other imports at the same time, and files that are no models.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::thread;

use crate::onnx_file::{FLOAT, Graph, Message, empty_tensor, node, value};
use crate::process::taper;

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
