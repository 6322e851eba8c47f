//! Networks trained with torch, as registry versions, with the answers of torch.

use std::{
    fs,
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use taper::ident::ModelName;

/// Names of all networks.
pub const NAMES: [&str; 3] = ["breast_cancer_mlp", "digits_softmax", "diabetes_mlp"];

/// One network with its rows and the expected answers.
pub struct Fixture {
    /// Name of the network, and of the model that it is published as.
    pub name: &'static str,
    /// 48 rows for the one input, `features`.
    pub rows: Vec<Vec<f32>>,
    /// Answer of torch for each row.
    pub answers: Vec<Vec<f32>>,
    described: Value,
    weights: Vec<u8>,
}

impl Fixture {
    /// Reads the network `name`.
    pub fn read(name: &'static str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dense");
        let text = fs::read(folder.join(format!("{name}.json"))).expect("description");
        let described: Value = serde_json::from_slice(&text).expect("JSON");
        let table = |field: &str| {
            serde_json::from_value(described[field].clone()).expect("a table of numbers")
        };
        Self {
            name,
            rows: table("rows"),
            answers: table("answers"),
            weights: fs::read(folder.join(format!("{name}.safetensors"))).expect("weights"),
            described,
        }
    }

    /// Publishes the network below `root` as version `version` of the model of the same name. Returns the version's folder.
    pub fn publish(&self, root: &Path, version: u64) -> PathBuf {
        let model: ModelName = self.name.parse().expect("model name");
        let number = version.try_into().expect("version number");
        let manifest = self.manifest(version).to_string();
        let publish = taper::registry::publish(root, &model, number, |dir| {
            fs::write(dir.join("weights.safetensors"), &self.weights)?;
            fs::write(dir.join("metadata.json"), &manifest)
        });
        publish.expect("published")
    }

    /// Returns true if `got` equals the answer of torch for row `row`: probabilities within 1e-5, other
    /// numbers within a relative error of 1e-4.
    pub fn agrees(&self, row: usize, got: &[f32]) -> bool {
        let wanted = &self.answers[row];
        let near = |(got, wanted): (&f32, &f32)| {
            let tolerance = match self.head() {
                "identity" => 1e-4 * wanted.abs(),
                _ => 1e-5,
            };
            (got - wanted).abs() <= tolerance
        };
        got.len() == wanted.len() && got.iter().zip(wanted).all(near)
    }

    fn head(&self) -> &str {
        self.described["head"].as_str().expect("head")
    }

    fn manifest(&self, version: u64) -> Value {
        let described = &self.described;
        let layers = described["layers"].as_array().expect("layers").iter();
        let layers: Vec<Value> = layers
            .map(|layer| match layer["linear"].as_str() {
                Some(name) => json!({"kind": "linear", "name": name}),
                None => {
                    let activation = layer["activation"].as_str().expect("activation");
                    json!({"kind": activation.split(' ').next()})
                }
            })
            .collect();
        let output = match self.head() {
            "identity" => "value",
            _ => "probability",
        };
        let digest = HEXLOWER.encode(&Sha256::digest(&self.weights));
        let golden = self.rows.iter().zip(&self.answers).take(4);
        let golden: Vec<Value> = golden
            .map(|(row, answer)| json!({"row": {"features": row}, "answer": answer}))
            .collect();
        json!({
            "model_name": self.name,
            "version": version,
            "description": described["note"],
            "features": ["features"],
            "format": "dense",
            "architecture": {"layers": layers, "head": self.head()},
            "inputs": [{
                "name": "features",
                "datatype": "FP32",
                "shape": [-1, self.rows[0].len()],
                "encoding": {
                    "kind": "numeric",
                    "scale": "standardise",
                    "mean": described["scaling"]["mean"],
                    "std": described["scaling"]["std"],
                },
            }],
            "outputs": [{"name": output, "datatype": "FP32", "shape": [-1, self.answers[0].len()]}],
            "classes": described["classes"],
            "files": [
                {"path": "weights.safetensors", "sha256": digest, "bytes": self.weights.len()},
            ],
            "golden": golden,
        })
    }
}
