//! Tiny versions whose answer identifies their weights: version `v` of a tiny model answers `v` for every row.

use std::{fs, path::Path};

use data_encoding::HEXLOWER;
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
    publish_tensors(root, model, version, &tensors(version), edit);
}

/// Like [`publish_with`], with weights of `width` by `width` and more in front: `4 * width * width` bytes of random
/// numbers, scored in batches of up to `most_rows`. The last layer ignores them, so version `v` still answers
/// `v`.
pub fn publish_wide(root: &Path, model: &str, version: u64, width: usize, most_rows: usize) {
    let [weight, bias] = [vec![width, width], vec![width]].map(|shape| {
        let bytes = random(shape.iter().product());
        (shape, bytes)
    });
    let zeros = |shape: Vec<usize>| {
        let bytes = vec![0; shape.iter().product::<usize>() * 4];
        (shape, bytes)
    };
    let tensors = [
        ("0.weight", zeros(vec![width, COLUMNS])),
        ("0.bias", bias),
        ("1.weight", weight),
        ("2.weight", zeros(vec![1, width])),
        ("2.bias", (vec![1], answer(version))),
    ];
    publish_tensors(root, model, version, &tensors, |manifest| {
        let linear = |name: &str| json!({"kind": "linear", "name": name});
        let relu = json!({"kind": "relu"});
        let layers = json!([linear("0"), relu, linear("1"), relu, linear("2")]);
        manifest["architecture"]["layers"] = layers;
        // The queue holds a few such requests.
        manifest["batching"] = json!({"max_rows": most_rows, "max_queue_rows": 1_000_000});
    });
}

/// Number of columns of an encoded row.
const COLUMNS: usize = 6;

/// A tensor by name: its shape, and its values in f32.
pub type Named = (&'static str, (Vec<usize>, Vec<u8>));

/// Returns the weights of a tiny version.
pub fn tensors(version: u64) -> [Named; 2] {
    [
        ("0.weight", (vec![1, COLUMNS], vec![0; COLUMNS * 4])),
        ("0.bias", (vec![1], answer(version))),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "versions in tests are small")]
fn answer(version: u64) -> Vec<u8> {
    (version as f32).to_le_bytes().to_vec()
}

/// Returns `number` small numbers: one random block, repeated.
fn random(number: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let block: Vec<u8> = (0..number.min(1 << 16))
        .flat_map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // The sign, then an exponent below that of 1.
            (state & 0x83ff_ffff | 0x3800_0000).to_le_bytes()
        })
        .collect();
    let mut bytes = block.repeat(number * 4 / block.len() + 1);
    bytes.truncate(number * 4);
    bytes
}

/// Like [`publish_with`], with these weights.
pub fn publish_tensors(
    root: &Path,
    model: &str,
    version: u64,
    tensors: &[Named],
    edit: impl FnOnce(&mut Value),
) {
    let dir = root.join(model).join(version.to_string());
    fs::create_dir_all(&dir).expect("registry folder");
    let views = tensors.iter().map(|(name, (shape, bytes))| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        (*name, view.expect("tensor"))
    });
    let weights = safetensors::serialize(views, None).expect("serialize");
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
        "files": [file("weights.safetensors", &weights)],
        "golden": [{"row": {"x": 1.5, "n": 2, "color": "red", "pair": [0.0, 1.0]}, "answer": [version]}],
        "batching": {"max_rows": 64},
    });
    edit(&mut manifest);
    fs::write(dir.join("weights.safetensors"), weights).expect("weights");
    fs::write(dir.join("metadata.json"), manifest.to_string()).expect("manifest");
}

/// Returns the manifest entry of a file that contains `bytes`.
pub fn file(path: &str, bytes: &[u8]) -> Value {
    let digest = HEXLOWER.encode(&Sha256::digest(bytes));
    json!({"path": path, "sha256": digest, "bytes": bytes.len()})
}

/// Lets `fill` publish a version below a temporary root and moves it into the registry `root` by one rename of
/// its whole folder.
pub fn drop_in(root: &Path, model: &str, version: u64, fill: impl FnOnce(&Path)) {
    let around = root.parent().expect("a folder around the registry");
    let beside = tempfile::tempdir_in(around).expect("a folder beside the registry");
    fill(beside.path());
    let place = Path::new(model).join(version.to_string());
    fs::create_dir_all(root.join(model)).expect("the model's folder");
    fs::rename(beside.path().join(&place), root.join(&place)).expect("renamed");
}
