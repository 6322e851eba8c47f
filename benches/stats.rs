//! Cost of statistics for a request: observing its inputs while it is encoded, and recording it; and the cost for a reader.
#![expect(clippy::expect_used, clippy::panic, reason = "a bench")]

mod common;

use std::{hint::black_box, time::Duration};

use common::{tensors, version};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use taper::error::Code;
use taper::ident::Role;
use taper::insight::stats::{Scoring, Settings, VersionStats, Window};
use taper::model::payload::Payload;

fn record(c: &mut Criterion) {
    let version = version(2);
    let signature = version.signature();
    let stats = VersionStats::new(signature, Settings::default());
    let mut group = c.benchmark_group("stats");
    for rows in [1, 64] {
        let payload = Payload::Tensors(tensors(&version, rows));
        let encoded = signature.encode(&payload).expect("good rows");
        let scores = version.forward(&encoded).expect("an answer").scores;
        let top: Vec<_> = scores
            .rows()
            .filter_map(|row| version.top_class(row))
            .collect();
        let scoring = Scoring {
            queue: Duration::from_micros(3),
            inference: Duration::from_micros(7),
            scores: &scores,
            top: &top,
            is_first: true,
        };
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(BenchmarkId::new("encode unwatched", rows), |b| {
            b.iter(|| signature.encode(black_box(&payload)));
        });
        group.bench_function(BenchmarkId::new("encode watched", rows), |b| {
            b.iter(|| {
                let mut seen = stats.observe_inputs();
                signature.encode_with(black_box(&payload), &mut seen)
            });
        });
        group.bench_function(BenchmarkId::new("record", rows), |b| {
            let mut seen = stats.observe_inputs();
            signature
                .encode_with(&payload, &mut seen)
                .expect("good rows");
            b.iter(|| {
                stats.scored(Role::Primary, black_box(&seen), scoring);
                stats.ended(Role::Primary, Code::Ok, Duration::from_micros(12));
            });
        });
    }
    group.bench_function("read an hour", |b| {
        b.iter(|| stats.read(Role::Primary, Window::Hour));
    });
    group.finish();
}

criterion_group!(benches, record);
criterion_main!(benches);
