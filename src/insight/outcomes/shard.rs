//! One part of the buffer of answers. When it is full, the oldest answer is removed.
//!
//! A shard is a queue of [`Entry`]s in the order of arrival, and an index from each key to its newest entry, which links to the
//! older entries of that key. The first value of a row is NaN once its outcome was counted; no answer contains NaN.
//!
//! Invariant: an entry whose answer was replaced is not linked, contains no values and counts as no rows. So for one key there is
//! at most one entry with a client's answer and one for each shadow in memory, however often the key is used. Replaced entries
//! keep their places in the queue until the queue is compacted, once per many replacements.
//! Not here: the lock, and which shard a key belongs to ([`buffer`](super::buffer)).

use std::sync::Arc;
use std::time::Duration;

use super::answer::{Answer, LostRows};
use super::entries::{Entries, Newest};
use super::entry::{Entry, VALUES_PER_ROW, Values};
use super::report::{GroundTruth, InvalidOutcome, JoinStatus};
use crate::ident::Role;
use crate::model::Scores;

/// One part of the buffer.
#[derive(Debug)]
pub(super) struct Shard {
    /// The most rows.
    capacity: usize,
    /// The rows of all entries.
    held: usize,
    entries: Entries,
    newest: Newest,
}

impl Shard {
    /// Creates a shard for `capacity` rows. The first row allocates the memory for all; the system provides it as rows come.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            held: 0,
            entries: Entries::default(),
            newest: Newest::default(),
        }
    }

    /// Returns the number of rows stored.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Stores an answer and returns the rows that were lost to do so.
    pub(super) fn push(
        &mut self,
        key: u128,
        answer: Answer<'_>,
        scores: &Scores,
        expires: Duration,
    ) -> LostRows {
        let mut lost = LostRows::default();
        let supports_outcomes = answer.by.supports_outcomes();
        let columns = if supports_outcomes {
            scores.columns()
        } else {
            0
        };
        let rows = scores.rows().len();
        let needs = rows * counts_as(columns);
        let (Ok(rows), Ok(columns)) = (u32::try_from(rows), u32::try_from(columns)) else {
            lost.too_large += rows as u64;
            return lost;
        };
        if needs > self.capacity {
            lost.too_large += u64::from(rows);
            return lost;
        }
        self.replace(key, answer, &mut lost);
        while self.held + needs > self.capacity && self.entries.len() > 0 {
            self.drop_oldest(answer.at.saturating_sub(expires), &mut lost);
        }
        self.reserve_place();
        let closed = self.closed_rows(key, answer.role);
        let number = self.entries.next_number();
        let before = self.newest.insert(key, number, &self.entries);
        let values = if supports_outcomes {
            Values::of(scores)
        } else {
            Values::NONE
        };
        self.entries.push(Entry {
            key,
            at: answer.at,
            by: Arc::downgrade(answer.by),
            before,
            values,
            rows,
            columns,
            open: rows,
            role: answer.role,
            takes: needs,
        });
        self.held += needs;
        if columns > 0 {
            let closed = closed.iter().take_while(|row| **row < rows);
            lost.after_truth += closed.map(|row| self.close(number, *row)).sum::<u64>();
        }
        lost
    }

    /// Returns the most entries in the queue, including replaced ones.
    fn places(&self) -> usize {
        self.capacity + self.capacity / 2 + 1
    }

    /// Makes room in the queue for one more entry. Once replaced entries take a third of the places, all of them are removed at
    /// once, so that each costs a few steps on average.
    fn reserve_place(&mut self) {
        if self.entries.len() >= self.places() {
            self.entries.retain(|entry| entry.rows > 0);
            self.newest.clear();
            for number in self.entries.numbers() {
                let Some(key) = self.entries.get(number).map(|entry| entry.key) else {
                    continue;
                };
                let before = self.newest.insert(key, number, &self.entries);
                if let Some(entry) = self.entries.get_mut(number) {
                    entry.before = before;
                }
            }
        }
        if self.entries.capacity() == 0 {
            // At once, so that no later request waits until a full queue or index was copied.
            self.entries.reserve(self.places());
            self.newest.reserve(self.capacity + 1);
        }
    }

    /// Returns the rows whose outcome was already counted with the client's answer, if `role` is a shadow's. An answer of a shadow
    /// that arrives later is not judged by those outcomes, because ground truth is not stored. A client that reports one again
    /// gets `Duplicate`.
    fn closed_rows(&mut self, key: u128, role: Role) -> Vec<u32> {
        if role != Role::Shadow {
            return Vec::new();
        }
        let mut next = self.newest.get(key, &self.entries);
        while let Some(entry) = next.and_then(|number| self.entry(number)) {
            if entry.role == Role::Shadow {
                next = entry.before;
                continue;
            }
            if entry.open == entry.rows {
                break;
            }
            let is_closed = |row: &u32| {
                let first = entry.values.get(*row as usize * entry.columns as usize);
                first.is_some_and(|score| score.is_nan())
            };
            return (0..entry.rows).filter(is_closed).collect();
        }
        Vec::new()
    }

    /// Closes a row without an outcome, so that no outcome counts for it any more. Returns the number of rows closed, 0 or 1.
    fn close(&mut self, number: u64, row: u32) -> u64 {
        let Some(entry) = self.entry(number) else {
            return 0;
        };
        entry.open = entry.open.saturating_sub(1);
        let begin = row as usize * entry.columns as usize;
        if let Some(score) = entry.values.get_mut(begin) {
            *score = f32::NAN;
        }
        1
    }

    /// Removes the earlier answer under `key` that `answer` replaces: that of the same shadow, or that of a client. A primary's answer
    /// also replaces those of shadows, which belong to an earlier request, because the shadows of a request
    /// are called after its primary. A shadow's answer also replaces those of shadows that are no longer loaded; otherwise there would be one
    /// for each time that a version was loaded.
    fn replace(&mut self, key: u128, answer: Answer<'_>, lost: &mut LostRows) {
        let mut next = self.newest.remove(key, &self.entries);
        let mut kept = None;
        while let Some(number) = next {
            // If an entry was removed from the queue, so were all entries before it, which are older.
            let Some(entry) = self.entry(number) else {
                break;
            };
            next = entry.before;
            let is_shadow = entry.role == Role::Shadow;
            let is_replaced = match answer.role {
                Role::Primary => true,
                Role::Fallback => !is_shadow,
                Role::Shadow => {
                    let is_same = entry.by.as_ptr() == Arc::as_ptr(answer.by);
                    is_shadow && (is_same || entry.by.strong_count() == 0)
                }
            };
            if is_replaced {
                lost.replaced += u64::from(entry.open);
                (entry.open, entry.rows) = (0, 0);
                entry.values = Values::NONE;
                self.held -= std::mem::take(&mut entry.takes);
                continue;
            }
            entry.before = None;
            match kept.and_then(|kept| self.entry(kept)) {
                Some(newer) => newer.before = Some(number),
                None => _ = self.newest.insert(key, number, &self.entries),
            }
            kept = Some(number);
        }
    }

    fn drop_oldest(&mut self, expired_before: Duration, lost: &mut LostRows) {
        let Some((number, entry)) = self.entries.pop() else {
            return;
        };
        if entry.at >= expired_before {
            lost.evicted += u64::from(entry.open);
        }
        self.newest.remove_entry(entry.key, number);
        self.held -= entry.takes;
    }

    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        self.entries.get_mut(number)
    }

    /// Joins an outcome to every answer with this key. Returns the status for the client's answer; if there is none, the best
    /// status of the shadows'.
    pub(super) fn join(
        &mut self,
        key: u128,
        row: u32,
        ground_truth: &GroundTruth,
        now: Duration,
        expires: Duration,
    ) -> Result<JoinStatus, InvalidOutcome> {
        let mut shadows = Ok(JoinStatus::Unmatched);
        let mut client = None;
        let mut next = self.newest.get(key, &self.entries);
        while let Some(number) = next {
            let Some(entry) = self.entry(number) else {
                break;
            };
            let is_shadow = entry.role == Role::Shadow;
            next = entry.before;
            let joined = self.join_entry(number, row, ground_truth, now, expires);
            if !is_shadow {
                client = Some(joined);
            } else if rank(&joined) > rank(&shadows) {
                shadows = joined;
            }
        }
        client.unwrap_or(shadows)
    }

    fn join_entry(
        &mut self,
        number: u64,
        row: u32,
        ground_truth: &GroundTruth,
        now: Duration,
        expires: Duration,
    ) -> Result<JoinStatus, InvalidOutcome> {
        let Some(entry) = self.entry(number) else {
            return Ok(JoinStatus::Unmatched);
        };
        if now.saturating_sub(entry.at) > expires {
            return Ok(JoinStatus::Expired);
        }
        let Some(by) = entry.by.upgrade() else {
            return Ok(JoinStatus::Gone);
        };
        if row >= entry.rows {
            return Err(InvalidOutcome {
                field: "row",
                got: row.to_string(),
                wanted: match entry.rows {
                    1 => "0: the answer has one row".into(),
                    rows => format!("0 to {}", rows - 1),
                },
                malformed: false,
            });
        }
        let actual = by.resolve(ground_truth)?;
        let columns = entry.columns as usize;
        let values = entry.values.chunks_exact(columns.max(1)).nth(row as usize);
        match values {
            Some(values) if !values[0].is_nan() => by.count(entry.role, values, actual),
            _ => return Ok(JoinStatus::Duplicate),
        }
        self.close(number, row);
        Ok(JoinStatus::Accepted)
    }
}

fn rank(joined: &Result<JoinStatus, InvalidOutcome>) -> u8 {
    joined
        .as_ref()
        .map_or(JoinStatus::Invalid, |status| *status)
        .rank()
}

/// Returns the number of rows as which one row of `columns` values counts.
fn counts_as(columns: usize) -> usize {
    columns.div_ceil(VALUES_PER_ROW).max(1)
}

#[cfg(test)]
mod tests;
