//! Perceptrons at batch sizes 1, 8 and 64: encoding rows, and the forward pass compared with candle's over the same weights. The
//! network of the example is version 2 of the flights; the other is 30-64-64-2, also as an ONNX file. Beside them, a small
//! convolutional network that PyTorch exported.
#![expect(clippy::expect_used, clippy::panic, reason = "a bench")]

#[path = "common/candle.rs"]
mod candle;
mod common;
#[path = "../tests/it/onnx_file.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests")]
mod onnx_file;

use std::fs;
use std::hint::black_box;
use std::path::Path;

use candle::Perceptron;
use common::{MODEL, registry, tensors, version};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use data_encoding::HEXLOWER;
use onnx_file::{Attribute, FLOAT, Graph, attribute, floats, node, value};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use taper::ident::VersionNumber;
use taper::import::{Options, import};
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
    let rows = |rows| tensor("x", &[rows, WIDTHS[0]]);
    forward(c, "30-64-64-2", &version, &candle, rows);
    let file = root.path().join("twin.onnx");
    fs::write(&file, twin(root.path())).expect("written");
    let twin = imported(&file, root.path());
    let encoded = |version: &Version| version.signature().encode(&rows(1)).expect("a row");
    let [one, other] = [&version, &twin].map(|version| {
        version
            .forward(&encoded(version))
            .expect("an answer")
            .scores
    });
    let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5;
    assert!(
        one.as_slice().iter().zip(other.as_slice()).all(close),
        "the same network"
    );
    graph(c, "30-64-64-2 as ONNX", &twin, rows);
}

/// A network of three convolutions for images.
fn convolutions(c: &mut Criterion) {
    let root = tempfile::tempdir().expect("a folder");
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats/torch_cnn_ts.onnx");
    let version = imported(&file, root.path());
    let input = &version.signature().inputs()[0];
    let axes: Vec<usize> = input
        .shape
        .axes
        .iter()
        .map(|axis| axis.unwrap_or(1))
        .collect();
    graph(c, "torch_cnn_ts", &version, |rows| {
        tensor(&input.name, &[&[rows], &axes[..]].concat())
    });
}

/// Returns a payload of one tensor.
fn tensor(name: &str, shape: &[usize]) -> Payload {
    let axis = |axis: &usize| i64::try_from(*axis).expect("short");
    Payload::Tensors(vec![Tensor {
        name: name.into(),
        shape: shape.iter().map(axis).collect(),
        data: TensorData::Fp32(numbers(shape.iter().product()).collect()),
    }])
}

/// Imports a file into a registry in `dir`, and loads it.
fn imported(file: &Path, dir: &Path) -> Version {
    let options = Options {
        file: file.to_owned(),
        model: "graph".parse().expect("a name"),
        registry: dir.join("imported"),
        version: None,
        rows: None,
        expected: None,
        like: None,
        classes: Vec::new(),
        judged: None,
        iterations: None,
        description: None,
        created_at: None,
    };
    let one = VersionNumber::try_from(1).expect("a version");
    import(&options).expect("it is imported");
    taper::model::load(&dir.join("imported/graph/1"), &options.model, one).expect("it loads")
}

fn graph(c: &mut Criterion, name: &str, version: &Version, payload: impl Fn(usize) -> Payload) {
    let mut group = c.benchmark_group(format!("graph/{name}"));
    for rows in BATCHES {
        let encoded = version.signature().encode(&payload(rows)).expect("rows");
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(BenchmarkId::new("taper", rows), |b| {
            b.iter(|| version.forward(black_box(&encoded)));
        });
    }
    group.finish();
}

/// Returns the network in `dir` as an ONNX file.
fn twin(dir: &Path) -> Vec<u8> {
    let bytes = fs::read(dir.join("weights.safetensors")).expect("weights");
    let weights = SafeTensors::deserialize(&bytes).expect("tensors");
    let stored = |name: String| {
        let tensor = weights.tensor(&name).expect("a tensor");
        let dims: Vec<i64> = tensor
            .shape()
            .iter()
            .map(|axis| i64::try_from(*axis).expect("short"))
            .collect();
        let numbers = tensor.data().as_chunks().0.iter();
        let numbers: Vec<f32> = numbers.map(|bytes| f32::from_le_bytes(*bytes)).collect();
        floats(&name, &dims, &numbers)
    };
    let layers = [0, 2, 4];
    let transposed = || attribute("transB", &Attribute::Integer(1));
    let nodes = layers.iter().flat_map(|at| {
        let [from, to, next] = [format!("h{at}"), format!("z{at}"), format!("h{}", at + 2)];
        let (weight, bias) = (format!("{at}.weight"), format!("{at}.bias"));
        let to = if *at == 4 { "y" } else { &to };
        let from = if *at == 0 { "x" } else { &from };
        let gemm = node("", "Gemm", &[from, &weight, &bias], &[to], &[transposed()]);
        let relu = (*at < 4).then(|| node("", "Relu", &[to], &[&next], &[]));
        [Some(gemm), relu].into_iter().flatten()
    });
    Graph {
        nodes: nodes.collect(),
        weights: layers
            .iter()
            .flat_map(|at| ["weight", "bias"].map(|part| stored(format!("{at}.{part}"))))
            .collect(),
        inputs: vec![value("x", FLOAT, &[30])],
        outputs: vec![value("y", FLOAT, &[2])],
    }
    .file()
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

criterion_group!(benches, encode, flights, perceptron, convolutions);
criterion_main!(benches);
