//! The request path without a socket, with everything on: admission, snapshot, routing over two versions, encoding, forward
//! pass, metrics, response id.
#![expect(clippy::expect_used, clippy::panic, reason = "a bench")]

mod common;
#[path = "../tests/it/live_snapshot.rs"]
#[expect(unreachable_pub, reason = "the tests use it, too")]
mod live_snapshot;

use std::sync::Arc;

use common::{MODEL, tensors, version};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use taper::insight::metrics::Telemetry;
use taper::model::payload::{Cell, Payload, Row};
use taper::serving::admission::{AdmissionControl, Limits};
use taper::serving::batch::Pool;
use taper::serving::route::RawPolicy;
use taper::serving::{Pipeline, Query};
use tokio::runtime::Builder;
use tokio::time::Instant;

/// Returns a pipeline with the example's versions 1 and 2 at 50/50, and its admission control.
fn pipeline() -> (Arc<AdmissionControl>, Pipeline) {
    let telemetry = Telemetry::new().expect("metrics");
    let split = RawPolicy {
        split: vec![(1.into(), 5_000), (2.into(), 5_000)],
        ..RawPolicy::default()
    };
    let live = live_snapshot::live(&telemetry, MODEL, [1, 2].map(version), split);
    let limits = Limits {
        max_in_flight: 1_024,
        max_in_flight_bytes: 1 << 30,
    };
    let admission = AdmissionControl::new(limits, Arc::clone(&telemetry));
    (
        admission,
        Pipeline::new(live, telemetry, Pool::start().expect("threads")),
    )
}

/// Returns a query with `payload`.
fn query(admission: &Arc<AdmissionControl>, payload: Payload) -> Query {
    let permit = admission.enter(Instant::now(), None).expect("a permit");
    Query {
        model: MODEL.into(),
        pin: None,
        routing_key: String::new(),
        response_id: None,
        headers: http::HeaderMap::new(),
        payload,
        permit: Arc::new(permit),
    }
}

/// Returns the golden rows as named rows.
fn named(rows: usize) -> Payload {
    let version = version(2);
    let golden = version.manifest().golden.iter().cycle().take(rows);
    let cells = golden.map(|golden| -> Row {
        let cells = golden.row.iter();
        cells
            .map(|(name, value)| (name.clone(), Cell::from(value)))
            .collect()
    });
    Payload::Rows(cells.collect())
}

fn predict(c: &mut Criterion) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let (admission, pipeline) = pipeline();
    let mut group = c.benchmark_group("pipeline/predict");
    for rows in [1, 64] {
        let typed = Payload::Tensors(tensors(&version(2), rows));
        group.throughput(Throughput::Elements(rows as u64));
        for (name, payload) in [("tensors", &typed), ("rows", &named(rows))] {
            group.bench_function(BenchmarkId::new(name, rows), |b| {
                b.iter_batched(
                    || payload.clone(),
                    |payload| {
                        let answer = pipeline.predict(query(&admission, payload));
                        runtime.block_on(answer).expect("an answer")
                    },
                    BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, predict);
criterion_main!(benches);
