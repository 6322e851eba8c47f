use std::collections::BTreeMap;
use std::path::Path;

use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};

use super::*;
use crate::model::Manifest;
use crate::model::payload::{Payload, Tensor as Given, TensorData};

mod fused;
mod refusals;

/// Tensors by name: shape and values.
type Weights = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn manifest(ins: usize, layers: Value, head: &str, outs: usize) -> Manifest {
    let name = if head == "identity" {
        "value"
    } else {
        "probability"
    };
    let classes: Vec<_> = match head {
        "identity" => vec![],
        "sigmoid" => vec!["a".into(), "b".into()],
        _ => (0..outs).map(|at| at.to_string()).collect(),
    };
    let raw = json!({
        "model_name": "m", "version": 1, "features": ["x"], "format": "dense",
        "architecture": {"layers": layers, "head": head},
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, ins], "encoding": {"kind": "numeric"}}],
        "outputs": [{"name": name, "datatype": "FP32", "shape": [-1, outs]}],
        "classes": classes,
        "files": [{"path": "weights.safetensors", "sha256": "00".repeat(32), "bytes": 0}],
    });
    Manifest::check(serde_json::from_value(raw).unwrap(), Path::new("m.json")).unwrap()
}

fn bytes(weights: &Weights) -> Vec<u8> {
    let raw: Vec<_> = weights
        .iter()
        .map(|(name, (shape, values))| {
            let data: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            (name.clone(), shape.clone(), data)
        })
        .collect();
    let views = raw.iter().map(|(name, shape, data)| {
        (
            name,
            TensorView::new(Dtype::F32, shape.clone(), data).unwrap(),
        )
    });
    safetensors::serialize(views, None).unwrap()
}

fn architecture(manifest: &Manifest) -> Architecture {
    architecture::of(&manifest.about, Path::new("m.json")).unwrap()
}

fn read(manifest: &Manifest, weights: &Weights) -> Result<Dense, Vec<String>> {
    let file = Path::new("w");
    let network = architecture(manifest);
    let (signature, bytes) = (&manifest.signature, bytes(weights));
    Dense::read(&network, signature, bytes, file, &mut || {})
        .map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

fn scores(dense: &Dense, batch: &Batch) -> Scores {
    match dense.forward(batch).unwrap() {
        Outputs::Scores(scores) => scores,
        Outputs::Tensors(_) => panic!("a dense network returns scores"),
    }
}

/// Pseudo-random numbers between -1 and 1, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn take(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.next()).collect()
    }
}

/// Builds layers and weights from a plan: a number is a linear layer of that width, `0` a batch norm, a string an activation.
fn stack(ins: usize, plan: &[Value], numbers: &mut Numbers) -> (Value, Weights, usize) {
    let (mut layers, mut weights, mut width) = (Vec::new(), Weights::new(), ins);
    for (at, step) in plan.iter().enumerate() {
        let name = at.to_string();
        match step.as_u64() {
            Some(0) => {
                for part in ["weight", "bias", "running_mean", "running_var"] {
                    let mut values = numbers.take(width);
                    if part == "running_var" {
                        values.iter_mut().for_each(|x| *x = x.abs() + 0.1);
                    }
                    weights.insert(format!("{name}.{part}"), (vec![width], values));
                }
                layers.push(json!({"kind": "batch_norm", "name": name, "eps": 1e-3}));
            }
            Some(outs) => {
                let outs = usize::try_from(outs).unwrap();
                let weight = (vec![outs, width], numbers.take(outs * width));
                weights.insert(format!("{name}.weight"), weight);
                if at % 2 == 0 {
                    weights.insert(format!("{name}.bias"), (vec![outs], numbers.take(outs)));
                }
                layers.push(json!({"kind": "linear", "name": name}));
                width = outs;
            }
            None => layers.push(json!({"kind": step})),
        }
    }
    (Value::Array(layers), weights, width)
}

