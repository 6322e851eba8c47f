//! The keys of the buffer, which are hashes of response ids.

use std::hash::Hasher;

/// Returns a number that is unknown outside this process, so that no client can choose ids with the same hash.
pub(super) fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

/// A hasher for keys that are hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        // Not the last bits, which are the same for all keys of a shard.
        for (at, byte) in bytes.iter().rev().take(8).enumerate() {
            self.0 ^= u64::from(*byte) << (at * 8);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = (key >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
