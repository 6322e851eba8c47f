//! What a fuzzer has found interesting, and changes of what is right, at every door. `make fuzz` looks for more.

use std::{fs, path::Path};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

#[path = "../fuzz/doors.rs"]
mod doors;
#[path = "../fuzz/seeds.rs"]
mod seeds;

use doors::{Door, Doors};

/// Changed copies of each message.
const CHANGES: usize = 300;

#[test]
fn no_message_makes_a_door_do_what_it_must_not() {
    let doors = Doors::new();
    let mut random = StdRng::seed_from_u64(1);
    for door in Door::ALL {
        let found = corpus(door);
        assert!(
            !found.is_empty(),
            "tests/fuzz/corpus has a folder for {door:?}"
        );
        let seeds = seeds::of(door);
        for message in seeds.iter().chain(&found) {
            doors.knock(door, message);
        }
        for message in &seeds {
            for _ in 0..CHANGES {
                let mut changed = message.clone();
                change(&mut changed, &mut random);
                doors.knock(door, &changed);
            }
        }
    }
}

/// What was found at a door.
fn corpus(door: Door) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let files = fs::read_dir(dir.join(door.name())).expect("a folder");
    let read = |file: std::io::Result<fs::DirEntry>| fs::read(file.expect("a file").path());
    files.map(|file| read(file).expect("read")).collect()
}

/// A few bytes become others, more or fewer.
fn change(message: &mut Vec<u8>, random: &mut StdRng) {
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
