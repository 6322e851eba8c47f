//! What was answered, in a few [`Shard`]s, each behind a lock of its own.
//!
//! The id of a response chooses its shard and, hashed with a seed of this process to 128 bits, is its key there; ids
//! themselves are not kept.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::answered::{Answered, Lost};
use super::key::seed;
use super::report::{Joined, Misfit, Truth};
use super::shard::Shard;
use crate::model::Scores;

/// Shards at most, and the rows that each of them has at least before there are more.
const MOST_SHARDS: usize = 1024;
const ROWS_OF_SHARD: usize = 4096;

/// All shards.
#[derive(Debug)]
pub(super) struct Buffer {
    shards: Box<[Mutex<Shard>]>,
    seed: u64,
}

impl Buffer {
    /// Room for `rows` rows.
    pub(super) fn new(rows: usize) -> Self {
        let wanted = (rows / ROWS_OF_SHARD).clamp(1, MOST_SHARDS);
        // The largest power of two up to that, so that a key's last bits name its shard.
        let shards = 1 << wanted.ilog2();
        let of_each = rows / shards;
        let shards = if rows == 0 { 0 } else { shards };
        Self {
            shards: (0..shards)
                .map(|_| Mutex::new(Shard::new(of_each)))
                .collect(),
            seed: seed(),
        }
    }

    pub(super) fn is_off(&self) -> bool {
        self.shards.is_empty()
    }

    /// Rows that are held, those that have expired or been counted among them, those that were replaced not.
    pub(super) fn rows(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).held()).sum()
    }

    fn shard(&self, id: &str) -> Option<(MutexGuard<'_, Shard>, u128)> {
        let key = xxh3_128_with_seed(id.as_bytes(), self.seed);
        let at = (key as usize) & self.shards.len().saturating_sub(1);
        Some((lock(self.shards.get(at)?), key))
    }

    /// Remembers an answer.
    pub(super) fn push(
        &self,
        id: &str,
        answered: Answered<'_>,
        scores: &Scores,
        expires: Duration,
    ) -> Lost {
        let shard = self.shard(id);
        shard.map_or_else(Lost::default, |(mut shard, key)| {
            shard.push(key, answered, scores, expires)
        })
    }

    /// Joins a truth to every answer under this id, a shadow's too. What is told is what became of it with the answer that
    /// the caller got; where only shadows' are remembered, the best that came of those.
    pub(super) fn settle(
        &self,
        id: &str,
        row: u32,
        truth: &Truth,
        now: Duration,
        expires: Duration,
    ) -> Result<Joined, Misfit> {
        let shard = self.shard(id);
        shard.map_or(Ok(Joined::Unmatched), |(mut shard, key)| {
            shard.settle(key, row, truth, now, expires)
        })
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
