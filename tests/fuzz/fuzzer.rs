//! Coverage-guided fuzzing with libFuzzer: `make fuzz`. The environment variable `FUZZ_TARGET` names the target.
#![no_main]
#![expect(unreachable_pub, reason = "this is not a library")]
#![expect(clippy::expect_used, reason = "the fuzzer stops at the first panic")]

#[path = "../it/live_snapshot.rs"]
mod live_snapshot;
mod seeds;
mod targets;
#[path = "../it/tiny.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod tiny;

use std::{fs, path::Path, sync::LazyLock};

use targets::{FuzzTarget, Harness};

/// The target of this run, and the gateway without sockets that it calls.
static RUN: LazyLock<(FuzzTarget, Harness)> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let target = FuzzTarget::ALL
        .into_iter()
        .find(|target| target.name() == name);
    let target = target.expect("FUZZ_TARGET names one of the targets of tests/fuzz/targets.rs");
    (target, Harness::new())
});

/// Writes valid requests into the folder named by the environment variable `SEEDS`. The fuzzer starts from them.
fn write_seeds() {
    let Ok(dir) = std::env::var("SEEDS") else {
        return;
    };
    for (at, seed) in seeds::of(RUN.0).iter().enumerate() {
        let path = Path::new(&dir).join(format!("seed-{at}"));
        fs::write(path, seed).expect("the folder exists");
    }
}

libfuzzer_sys::fuzz_target!(
    init: write_seeds(),
    |message: &[u8]| {
        let (target, harness) = &*RUN;
        if message.len() <= targets::LONGEST {
            harness.send(*target, message);
        }
    }
);
