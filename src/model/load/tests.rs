use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;
use crate::error::ForwardError;
use crate::model::batch::Batch;
use crate::model::payload::{Cell, Payload, TensorData};
use crate::model::samples;
use crate::model::scoring::{Model, Outputs};

mod refusals;

/// A folder with the sample as version 1 of `m`, after `change` to its manifest.
fn folder(change: impl FnOnce(&mut Value)) -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("1");
    let mut document = samples::document("m", 1);
    change(&mut document);
    samples::write(&dir, &document);
    (root, dir)
}

fn load_it(dir: &Path) -> Result<Version, Vec<String>> {
    let version = VersionNumber::try_from(1).unwrap();
    load(dir, &"m".parse().unwrap(), version).map_err(|faults| {
        let home = format!("{}/", dir.display());
        faults
            .iter()
            .map(|fault| fault.to_string().replace(&home, ""))
            .collect()
    })
}

fn rows(version: &Version, table: &[(f64, f64)]) -> Batch {
    let row = |(a, b): &(f64, f64)| {
        vec![
            ("a".into(), Cell::Number(*a)),
            ("b".into(), Cell::Number(*b)),
        ]
    };
    version
        .signature()
        .encode(&Payload::Rows(table.iter().map(row).collect()))
        .unwrap()
}

#[test]
fn a_good_folder_becomes_a_version_that_answers() {
    let (_root, dir) = folder(|_| {});
    let version = load_it(&dir).unwrap();
    let scores = version
        .forward(&rows(&version, &[(1.0, 1.0), (0.0, 2.5)]))
        .unwrap();
    let want = [0.622_459_35, 0.119_202_92];
    for (got, want) in scores.scores.into_vec().iter().zip(want) {
        assert!((got - want).abs() < 1e-6, "got {got}, wants {want}");
    }
    assert_eq!(
        (version.cost_per_row(), format!("{version:?}")),
        (2, "Version(m 1)".into())
    );
}

#[test]
fn each_fault_of_a_folder_is_reported() {
    let digest = "00".repeat(32);
    let real = samples::file("weights.safetensors", &samples::weights());
    let real = real["sha256"].as_str().unwrap();
    type Change = Box<dyn Fn(&mut Value)>;
    let cases: Vec<(Change, String)> = vec![
        (
            Box::new(|d| d["model_name"] = json!("n")),
            "metadata.json: $.model_name: got \"n\", wants \"m\", the name of the folder".into(),
        ),
        (
            Box::new(|d| d["version"] = json!(2)),
            "metadata.json: $.version: got 2, wants 1, the name of the folder".into(),
        ),
        (
            Box::new(|d| d["version"] = json!("1")),
            "metadata.json: $.version: got \"1\", wants integer".into(),
        ),
        (
            Box::new(|d| d["format"] = json!({"kind": "dense"})),
            "metadata.json: $.format: this belongs to form 2; add \"manifest_version\": 2".into(),
        ),
        (
            Box::new(move |d| d["files"][0]["sha256"] = json!(digest)),
            format!(
                "weights.safetensors: differs from the manifest: got sha256 {real}, wants {}",
                "00".repeat(32)
            ),
        ),
        (
            Box::new(|d| d["files"][0]["bytes"] = json!(7)),
            format!(
                "weights.safetensors: differs from the manifest: got {} bytes, wants 7",
                samples::weights().len()
            ),
        ),
        (
            Box::new(|d| {
                d["files"] =
                    json!([d["files"][0], {"path": "more", "sha256": "00".repeat(32), "bytes": 1}])
            }),
            "more: cannot be read: No such file or directory (os error 2)".into(),
        ),
        (
            Box::new(|d| d["architecture"]["layers"][0]["name"] = json!("1")),
            "weights.safetensors: 1.weight: missing".into(),
        ),
        (
            Box::new(|d| d["golden"][0]["answer"] = json!([0.6225])),
            "metadata.json: $.golden[0].answer[0]: got 0.62245935, wants 0.6225 within 1e-5".into(),
        ),
    ];
    for (change, want) in cases {
        let (_root, dir) = folder(|document| change(document));
        let faults = load_it(&dir).expect_err(&want);
        assert_eq!(faults[0], want);
    }
}

