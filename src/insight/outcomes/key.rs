//! Keys of the buffer, which are hashes of response ids.

use std::hash::Hasher;

/// A number that nobody outside this process knows, so that no caller can choose ids that meet.
pub(super) fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

/// Keys are hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IsHashed(u64);

impl Hasher for IsHashed {
    fn write(&mut self, bytes: &[u8]) {
        // Not the last bits, which are the same in all of a shard.
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
