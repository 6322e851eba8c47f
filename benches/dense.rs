//! Perceptrons at batch sizes 1, 8 and 64: encoding rows, and the forward pass compared with candle's over the same weights. The
//! network of the example is version 2 of the flights; the other is 30-64-64-2.
#![expect(clippy::expect_used, clippy::panic, reason = "a bench")]

#[path = "common/candle.rs"]
mod candle;
mod common;

use std::fs;
use std::hint::black_box;
use std::path::Path;

use candle::Perceptron;
use common::{MODEL, registry, tensors, version};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use data_encoding::HEXLOWER;
use safetensors::{Dtype, tensor::TensorView};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use taper::ident::VersionNumber;
use taper::model::Version;
use taper::model::payload::{Payload, Tensor, TensorData};

const BATCHES: [usize; 3] = [1, 8, 64];
/// Widths of the network that is not the example's.
const WIDTHS: [usize; 4] = [30, 64, 64, 2];

fn encode(c: &mut Criterion) {
    let version = version(2);
    let mut group = c.benchmark_group("dense/encode");
    for rows in BATCHES {
        let payload = Payload::Tensors(tensors(&version, rows));
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(BenchmarkId::from_parameter(rows), |b| {
            b.iter(|| version.signature().encode(black_box(&payload)));
        });
    }
    group.finish();
}

fn flights(c: &mut Criterion) {
    let version = version(2);
    let candle = Perceptron::read(&registry().join(MODEL).join("2"));
    let payload = |rows| Payload::Tensors(tensors(&version, rows));
    forward(c, "flights", &version, &candle, payload);
}

fn perceptron(c: &mut Criterion) {
    let root = tempfile::tempdir().expect("a folder");
    publish(root.path());
    let number = VersionNumber::try_from(1).expect("a version");
    let name = "perceptron".parse().expect("a name");
    let version = taper::model::load(root.path(), &name, number).expect("it loads");
    let candle = Perceptron::read(root.path());
    forward(c, "30-64-64-2", &version, &candle, |rows| {
        let shape = [rows, WIDTHS[0]].map(|axis| i64::try_from(axis).expect("short"));
        Payload::Tensors(vec![Tensor {
            name: "x".into(),
            shape: shape.to_vec(),
            data: TensorData::Fp32(numbers(rows * WIDTHS[0]).collect()),
        }])
    });
}

fn forward(
    c: &mut Criterion,
    name: &str,
    version: &Version,
    candle: &Perceptron,
    payload: impl Fn(usize) -> Payload,
) {
    let mut group = c.benchmark_group(format!("dense/{name}"));
    for rows in BATCHES {
        let encoded = version.signature().encode(&payload(rows)).expect("rows");
        let (values, columns) = (encoded.as_slice(), encoded.columns());
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(BenchmarkId::new("taper", rows), |b| {
            b.iter(|| version.forward(black_box(&encoded)));
        });
        group.bench_function(BenchmarkId::new("candle", rows), |b| {
            b.iter(|| candle.forward(black_box(values), columns));
        });
    }
    group.finish();
}

/// Writes a version of [`WIDTHS`] into `dir`.
fn publish(dir: &Path) {
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = (1..WIDTHS.len())
        .flat_map(|to| {
            let (ins, outs, name) = (WIDTHS[to - 1], WIDTHS[to], 2 * (to - 1));
            [("weight", vec![outs, ins]), ("bias", vec![outs])].map(|(part, shape)| {
                let values = numbers(shape.iter().product());
                let bytes = values.flat_map(|x| (x / 8.0).to_le_bytes()).collect();
                (format!("{name}.{part}"), shape, bytes)
            })
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor");
        (name, view)
    });
    let weights = safetensors::serialize(views, None).expect("tensors");
    let digest = HEXLOWER.encode(&Sha256::digest(&weights));
    let linear = |name: &str| json!({"kind": "linear", "name": name});
    let relu = json!({"kind": "relu"});
    let layers = [linear("0"), relu.clone(), linear("2"), relu, linear("4")];
    let [ins, .., outs] = WIDTHS;
    let manifest = json!({
        "model_name": "perceptron", "version": 1, "features": ["x"], "format": "dense",
        "architecture": {"layers": layers, "head": "identity"},
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, ins], "encoding": {"kind": "numeric"}}],
        "outputs": [{"name": "value", "datatype": "FP32", "shape": [-1, outs]}],
        "classes": [],
        "files": [{"path": "weights.safetensors", "sha256": digest, "bytes": weights.len()}],
    });
    fs::write(dir.join("weights.safetensors"), weights).expect("written");
    fs::write(dir.join("metadata.json"), manifest.to_string()).expect("written");
}

/// Returns `count` numbers between -1 and 1, the same every time.
fn numbers(count: usize) -> impl Iterator<Item = f32> {
    let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let states = std::iter::successors(Some(1_u32), next).skip(1).take(count);
    states.map(|state| (state >> 8) as f32 / (1 << 23) as f32 - 1.0)
}

criterion_group!(benches, encode, flights, perceptron);
criterion_main!(benches);
