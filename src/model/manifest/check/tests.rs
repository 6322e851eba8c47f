mod each;

use std::path::Path;

use serde_json::{Value, json};

use crate::faults;
use crate::model::manifest::Manifest;
use crate::model::manifest::raw::RawManifest;
use crate::model::signature::{Encoding, Missing};

fn digest() -> String {
    "ab".repeat(32)
}

fn good() -> Value {
    json!({
        "model_name": "delay", "version": 3,
        "created_at": "2013-02-01T00:00:00Z",
        "features": ["temp", "pair", "hour", "carrier"],
        "training_data": {"source": "flights.csv", "rows": 100, "sha256": digest()},
        "metrics": {"auc": 0.7},
        "format": "dense",
        "architecture": {
            "layers": [
                {"kind": "linear", "name": "0"}, {"kind": "batch_norm", "name": "1", "eps": 1e-3},
                {"kind": "leaky_relu", "negative_slope": 0.2}, {"kind": "linear", "name": "3"},
            ],
            "head": "sigmoid",
        },
        "inputs": [
            {"name": "temp", "datatype": "FP32", "shape": [-1], "encoding": {
                "kind": "numeric", "scale": "standardise", "mean": [10.0], "std": [2.0],
                "range": {"min": -0.1, "max": 0.1, "outside": "reject"},
                "missing": "impute", "impute": 0.1}},
            {"name": "pair", "datatype": "FP64", "shape": [-1, 2], "encoding": {
                "kind": "numeric", "scale": "min_max", "min": [0.0, 1.0], "max": [1.0, 3.0]}},
            {"name": "hour", "datatype": "INT32", "shape": [-1], "encoding": {
                "kind": "cyclic", "period": 24.0}},
            {"name": "carrier", "datatype": "BYTES", "shape": [-1], "encoding": {
                "kind": "categorical", "categories": ["UA", "AA"], "missing": "impute", "impute": "AA"}},
            {"name": "note", "datatype": "BYTES", "shape": [-1], "sensitive": true, "encoding": {
                "kind": "ignore", "missing": "accept"}},
        ],
        "outputs": [{"name": "probability", "datatype": "FP32", "shape": [-1, 1]}],
        "classes": ["on time", "late"],
        "files": [{"path": "weights.safetensors", "sha256": digest(), "bytes": 10}],
        "reference": {"rows": 10, "features": {"temp": {"missing": 1, "mean": 0.0}},
            "predictions": {"probability": {"missing": 0}}},
        "golden": [{"row": {"pair": [0, 1], "hour": 4}, "answer": [0.5]}],
        "batching": {"max_rows": 64},
    })
}

fn check(document: Value) -> Result<Manifest, Vec<String>> {
    let file = Path::new("m.json");
    faults::parse::<RawManifest>(file, document)
        .and_then(|raw| Manifest::check(raw, file))
        .map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

/// Returns the good manifest with `value` at `pointer`; `null` removes the field.
fn changed(pointer: &str, value: Value) -> Value {
    let mut document = good();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Object(fields) if value.is_null() => drop(fields.remove(key)),
        Value::Object(fields) => drop(fields.insert(key.into(), value)),
        Value::Array(items) => match key.parse::<usize>() {
            Ok(at) if at < items.len() => items[at] = value,
            _ => items.push(value),
        },
        other => panic!("{other} has no children"),
    }
    document
}

#[test]
fn a_good_manifest_becomes_its_signature() {
    let manifest = check(good()).unwrap();
    let signature = &manifest.signature;
    assert_eq!(
        (manifest.model.as_str(), manifest.version.get()),
        ("delay", 3)
    );
    assert_eq!(signature.columns(), 1 + 2 + 2 + 2);
    assert_eq!((signature.max_rows, signature.prediction.columns), (64, 1));
    assert_eq!(manifest.files[0].sha256, [0xab; 32]);
    let Encoding::Numeric { range, missing, .. } = &signature.inputs()[0].encoding else {
        panic!("{:?}", signature.inputs()[0]);
    };
    let tenth = f64::from(0.1_f32);
    let ends = range.map(|range| (range.min, range.max));
    assert_eq!(
        (ends, *missing),
        (Some((-tenth, tenth)), Missing::Impute(tenth)),
        "rounded to FP32"
    );
}