/// Computes the same network in f64, layer by layer as the manifest describes it.
fn expected_scores(manifest: &Manifest, weights: &Weights, row: &[f32]) -> Vec<f64> {
    let get = |name: String| -> Vec<f64> {
        weights.get(&name).map_or(vec![], |(_, values)| {
            values.iter().map(|x| f64::from(*x)).collect()
        })
    };
    let mut x: Vec<f64> = row.iter().map(|x| f64::from(*x)).collect();
    for layer in &architecture(manifest).layers {
        use super::architecture::Layer;
        x = match layer {
            Layer::Linear(name) => {
                let bias = get(format!("{name}.bias"));
                let weight = get(format!("{name}.weight"));
                let dots = weight.chunks_exact(x.len());
                let dots = dots.map(|row| row.iter().zip(&x).map(|(w, x)| w * x).sum::<f64>());
                dots.enumerate()
                    .map(|(at, dot)| dot + bias.get(at).unwrap_or(&0.0))
                    .collect()
            }
            Layer::BatchNorm { name, eps } => {
                let [w, b, mean, var] = ["weight", "bias", "running_mean", "running_var"]
                    .map(|part| get(format!("{name}.{part}")));
                (0..x.len())
                    .map(|i| (x[i] - mean[i]) / (var[i] + eps).sqrt() * w[i] + b[i])
                    .collect()
            }
            Layer::Relu => x.iter().map(|x| x.max(0.0)).collect(),
            Layer::Gelu => x
                .iter()
                .map(|x| x * 0.5 * (1.0 + libm::erf(x / 2.0_f64.sqrt())))
                .collect(),
            Layer::Silu => x.iter().map(|x| x / (1.0 + (-x).exp())).collect(),
            Layer::Tanh => x.iter().map(|x| x.tanh()).collect(),
            Layer::Sigmoid => x.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect(),
            Layer::LeakyRelu(slope) => x
                .iter()
                .map(|x| if *x > 0.0 { *x } else { slope * x })
                .collect(),
        };
    }
    match architecture(manifest).head {
        Head::Identity => x,
        Head::Sigmoid => x.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect(),
        Head::Softmax => {
            let sum: f64 = x.iter().map(|x| x.exp()).sum();
            x.iter().map(|x| x.exp() / sum).collect()
        }
    }
}

fn rows(manifest: &Manifest, ins: usize, values: Vec<f32>) -> Batch {
    let shape = vec![
        i64::try_from(values.len() / ins).unwrap(),
        i64::try_from(ins).unwrap(),
    ];
    let data = TensorData::Fp32(values);
    let tensor = Given {
        name: "x".into(),
        shape,
        data,
    };
    manifest
        .signature
        .encode(&Payload::Tensors(vec![tensor]))
        .unwrap()
}

#[test]
fn every_stack_scores_as_its_layers_say_and_alone_as_in_a_batch() {
    let mut numbers = Numbers(7);
    for (plan, head, why) in [
        (json!([1]), "sigmoid", "logistic regression"),
        (json!([3]), "softmax", "softmax regression"),
        (json!([2]), "identity", "linear regression with two outputs"),
        (
            json!([
                8,
                "relu",
                8,
                "gelu",
                8,
                "silu",
                8,
                "tanh",
                8,
                "sigmoid",
                8,
                "leaky_relu",
                1
            ]),
            "identity",
            "every activation",
        ),
        (
            json!([6, 0, "relu", 4]),
            "softmax",
            "batch norm is folded into the linear layer before",
        ),
        (
            json!([0, 6, "relu", 4]),
            "softmax",
            "at the start, into the one after",
        ),
        (
            json!([6, "relu", 0, 1]),
            "sigmoid",
            "after an activation, into the one after",
        ),
        (
            json!([6, "relu", 0, "tanh", 1]),
            "sigmoid",
            "between activations, it stays",
        ),
        (json!([6, "relu", 0]), "identity", "at the end, it stays"),
        (json!([0]), "identity", "a network of one batch norm"),
        (
            json!([0, 0, 3, 0, 0, "relu", 0, 0]),
            "identity",
            "several in a row",
        ),
    ] {
        let (layers, weights, outs) = stack(5, plan.as_array().unwrap(), &mut numbers);
        let manifest = manifest(5, layers, head, outs);
        let dense = read(&manifest, &weights).unwrap();
        let values: Vec<f32> = numbers.take(5 * 9).iter().map(|x| x * 3.0).collect();
        let batch = scores(&dense, &rows(&manifest, 5, values.clone()));
        assert_eq!((batch.rows().len(), batch.columns()), (9, outs), "{why}");
        for (row, answer) in values.chunks_exact(5).zip(batch.rows()) {
            let alone = scores(&dense, &rows(&manifest, 5, row.to_vec())).into_vec();
            let wanted = expected_scores(&manifest, &weights, row);
            for ((got, alone), wanted) in answer.iter().zip(alone).zip(wanted) {
                assert!(
                    (f64::from(*got) - wanted).abs() < 1e-5,
                    "{why}: got {got}, wants {wanted}"
                );
                assert_eq!(got.to_bits(), alone.to_bits(), "{why}: alone");
            }
        }
    }
}