#[test]
fn several_faults_of_a_folder_are_reported_at_once() {
    let (_root, dir) = folder(|document| {
        document["model_name"] = json!("n");
        document["files"][0]["bytes"] = json!(1);
        document["files"] =
            json!([document["files"][0], {"path": "x", "sha256": "00".repeat(32), "bytes": 0}]);
    });
    fs::create_dir(dir.join("x")).unwrap();
    let faults = load_it(&dir).unwrap_err();
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert_eq!(faults[2], "x: is not a regular file");
}

#[test]
fn a_file_that_differs_from_its_digest_is_refused() {
    let (_root, dir) = folder(|_| {});
    let file = dir.join("weights.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    let faults = load_it(&dir).unwrap_err();
    assert!(faults[0].starts_with("weights.safetensors: differs from the manifest: got sha256 "));
}

#[test]
fn an_unreadable_manifest_is_reported_with_the_reason() {
    let (_root, dir) = folder(|_| {});
    let manifest = dir.join("metadata.json");
    fs::write(&manifest, "{\"model_name\": \"m\",").unwrap();
    let faults = load_it(&dir).unwrap_err();
    assert_eq!(
        faults,
        ["metadata.json: invalid JSON: EOF while parsing a value at line 1 column 19"]
    );
    let twice = samples::document("m", 1).to_string();
    fs::write(&manifest, twice.replacen('{', "{\"version\": 2, ", 1)).unwrap();
    let faults = load_it(&dir).unwrap_err();
    assert_eq!(faults, ["metadata.json: $.version: is repeated"]);
    fs::remove_file(&manifest).unwrap();
    let faults = load_it(&dir).unwrap_err();
    assert_eq!(
        faults,
        ["metadata.json: cannot be read: No such file or directory (os error 2)"]
    );
}

#[cfg(unix)]
#[test]
fn a_link_may_only_lead_to_a_file_inside_the_folder() {
    use std::os::unix::fs::symlink;
    let (root, dir) = folder(|_| {});
    let file = dir.join("weights.safetensors");
    fs::create_dir(dir.join("..data")).unwrap();
    fs::rename(&file, dir.join("..data/w")).unwrap();
    symlink("..data/w", &file).unwrap();
    assert!(load_it(&dir).is_ok(), "as a ConfigMap is mounted");

    fs::rename(dir.join("..data/w"), root.path().join("w")).unwrap();
    fs::remove_file(&file).unwrap();
    symlink("../w", &file).unwrap();
    let want = "weights.safetensors: leads out of the version's folder, expected a file inside, or in a folder of `content_stores`";
    assert_eq!(load_it(&dir).unwrap_err(), [want]);
}

#[cfg(unix)]
#[test]
fn files_other_than_the_manifest_may_be_links_into_a_content_store() {
    use std::os::unix::fs::symlink;
    let (root, dir) = folder(|_| {});
    let [store, other] = ["store", "other"].map(|name| root.path().join(name));
    fs::create_dir_all(store.join("blobs")).unwrap();
    fs::create_dir(&other).unwrap();
    let blob = store.join("blobs/abc");
    fs::rename(dir.join("weights.safetensors"), &blob).unwrap();
    symlink(&blob, dir.join("weights.safetensors")).unwrap();
    let load = |stores: &[PathBuf]| {
        let options = LoadOptions {
            stores: ContentStores::new(stores).unwrap(),
            ..LoadOptions::default()
        };
        let one = VersionNumber::try_from(1).unwrap();
        let loaded = load_with(&dir, &"m".parse().unwrap(), one, &options, &mut |_| {});
        let needed = memory_to_load(&dir, &options.stores);
        assert!(needed.is_ok() || loaded.is_err());
        loaded.is_ok()
    };
    assert!(!load(std::slice::from_ref(&other)));
    assert!(load(&[other, store.clone()]));
    // The digest is checked wherever the file is.
    let mut bytes = fs::read(&blob).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&blob, bytes).unwrap();
    assert!(!load(std::slice::from_ref(&store)));
}

