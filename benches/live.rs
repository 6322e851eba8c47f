//! Loading the snapshot, alone and while a writer publishes without a pause: the highest load that admin calls could cause.
#![expect(clippy::expect_used, reason = "a bench")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use criterion::{Criterion, criterion_group, criterion_main};
use taper::serving::live::{Live, Snapshot};

fn snapshot(c: &mut Criterion) {
    let live = Arc::new(Live::new(Snapshot::default()));
    let mut group = c.benchmark_group("live/snapshot");
    group.bench_function("alone", |b| b.iter(|| live.snapshot()));

    let done = Arc::new(AtomicBool::new(false));
    let writer = thread::spawn({
        let (live, done) = (Arc::clone(&live), Arc::clone(&done));
        move || {
            while !done.load(Ordering::Relaxed) {
                live.publish(Snapshot::default());
            }
        }
    });
    group.bench_function("with a writer", |b| b.iter(|| live.snapshot()));
    done.store(true, Ordering::Relaxed);
    writer.join().expect("the writer ends");
    group.finish();
}

criterion_group!(benches, snapshot);
criterion_main!(benches);
