//! A small version for tests: a logistic regression on two numbers, `sigmoid(a - b + 0.5)`.

use std::fs;
use std::path::Path;

use data_encoding::HEXLOWER;
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Manifest;

/// Returns the content of the weights file.
pub(crate) fn weights() -> Vec<u8> {
    let bytes = |values: &[f32]| {
        values
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect::<Vec<_>>()
    };
    let (weight, bias) = (bytes(&[1.0, -1.0]), bytes(&[0.5]));
    let tensors = [
        (
            "0.weight",
            TensorView::new(Dtype::F32, vec![1, 2], &weight).unwrap(),
        ),
        (
            "0.bias",
            TensorView::new(Dtype::F32, vec![1], &bias).unwrap(),
        ),
    ];
    safetensors::serialize(tensors, None).unwrap()
}

/// Returns the entry of the manifest for a file with these `bytes`.
pub(crate) fn file(path: &str, bytes: &[u8]) -> Value {
    let digest = HEXLOWER.encode(&Sha256::digest(bytes));
    json!({"path": path, "sha256": digest, "bytes": bytes.len()})
}

/// Returns the content of `metadata.json`.
pub(crate) fn document(model: &str, version: u64) -> Value {
    let number = json!({"kind": "numeric"});
    json!({
        "model_name": model, "version": version, "features": ["a", "b"], "format": "dense",
        "architecture": {"layers": [{"kind": "linear", "name": "0"}], "head": "sigmoid"},
        "inputs": [
            {"name": "a", "datatype": "FP32", "shape": [-1], "encoding": number},
            {"name": "b", "datatype": "FP32", "shape": [-1], "encoding": number},
        ],
        "outputs": [{"name": "probability", "datatype": "FP32", "shape": [-1, 1]}],
        "classes": ["no", "yes"],
        "files": [file("weights.safetensors", &weights())],
        "golden": [{"row": {"a": 1.0, "b": 1.0}, "answer": [0.622_459_35]}],
        "batching": {"max_rows": 16},
    })
}

/// Returns the manifest of the same network, whose output is an embedding of one number. Two disagree below `cosine`.
pub(crate) fn embedding(model: &str, version: u64, cosine: f32) -> Value {
    let mut document = document(model, version);
    document["manifest_version"] = 2.into();
    document["architecture"]["head"] = "identity".into();
    document["outputs"][0]["name"] = "vector".into();
    document["prediction"] = json!({"kind": "embedding", "cosine": cosine});
    document["classes"] = json!([]);
    document["golden"] = json!([{"row": {"a": 1.0, "b": 2.0}, "answer": [0.5]}]);
    document
}

/// Returns the manifest of a version that predicts the label `no` or `yes`. Its model file is not a model.
pub(crate) fn labels(model: &str, version: u64) -> Value {
    let mut document = document(model, version);
    document["manifest_version"] = 2.into();
    document["format"] = "xgboost".into();
    document["files"] = json!([file("model.json", b"{}")]);
    document["outputs"] = json!([{"name": "label", "datatype": "BYTES", "shape": [-1]}]);
    document["prediction"] = json!({"kind": "labels"});
    document["golden"] = json!([]);
    let fields = document.as_object_mut().unwrap();
    fields.remove("architecture");
    document
}

/// Returns the checked manifest.
pub(crate) fn manifest(document: Value) -> Manifest {
    Manifest::check(
        serde_json::from_value(document).unwrap(),
        Path::new("metadata.json"),
    )
    .unwrap()
}

/// Writes the version into `dir`, which is created.
pub(crate) fn write(dir: &Path, document: &Value) {
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("metadata.json"), document.to_string()).unwrap();
    fs::write(dir.join("weights.safetensors"), weights()).unwrap();
}