#[cfg(unix)]
#[test]
fn the_manifest_follows_the_same_rules_as_other_files() {
    use std::os::unix::fs::symlink;
    let (root, dir) = folder(|_| {});
    let file = dir.join("metadata.json");
    fs::create_dir(dir.join("..data")).unwrap();
    fs::rename(&file, dir.join("..data/m")).unwrap();
    symlink("..data/m", &file).unwrap();
    assert!(load_it(&dir).is_ok(), "as a ConfigMap is mounted");

    fs::rename(dir.join("..data/m"), root.path().join("m")).unwrap();
    fs::remove_file(&file).unwrap();
    symlink("../m", &file).unwrap();
    let want = "metadata.json: leads out of the version's folder, expected a file inside";
    assert_eq!(load_it(&dir).unwrap_err(), [want]);

    // A socket, because the standard library cannot make a pipe: only regular files are opened.
    fs::remove_file(&file).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(&file).unwrap();
    assert_eq!(
        load_it(&dir).unwrap_err(),
        ["metadata.json: is not a regular file"]
    );
}

/// A network whose forward pass is a function.
struct FakeNetwork(fn(&Batch) -> Result<Outputs, ForwardError>);

impl Model for FakeNetwork {
    fn cost_per_row(&self) -> usize {
        1
    }

    fn forward(&self, rows: &Batch) -> Result<Outputs, ForwardError> {
        (self.0)(rows)
    }
}

#[test]
fn a_made_up_row_that_the_model_refuses_does_not_fail_the_version() {
    let of = |axis: i64, forward| {
        let mut document = samples::labels("m", 1);
        document["format"] = json!("onnx");
        document["inputs"] = json!([{"name": "x", "datatype": "FP32", "shape": [-1, axis]}]);
        document["features"] = json!(["x"]);
        document["outputs"] = json!([{"name": "y", "datatype": "FP32", "shape": [-1, 1]}]);
        document["prediction"] = json!({"kind": "value"});
        document["classes"] = json!([]);
        document["files"][0]["path"] = json!("model.onnx");
        let version = Version::new(samples::manifest(document), Box::new(FakeNetwork(forward)));
        let mut throttle = Throttle::new(Pace::Full);
        let measured = warm_up::run(&version, Path::new("m/1"), &mut throttle);
        measured
            .map(|sizes| sizes.len())
            .map_err(|why| why.to_string())
    };
    let inverse = |batch: &Batch| {
        let TensorData::Fp32(x) = &batch.tensors()[0].data else {
            panic!("FP32");
        };
        Outputs::scores(vec![1.0 / x[0]; batch.len()], 1)
    };
    assert_eq!(of(8, inverse), Ok(5), "ones after zeros");
    let unsuited = |_: &Batch| Err(ForwardError::Unsuited("unknown category".into()));
    assert_eq!(of(8, unsuited), Ok(0));
    let failed = |_: &Batch| Err(ForwardError::Failed("too short".into()));
    assert_eq!(of(-1, failed), Ok(0), "an axis of any length is 1");
    assert_eq!(
        of(8, failed),
        Err("m/1: cannot score 1 rows: too short".into())
    );
    let infinite = |batch: &Batch| Outputs::scores(vec![f32::INFINITY; batch.len()], 1);
    assert!(of(8, infinite).is_err());
}

#[test]
fn a_failed_forward_pass_fails_only_its_own_request() {
    let version = |forward| {
        Version::new(
            samples::manifest(samples::document("m", 1)),
            Box::new(FakeNetwork(forward)),
        )
    };
    let two = |version: &Version| version.forward(&rows(version, &[(0.0, 0.0); 2]));
    for (version, want) in [
        (version(|_| panic!("boom")), "the model panicked: boom"),
        (
            version(|rows| panic!("{} rows", rows.len())),
            "the model panicked: 2 rows",
        ),
        (
            version(|_| Outputs::scores(vec![0.5, f32::NAN], 1)),
            "the score of row 1 is not finite",
        ),
        (
            version(|_| Outputs::scores(vec![f32::INFINITY, 0.5], 1)),
            "the score of row 0 is not finite",
        ),
        (
            version(|_| Outputs::scores(vec![0.5], 1)),
            "2 rows got 1 scores, expected 2",
        ),
        (
            version(|_| Outputs::scores(vec![0.5; 4], 2)),
            "2 rows got 4 scores, expected 2",
        ),
        (
            version(|_| Outputs::scores(vec![0.5; 3], 2)),
            "3 scores are not a whole number of rows of 2",
        ),
    ] {
        assert_eq!(two(&version).unwrap_err().to_string(), want);
        assert!(two(&version).is_err(), "and can be called again");
    }
    assert!(two(&version(|rows| Outputs::scores(vec![0.5; rows.len()], 1))).is_ok());
}