#[test]
fn a_path_that_leaves_the_folder_is_refused() {
    for path in [
        "../weights.safetensors",
        "a/../../b",
        "/etc/passwd",
        "./w",
        "a//b",
        "",
        "a/",
        "..",
        "C:\\w",
        "a\\..\\b",
    ] {
        let added = json!({"path": path, "sha256": digest(), "bytes": 1});
        let faults = check(changed("/files/1", added)).expect_err(path);
        let want = format!(
            "m.json: $.files[1].path: got {path:?}, wants a plain path inside the version's folder"
        );
        assert_eq!(faults, [want]);
    }
    let itself = json!({"path": "metadata.json", "sha256": digest(), "bytes": 1});
    assert!(
        check(changed("/files/1", itself)).is_err(),
        "a manifest cannot contain its own digest"
    );
    let deeper = json!({"path": "notes/..a/b.txt", "sha256": digest(), "bytes": 1});
    assert!(
        check(changed("/files/1", deeper)).is_ok(),
        "a file in a subfolder is inside"
    );
}

#[test]
fn outputs_and_classes_must_fit_the_head() {
    let with = |head: &str, name: &str, columns: u64, classes: &[&str]| {
        let mut document = good();
        document["architecture"]["head"] = json!(head);
        document["outputs"][0] = json!({"name": name, "datatype": "FP32", "shape": [-1, columns]});
        document["classes"] = json!(classes);
        document["reference"] = json!({"rows": 1, "features": {}, "predictions": {}});
        document["golden"] = json!([]);
        check(document).is_ok()
    };
    for (head, name, columns, classes, ok) in [
        ("sigmoid", "probability", 1, &["a", "b"] as &[_], true),
        ("sigmoid", "probability", 2, &["a", "b"], false),
        ("softmax", "probability", 3, &["a", "b", "c"], true),
        ("softmax", "probability", 2, &["a", "b", "c"], false),
        ("softmax", "probability", 1, &["a"], false),
        ("identity", "value", 3, &[], true),
        ("identity", "value", 1, &["a"], false),
        ("identity", "anything", 1, &[], true),
        ("identity", "any`thing", 1, &[], false),
        ("identity", "value", 0, &[], false),
    ] {
        assert_eq!(
            with(head, name, columns, classes),
            ok,
            "{head} {name} {columns} {classes:?}"
        );
    }
}

#[test]
fn several_faults_are_reported_at_once_with_their_paths() {
    let mut document = good();
    document["version"] = json!(0);
    document["inputs"][0]["encoding"]["std"] = json!([-1.0]);
    document["inputs"][3]["encoding"]["period"] = json!(2.0);
    document["architecture"]["layers"][0] = json!({"kind": "relu", "name": "x"});
    document["files"][0]["path"] = json!("/w");
    document["classes"] = json!(["a", "a"]);
    let faults = check(document).unwrap_err();
    let paths: Vec<_> = faults
        .iter()
        .map(|line| line.split(": ").nth(1).unwrap())
        .collect();
    let want = [
        "$.version",
        "$.inputs[0].encoding.std[0]",
        "$.inputs[3].encoding.period",
        "$.classes[1]",
        "$.architecture.layers[0].name",
        "$.files[0].path",
        "$.files",
    ];
    assert_eq!(paths, want);
}

/// Returns the manifest of a graph from `x` to `y`, after `change`.
fn graph(change: impl FnOnce(&mut Value)) -> Value {
    let mut document = json!({
        "manifest_version": 2, "model_name": "m", "version": 1, "features": ["x"],
        "format": {"kind": "onnx"},
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 8]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 1]}],
        "prediction": {"kind": "value"},
        "files": [{"path": "model.onnx", "sha256": digest(), "bytes": 10}],
        "batching": {"max_rows": 4},
    });
    change(&mut document);
    document
}

#[test]
fn tensors_of_a_graph_are_bounded_and_some_may_have_no_rows() {
    assert!(check(graph(|_| {})).is_ok());
    let large = check(graph(|document| {
        document["inputs"][0]["shape"] = json!([-1, -1, 1_u64 << 26, 1_u64 << 26]);
    }));
    let faults = large.unwrap_err();
    assert!(
        faults[0].starts_with("m.json: $.batching.max_rows: got 4, wants 1 to 0"),
        "{faults:?}"
    );
    let scale = json!({"name": "scale", "datatype": "FP32", "shape": [1], "batch": false});
    let mixed = check(graph(|document| {
        document["inputs"]
            .as_array_mut()
            .unwrap()
            .push(scale.clone());
        document["features"] = json!(["x", "scale"]);
    }));
    assert!(mixed.is_ok(), "{mixed:?}");
    let without_rows = check(graph(|document| {
        document["inputs"].as_array_mut().unwrap().push(scale);
        document["features"] = json!(["x", "scale"]);
        document["outputs"][0] =
            json!({"name": "y", "datatype": "FP32", "shape": [1], "batch": false});
    }));
    let faults = without_rows.unwrap_err();
    assert!(
        faults[0].contains("$.prediction: got an output with"),
        "{faults:?}"
    );
}