#[test]
fn batch_norm_costs_nothing_if_it_is_folded_into_a_linear_layer() {
    let cost = |plan: Value| {
        let (layers, weights, outs) = stack(5, plan.as_array().unwrap(), &mut Numbers(1));
        read(&manifest(5, layers, "identity", outs), &weights)
            .unwrap()
            .cost_per_row()
    };
    assert_eq!(cost(json!([0, 6, 0, "relu", 0, 2])), 5 * 6 + 6 * 2);
    assert_eq!(cost(json!([6, "relu", 0])), 5 * 6 + 6);
}

#[test]
fn candle_scores_a_network_only_if_it_is_faster() {
    for (threads, optimised, largest, candle, why) in [
        (1, true, LARGE * 16, false, "one thread is no faster"),
        (2, true, LARGE - 1, false, "too little to share"),
        (2, true, LARGE, true, "both threads work on it"),
        (1, false, LARGE, true, "only candle is optimised"),
        (1, false, LARGE - 1, false, "small ones are always fused"),
    ] {
        let got = candle_is_faster(threads, optimised, largest);
        assert_eq!(got, candle, "{why}");
    }
}

#[test]
fn extreme_logits_give_finite_probabilities() {
    for (z, want) in [
        (200.0, 1.0),
        (-200.0, 0.0),
        (0.0, 0.5),
        (f32::MAX, 1.0),
        (f32::MIN, 0.0),
    ] {
        assert_eq!(sigmoid(z), want, "sigmoid of {z}");
    }
    let mut logits = [1e30, -1e30, 1e30];
    softmax(&mut logits);
    assert_eq!(logits, [0.5, 0.0, 0.5]);
}

#[test]
fn weights_of_16_and_64_bits_are_converted() {
    let manifest = manifest(2, json!([{"kind": "linear", "name": "0"}]), "identity", 1);
    let weights = [0.1_f64, -3.0];
    let half = weights
        .map(|x| half::f16::from_f64(x).to_le_bytes())
        .concat();
    let brain = weights
        .map(|x| half::bf16::from_f64(x).to_le_bytes())
        .concat();
    let double = weights.map(f64::to_le_bytes).concat();
    for (dtype, data, want) in [
        (Dtype::F16, half, half::f16::from_f64(0.1).to_f32() - 3.0),
        (Dtype::BF16, brain, half::bf16::from_f64(0.1).to_f32() - 3.0),
        (Dtype::F64, double, 0.1_f32 - 3.0),
    ] {
        let view = TensorView::new(dtype, vec![1, 2], &data).unwrap();
        let bytes = safetensors::serialize([("0.weight", view)], None).unwrap();
        let (network, signature) = (architecture(&manifest), &manifest.signature);
        let dense = Dense::read(&network, signature, bytes, Path::new("w"), &mut || {}).unwrap();
        let got = scores(&dense, &rows(&manifest, 2, vec![1.0, 1.0])).into_vec();
        assert_eq!(got, [want], "{dtype:?}");
    }
}
