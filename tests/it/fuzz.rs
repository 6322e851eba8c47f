//! Replays the fuzz corpus and mutated valid requests against every fuzz target. `make fuzz` searches for new inputs.

use std::{fs, path::Path};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

#[path = "../fuzz/seeds.rs"]
mod seeds;
#[path = "../fuzz/targets.rs"]
mod targets;

use targets::{FuzzTarget, Harness};

/// Number of mutated copies of each valid request.
const CHANGES: usize = 300;

#[test]
fn no_message_breaks_a_fuzz_target() {
    let harness = Harness::new();
    let mut random = StdRng::seed_from_u64(1);
    for target in FuzzTarget::ALL {
        let found = corpus(target);
        assert!(
            !found.is_empty(),
            "tests/fuzz/corpus has a folder for {target:?}"
        );
        let seeds = seeds::of(target);
        for message in seeds.iter().chain(&found) {
            harness.send(target, message);
        }
        for message in &seeds {
            for _ in 0..CHANGES {
                let mut changed = message.clone();
                mutate(&mut changed, &mut random);
                harness.send(target, &changed);
            }
        }
    }
}

/// Returns the corpus of `target`.
fn corpus(target: FuzzTarget) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let files = fs::read_dir(dir.join(target.name())).expect("a folder");
    let read = |file: std::io::Result<fs::DirEntry>| fs::read(file.expect("a file").path());
    files.map(|file| read(file).expect("read")).collect()
}

/// Changes, inserts or removes a few bytes.
fn mutate(message: &mut Vec<u8>, random: &mut StdRng) {
    for _ in 0..random.random_range(1..4) {
        if message.is_empty() {
            return;
        }
        let at = random.random_range(0..message.len());
        match random.random_range(0..4) {
            0 => message[at] = random.random(),
            1 => message[at] ^= 1 << random.random_range(0..8),
            2 => message.truncate(at),
            _ => message.insert(at, random.random()),
        }
    }
}