#[test]
fn only_floats_stand_for_missing_values_of_a_graph() {
    for (datatype, accepted) in [
        ("FP32", true),
        ("FP16", true),
        ("INT64", false),
        ("BYTES", false),
    ] {
        let checked = check(graph(|document| {
            document["inputs"][0]["datatype"] = json!(datatype);
            document["inputs"][0]["encoding"] = json!({"kind": "tensor", "missing": "accept"});
        }));
        assert_eq!(checked.is_ok(), accepted, "{datatype}: {checked:?}");
    }
}

#[test]
fn a_mask_belongs_to_one_input_whose_values_may_be_missing() {
    let with = |more: Value| {
        check(graph(|document| {
            let inputs = document["inputs"].as_array_mut().unwrap();
            inputs[0]["encoding"] = json!({"kind": "tensor", "missing": "accept"});
            let same = inputs[0]["shape"].clone();
            let mut mask = json!({"name": "m", "datatype": "BOOL", "shape": same,
                "encoding": {"kind": "mask", "of": "x"}});
            let list = more.as_array().unwrap();
            for change in list {
                mask[change[0].as_str().unwrap()] = change[1].clone();
            }
            inputs.push(mask);
        }))
    };
    let manifest = with(json!([])).unwrap();
    assert_eq!(manifest.signature.mask_of(0), Some(1));
    for (change, want) in [
        (
            json!([["datatype", "INT8"]]),
            "$.inputs[1].datatype: got INT8, wants BOOL for this kind of encoding",
        ),
        (
            json!([["shape", [-1, 77]]]),
            "$.inputs[1].shape: got [-1, 77], expected ",
        ),
        (
            json!([["encoding", {"kind": "mask"}]]),
            "$.inputs[1].encoding.of: missing: the input whose values the mask marks",
        ),
        (
            json!([["encoding", {"kind": "mask", "of": "m"}]]),
            "$.inputs[1].encoding.of: got \"m\", expected an input with missing `accept` or `impute`",
        ),
        (
            json!([["encoding", {"kind": "mask", "of": "x", "missing": "accept"}]]),
            "$.inputs[1].encoding.missing: expected none: a mask may always be omitted",
        ),
    ] {
        let faults = with(change.clone()).unwrap_err();
        assert!(
            faults.len() == 1 && faults[0].contains(want),
            "{change}: {faults:?}"
        );
    }
    let twice = check(graph(|document| {
        let inputs = document["inputs"].as_array_mut().unwrap();
        inputs[0]["encoding"] = json!({"kind": "tensor", "missing": "accept"});
        let mask = json!({"name": "m", "datatype": "BOOL", "shape": inputs[0]["shape"],
            "encoding": {"kind": "mask", "of": "x"}});
        let mut second = mask.clone();
        second["name"] = json!("n");
        inputs.extend([mask, second]);
    }));
    assert_eq!(
        twice.unwrap_err(),
        ["m.json: $.inputs[2].encoding.of: `x` has a mask already"]
    );
}

#[test]
fn a_batch_with_too_many_input_values_is_refused() {
    let mut document = good();
    let names: Vec<_> = (0..10_000).map(|i| i.to_string()).collect();
    document["inputs"][3]["encoding"] = json!({"kind": "categorical", "categories": names});
    document["golden"] = json!([]);
    document["batching"]["max_rows"] = json!(65_536);
    let want = "m.json: $.batching.max_rows: got 65536, wants 1 to 6707 for 10005 input columns and 1 output columns";
    assert_eq!(check(document).unwrap_err(), [want]);
}

#[test]
fn a_batch_with_too_many_output_values_is_refused() {
    let answers = |columns: u64, rows: u64| {
        let mut document = good();
        document["architecture"]["head"] = json!("identity");
        document["outputs"][0] =
            json!({"name": "value", "datatype": "FP32", "shape": [-1, columns]});
        document["classes"] = json!([]);
        document["reference"] = json!({"rows": 1, "features": {}, "predictions": {}});
        document["golden"] = json!([]);
        document["batching"]["max_rows"] = json!(rows);
        check(document).map(|manifest| manifest.signature.prediction.columns)
    };
    let want = "m.json: $.batching.max_rows: got 65536, wants 1 to 32768 for 7 input columns and 2048 output columns";
    assert_eq!(answers(2_048, 65_536).unwrap_err(), [want]);
    assert_eq!(answers(2_048, 32_768), Ok(2_048));
}