#[test]
fn a_network_that_fails_verification_or_warm_up_is_not_loaded() {
    let file = Path::new("metadata.json");
    let mut full = Throttle::new(Pace::Full);
    let half: fn(&Batch) -> _ = |rows| Outputs::scores(vec![0.5; rows.len()], 1);
    let only_one: fn(&Batch) -> _ = |rows| match rows.len() {
        1 => Outputs::scores(vec![0.622_459_35], 1),
        _ => Err(ForwardError::Failed("no batches".into())),
    };
    let version = |forward| {
        Version::new(
            samples::manifest(samples::document("m", 1)),
            Box::new(FakeNetwork(forward)),
        )
    };
    let wrong = golden::check(&version(half), file, &mut full).unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "metadata.json: $.golden[0].answer[0]: got 0.5, wants 0.62245935 within 1e-5"
    );
    assert!(golden::check(&version(only_one), file, &mut full).is_ok());
    let wrong = warm_up::run(&version(only_one), Path::new("m/1"), &mut full).unwrap_err();
    assert_eq!(wrong.to_string(), "m/1: cannot score 2 rows: no batches");
}

#[test]
fn the_top_class_is_the_most_probable_one() {
    let with = |head: &str, classes: &[&str]| {
        let mut document = samples::document("m", 1);
        document["architecture"]["head"] = json!(head);
        document["classes"] = json!(classes);
        let name = if head == "identity" {
            "value"
        } else {
            "probability"
        };
        let columns = if head == "softmax" { classes.len() } else { 1 };
        document["outputs"] = json!([{"name": name, "datatype": "FP32", "shape": [-1, columns]}]);
        document["golden"] = json!([]);
        Version::new(
            samples::manifest(document),
            Box::new(FakeNetwork(|_| panic!("not called"))),
        )
    };
    let top =
        |version: &Version, row: &[f32]| version.top_class(row).map(|t| (t.index, t.probability));
    let sigmoid = with("sigmoid", &["no", "yes"]);
    assert_eq!(top(&sigmoid, &[0.75]), Some((1, 0.75)));
    assert_eq!(top(&sigmoid, &[0.5]), Some((1, 0.5)));
    assert_eq!(top(&sigmoid, &[0.25]), Some((0, 0.75)));
    let softmax = with("softmax", &["a", "b", "c"]);
    assert_eq!(top(&softmax, &[0.2, 0.5, 0.3]), Some((1, 0.5)));
    assert_eq!(
        top(&softmax, &[0.4, 0.2, 0.4]),
        Some((0, 0.4)),
        "the first of equally probable ones"
    );
    assert_eq!(top(&with("identity", &[]), &[7.0]), None);
}

#[test]
fn an_embedding_of_a_network_is_judged_by_its_norm_and_answered_as_vectors() {
    for (datatype, vectors) in [
        ("FP32", TensorData::Fp32(vec![-0.5, 2.0])),
        ("FP64", TensorData::Fp64(vec![-0.5, 2.0])),
    ] {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("1");
        let mut document = samples::embedding("m", 1, 0.9);
        document["outputs"][0]["datatype"] = json!(datatype);
        samples::write(&dir, &document);
        let version = load_it(&dir).unwrap();
        let pass = version.forward(&rows(&version, &[(1.0, 2.0), (1.5, 0.0)]));
        let pass = pass.unwrap();
        assert_eq!(pass.scores.as_slice(), [0.5, 2.0]);
        let output = pass.summarised_output().unwrap();
        assert_eq!((&output.shape[..], &output.data), (&[2, 1][..], &vectors));
        let [only] = &pass.outputs(version.signature()).collect::<Vec<_>>()[..] else {
            panic!("one output")
        };
        assert_eq!((only.shape(), only.data()), (vec![2, 1], vectors));
        let parts = pass.split(&[1, 1]);
        let second = parts[1].summarised_output().unwrap();
        assert_eq!(second.shape, [1, 1], "each part has its own vectors");
    }
}

#[test]
fn an_embedding_is_as_wide_as_its_output() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("1");
    let mut document = samples::embedding("m", 1, 0.9);
    document["outputs"][0]["shape"] = json!([-1, 2]);
    samples::write(&dir, &document);
    let refused = load_it(&dir).unwrap_err();
    assert!(
        refused
            .iter()
            .any(|fault| fault.contains("0.weight") && fault.contains("[2, 2]")),
        "{refused:?}"
    );
}
