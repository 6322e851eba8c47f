//! The answers that wait for an outcome, in several [`Shard`]s with a lock each.
//!
//! A response id is hashed to 128 bits, with a seed of this process. The hash selects the shard and is the key within it; the id
//! itself is not kept.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::answer::{Answer, LostRows};
use super::key::random_seed;
use super::report::{GroundTruth, InvalidOutcome, JoinStatus};
use super::shard::Shard;
use crate::model::Scores;
use crate::sync::lock;

/// The most shards.
const MAX_SHARDS: usize = 1024;
/// The fewest rows of a shard if there is more than one.
const MIN_SHARD_ROWS: usize = 4096;

/// All shards.
#[derive(Debug)]
pub(super) struct Buffer {
    shards: Box<[Mutex<Shard>]>,
    seed: u64,
}

impl Buffer {
    /// Creates a buffer for `rows` rows; without shards if `rows` is 0.
    pub(super) fn new(rows: usize) -> Self {
        let wanted = (rows / MIN_SHARD_ROWS).clamp(1, MAX_SHARDS);
        // A power of two, so that the last bits of a key select its shard.
        let count = 1 << wanted.ilog2();
        let rows_per_shard = rows / count;
        let shards = 0..if rows == 0 { 0 } else { count };
        Self {
            shards: shards
                .map(|_| Mutex::new(Shard::new(rows_per_shard)))
                .collect(),
            seed: random_seed(),
        }
    }

    /// Returns whether it stores nothing at all.
    pub(super) fn is_off(&self) -> bool {
        self.shards.is_empty()
    }

    /// Returns the number of rows stored, including those that have expired or already have an outcome. Replaced rows do not count.
    pub(super) fn rows(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).held()).sum()
    }

    fn shard(&self, id: &str) -> Option<(MutexGuard<'_, Shard>, u128)> {
        let key = xxh3_128_with_seed(id.as_bytes(), self.seed);
        let at = (key as usize) & self.shards.len().saturating_sub(1);
        Some((lock(self.shards.get(at)?), key))
    }

    /// Stores an answer and returns the rows that were lost to do so.
    pub(super) fn push(
        &self,
        id: &str,
        answer: Answer<'_>,
        scores: &Scores,
        expires: Duration,
    ) -> LostRows {
        let shard = self.shard(id);
        shard.map_or_else(LostRows::default, |(mut shard, key)| {
            shard.push(key, answer, scores, expires)
        })
    }

    /// Joins an outcome to every answer with this id, including those of shadows. Returns the status for the answer that the
    /// client got. If only answers of shadows are stored, returns the best of their statuses.
    pub(super) fn join(
        &self,
        id: &str,
        row: u32,
        ground_truth: &GroundTruth,
        now: Duration,
        expires: Duration,
    ) -> Result<JoinStatus, InvalidOutcome> {
        let shard = self.shard(id);
        shard.map_or(Ok(JoinStatus::Unmatched), |(mut shard, key)| {
            shard.join(key, row, ground_truth, now, expires)
        })
    }
}
