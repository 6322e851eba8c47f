//! Choosing a version: by draw and by sticky key, over splits of 2, 8 and 64 versions.
#![expect(clippy::expect_used, reason = "a bench")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::HeaderMap;
use taper::serving::route::{Policy, RawHeaderRule, RawPolicy, route};

const VERSIONS: [u64; 3] = [2, 8, 64];

/// Returns a split that is as even as basis points allow.
fn even(versions: u64) -> RawPolicy {
    let share = 10_000 / u32::try_from(versions).expect("few versions");
    let mut split: Vec<_> = (1..=versions)
        .map(|version| (version.into(), share))
        .collect();
    let given: u32 = split.iter().map(|(_, points)| points).sum();
    split[0].1 += 10_000 - given;
    RawPolicy {
        split,
        ..RawPolicy::default()
    }
}

fn checked(raw: RawPolicy) -> Policy {
    Policy::check(raw, &"flight-delay".parse().expect("a name")).expect("a policy")
}

fn by_draw(c: &mut Criterion) {
    let mut group = c.benchmark_group("route/draw");
    for versions in VERSIONS {
        let (policy, headers) = (checked(even(versions)), HeaderMap::new());
        group.bench_function(BenchmarkId::from_parameter(versions), |b| {
            // The last point: the last row.
            b.iter(|| route(black_box(&policy), &headers, b"", || black_box(9_999)));
        });
    }
    group.finish();
}

fn by_key(c: &mut Criterion) {
    let mut group = c.benchmark_group("route/key");
    for versions in VERSIONS {
        let (policy, headers) = (checked(even(versions)), HeaderMap::new());
        // A UUID; every key takes the same time, because every version hashes it.
        let key = b"2f1c9d3e-5a7b-4c1d-9e8f-0a1b2c3d4e5f";
        group.bench_function(BenchmarkId::from_parameter(versions), |b| {
            b.iter(|| route(black_box(&policy), &headers, black_box(key), || 0));
        });
    }
    group.finish();
}

fn by_rule(c: &mut Criterion) {
    let rule = |at| RawHeaderRule {
        header: format!("x-rule-{at}"),
        value: "on".into(),
        target: 1.into(),
    };
    let policy = checked(RawPolicy {
        header_rules: (0..64).map(rule).collect(),
        ..even(2)
    });
    let mut headers = HeaderMap::new();
    headers.insert("x-rule-63", "on".parse().expect("a value"));
    c.bench_function("route/rule/64th of 64", |b| {
        b.iter(|| route(black_box(&policy), black_box(&headers), b"", || 0));
    });
}

criterion_group!(benches, by_draw, by_key, by_rule);
criterion_main!(benches);
