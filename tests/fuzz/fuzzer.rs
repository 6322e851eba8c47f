//! Coverage-guided fuzzing of the doors with libFuzzer: `make fuzz`. `DOOR` in the environment names the door.
#![no_main]
#![expect(unreachable_pub, reason = "nobody uses it as a library")]
#![expect(
    clippy::expect_used,
    reason = "it stops at the first thing that is wrong"
)]

#[path = "../it/by_hand.rs"]
mod by_hand;
mod doors;
mod seeds;
#[path = "../it/tiny.rs"]
#[expect(dead_code, reason = "some of it is for other tests")]
mod tiny;

use std::{fs, path::Path, sync::LazyLock};

use doors::{Door, Doors};

/// The door of this run, and the house behind it.
static HOUSE: LazyLock<(Door, Doors)> = LazyLock::new(|| {
    let name = std::env::var("DOOR").unwrap_or_default();
    let door = Door::ALL.into_iter().find(|door| door.name() == name);
    let door = door.expect("DOOR names one of the doors of tests/fuzz/doors.rs");
    (door, Doors::new())
});

/// Writes requests that are right into the folder that `SEEDS` names, for the fuzzer to begin with.
fn sow() {
    let Ok(dir) = std::env::var("SEEDS") else {
        return;
    };
    for (at, seed) in seeds::of(HOUSE.0).iter().enumerate() {
        let path = Path::new(&dir).join(format!("seed-{at}"));
        fs::write(path, seed).expect("the folder is there");
    }
}

libfuzzer_sys::fuzz_target!(
    init: sow(),
    |message: &[u8]| {
        let (door, doors) = &*HOUSE;
        if message.len() <= doors::LONGEST {
            doors.knock(*door, message);
        }
    }
);
