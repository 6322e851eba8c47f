//! The perceptron of the example, version 2: encoding rows, and the forward pass over them, at batch 1, 8 and 64.
#![expect(clippy::expect_used, clippy::panic, reason = "a bench")]

mod common;

use std::hint::black_box;

use common::{tensors, version};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use taper::model::payload::Payload;

const BATCHES: [usize; 3] = [1, 8, 64];

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

fn forward(c: &mut Criterion) {
    let version = version(2);
    let mut group = c.benchmark_group("dense/forward");
    for rows in BATCHES {
        let payload = Payload::Tensors(tensors(&version, rows));
        let encoded = version.signature().encode(&payload).expect("golden rows");
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(BenchmarkId::from_parameter(rows), |b| {
            b.iter(|| version.forward(black_box(&encoded)));
        });
    }
    group.finish();
}

criterion_group!(benches, encode, forward);
criterion_main!(benches);
