//! Tiny versions whose answer tells which weights gave it: version `v` of a tiny model answers `v` for every row.

use std::{collections::HashMap, fs, path::Path};

use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Publishes version `version` of `model` below `root`. Inputs: `x` (FP64, -100 to 100), `n` (INT64, imputed 0),
/// `color` (BYTES: red, green), `pair` (FP32, two values a row).
pub fn publish(root: &Path, model: &str, version: u64) {
    publish_with(root, model, version, |_| {});
}

/// Like [`publish`], with a manifest that `edit` may change before it is written.
pub fn publish_with(root: &Path, model: &str, version: u64, edit: impl FnOnce(&mut Value)) {
    let dir = root.join(model).join(version.to_string());
    fs::create_dir_all(&dir).expect("registry folder");
    let columns = 6;
    let weight = vec![0u8; columns * 4];
    #[expect(clippy::cast_precision_loss, reason = "versions in tests are small")]
    let bias = (version as f32).to_le_bytes();
    let view = |shape: Vec<usize>, data| TensorView::new(Dtype::F32, shape, data).expect("tensor");
    let tensors = HashMap::from([
        ("0.weight".to_owned(), view(vec![1, columns], &weight)),
        ("0.bias".to_owned(), view(vec![1], &bias)),
    ]);
    let weights = safetensors::serialize(tensors, None).expect("serialize");
    let mut manifest = json!({
        "model_name": model,
        "version": version,
        "description": format!("answers {version}"),
        "features": ["x", "n", "color", "pair"],
        "format": "dense",
        "architecture": {"layers": [{"kind": "linear", "name": "0"}], "head": "identity"},
        "inputs": [
            {"name": "x", "datatype": "FP64", "shape": [-1], "encoding": {
                "kind": "numeric", "range": {"min": -100.0, "max": 100.0, "outside": "reject"}}},
            {"name": "n", "datatype": "INT64", "shape": [-1], "encoding": {
                "kind": "numeric", "missing": "impute", "impute": 0}},
            {"name": "color", "datatype": "BYTES", "shape": [-1], "encoding": {
                "kind": "categorical", "categories": ["red", "green"], "unknown": "reject"}},
            {"name": "pair", "datatype": "FP32", "shape": [-1, 2], "encoding": {"kind": "numeric"}},
        ],
        "outputs": [{"name": "value", "datatype": "FP32", "shape": [-1, 1]}],
        "files": [{"path": "weights.safetensors", "sha256": hex(&Sha256::digest(&weights)), "bytes": weights.len()}],
        "golden": [{"row": {"x": 1.5, "n": 2, "color": "red", "pair": [0.0, 1.0]}, "answer": [version]}],
        "batching": {"max_rows": 64},
    });
    edit(&mut manifest);
    fs::write(dir.join("weights.safetensors"), weights).expect("weights");
    fs::write(dir.join("metadata.json"), manifest.to_string()).expect("manifest");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
