//! The keys of the buffer, which are hashes of response ids.

/// Returns a number that is unknown outside this process, so that no client can choose ids with the same hash.
pub(super) fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}
