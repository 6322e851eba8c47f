//! One part of what was answered: where it is full, the oldest answer goes.
//!
//! A shard is a queue of [`Entry`]s in the order of their coming, and an index from key to the newest entry of that key,
//! from which older ones are linked. A row whose truth was counted has NaN for its first value, which no answer holds.
//!
//! What always holds: an entry whose answer was replaced is linked from nowhere, holds no values and takes no room, so under
//! one key there is at most one entry of a caller's answer and one of each shadow in memory, however often the key is used.
//! Its place in the queue is empty until the queue is tidied up, which happens once for every so many replaced ones.
//! Not here: the lock, and which shard a key belongs to ([`buffer`](super::buffer)).

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::answered::{Answered, Lost};
use super::key::IsHashed;
use super::report::{Joined, Misfit, Truth, rank};
use super::version::VersionQuality;
use crate::ident::Role;
use crate::model::Scores;

/// Values that one row has room for; a row of more counts as several.
pub const VALUES_PER_ROW: usize = 4;
/// Entries for which a queue that begins takes memory.
const FIRST_ENTRIES: usize = 64;

/// One answer.
#[derive(Debug)]
struct Entry {
    key: u128,
    at: Duration,
    by: Weak<VersionQuality>,
    /// The entry before it under the same key.
    before: Option<u64>,
    /// Of one row after the other; none of a version that takes no truths.
    values: Box<[f32]>,
    /// 0 once it was replaced.
    rows: u32,
    columns: u32,
    /// Rows without a truth yet.
    open: u32,
    role: Role,
    /// Rows that it counts as.
    takes: usize,
}

/// One part of the buffer.
#[derive(Debug)]
pub(super) struct Shard {
    /// Rows that fit.
    room: usize,
    /// Rows of the entries.
    held: usize,
    entries: VecDeque<Entry>,
    /// Number of the first of them.
    first: u64,
    newest: HashMap<u128, u64, BuildHasherDefault<IsHashed>>,
}

impl Shard {
    /// Room for `room` rows, for which memory is taken as they come.
    pub(super) fn new(room: usize) -> Self {
        Self {
            room,
            held: 0,
            entries: VecDeque::new(),
            first: 0,
            newest: HashMap::default(),
        }
    }

    /// Rows that are held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Remembers an answer.
    pub(super) fn push(
        &mut self,
        key: u128,
        answered: Answered<'_>,
        scores: &Scores,
        expires: Duration,
    ) -> Lost {
        let mut lost = Lost::default();
        let takes_truths = answered.by.takes_truths();
        let columns = if takes_truths { scores.columns() } else { 0 };
        let rows = scores.rows().len();
        let needs = rows * counts_as(columns);
        let (Ok(rows), Ok(columns)) = (u32::try_from(rows), u32::try_from(columns)) else {
            lost.too_large += rows as u64;
            return lost;
        };
        if needs > self.room {
            lost.too_large += u64::from(rows);
            return lost;
        }
        self.replace(key, answered, &mut lost);
        while self.held + needs > self.room && !self.entries.is_empty() {
            self.drop_oldest(answered.at.saturating_sub(expires), &mut lost);
        }
        self.make_place();
        let closed = self.closed(key, answered.role);
        let number = self.first + self.entries.len() as u64;
        let before = self.newest.insert(key, number);
        let values = scores.rows().filter(|_| takes_truths).flatten().copied();
        self.entries.push_back(Entry {
            key,
            at: answered.at,
            by: Arc::downgrade(answered.by),
            before,
            values: values.collect(),
            rows,
            columns,
            open: rows,
            role: answered.role,
            takes: needs,
        });
        self.held += needs;
        if columns > 0 {
            let closed = closed.iter().take_while(|row| **row < rows);
            lost.after_truth += closed.map(|row| self.close(number, *row)).sum::<u64>();
        }
        lost
    }

    /// Entries that the queue has place for, the replaced ones among them.
    fn places(&self) -> usize {
        self.room + self.room / 2 + 1
    }

    /// Makes place for one entry more. Where replaced ones hold a third of the places, all of theirs are freed at once, so
    /// that it costs each of them a few steps.
    fn make_place(&mut self) {
        if self.entries.len() >= self.places() {
            self.entries.retain(|entry| entry.rows > 0);
            self.newest.clear();
            for (number, entry) in (self.first..).zip(&mut self.entries) {
                entry.before = self.newest.insert(entry.key, number);
            }
        }
        let held = self.entries.len();
        if held == self.entries.capacity() {
            let left = self.places().saturating_sub(held).max(1);
            self.entries
                .reserve_exact(held.max(FIRST_ENTRIES).min(left));
        }
    }

    /// Rows whose truth has been counted with the answer that the caller got. A shadow that answers later is not judged by
    /// them: the truth is not kept, and one that is told again is told to be a duplicate, as it is.
    fn closed(&mut self, key: u128, role: Role) -> Vec<u32> {
        let mut next = self.newest.get(&key).copied();
        next = next.filter(|_| role == Role::Shadow);
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

    /// Lets no truth count any more for a row that had none, and says how many that are: one.
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

    /// Takes away what was answered before under `key` in the same place: by the same shadow, or to the caller. A primary's
    /// answer takes the shadows' away too, which are of an earlier request: those of its own are asked after it. So does a
    /// shadow's answer those of shadows that have gone, or there would be one for each time that a version was loaded.
    fn replace(&mut self, key: u128, answered: Answered<'_>, lost: &mut Lost) {
        let mut next = self.newest.remove(&key);
        let mut kept = None;
        while let Some(number) = next {
            // One that has been dropped is the last: those before it are older.
            let Some(entry) = self.entry(number) else {
                break;
            };
            next = entry.before;
            let is_shadow = entry.role == Role::Shadow;
            let same = match answered.role {
                Role::Primary => true,
                Role::Fallback => !is_shadow,
                Role::Shadow => {
                    let again = entry.by.as_ptr() == Arc::as_ptr(answered.by);
                    is_shadow && (again || entry.by.strong_count() == 0)
                }
            };
            if same {
                lost.replaced += u64::from(entry.open);
                (entry.open, entry.rows) = (0, 0);
                entry.values = Box::default();
                self.held -= std::mem::take(&mut entry.takes);
                continue;
            }
            entry.before = None;
            match kept.and_then(|kept| self.entry(kept)) {
                Some(newer) => newer.before = Some(number),
                None => _ = self.newest.insert(key, number),
            }
            kept = Some(number);
        }
    }

    fn drop_oldest(&mut self, expired_before: Duration, lost: &mut Lost) {
        let Some(entry) = self.entries.pop_front() else {
            return;
        };
        if entry.at >= expired_before {
            lost.evicted += u64::from(entry.open);
        }
        if self.newest.get(&entry.key) == Some(&self.first) {
            self.newest.remove(&entry.key);
        }
        self.first += 1;
        self.held -= entry.takes;
    }

    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.entries.get_mut(at)
    }

    /// Joins a truth to every answer under this key.
    pub(super) fn settle(
        &mut self,
        key: u128,
        row: u32,
        truth: &Truth,
        now: Duration,
        expires: Duration,
    ) -> Result<Joined, Misfit> {
        let mut shadows = Ok(Joined::Unmatched);
        let mut caller = None;
        let mut next = self.newest.get(&key).copied();
        while let Some(number) = next {
            let Some(entry) = self.entry(number) else {
                break;
            };
            let is_callers = entry.role != Role::Shadow;
            next = entry.before;
            let joined = self.settle_one(number, row, truth, now, expires);
            if is_callers {
                caller = Some(joined);
            } else if rank(&joined) > rank(&shadows) {
                shadows = joined;
            }
        }
        caller.unwrap_or(shadows)
    }

    fn settle_one(
        &mut self,
        number: u64,
        row: u32,
        truth: &Truth,
        now: Duration,
        expires: Duration,
    ) -> Result<Joined, Misfit> {
        let Some(entry) = self.entry(number) else {
            return Ok(Joined::Unmatched);
        };
        if now.saturating_sub(entry.at) > expires {
            return Ok(Joined::Expired);
        }
        let Some(by) = entry.by.upgrade() else {
            return Ok(Joined::Gone);
        };
        if row >= entry.rows {
            return Err(Misfit {
                field: "row",
                got: row.to_string(),
                wanted: match entry.rows {
                    1 => "0: the answer has one row".into(),
                    rows => format!("0 to {}", rows - 1),
                },
                malformed: false,
            });
        }
        let meaning = by.meaning(truth)?;
        let columns = entry.columns as usize;
        let values = entry.values.chunks_exact(columns.max(1)).nth(row as usize);
        match values {
            Some(values) if !values[0].is_nan() => by.count(entry.role, values, meaning),
            _ => return Ok(Joined::Duplicate),
        }
        self.close(number, row);
        Ok(Joined::Accepted)
    }
}

/// How many rows a row of so many values counts as.
fn counts_as(columns: usize) -> usize {
    columns.div_ceil(VALUES_PER_ROW).max(1)
}

#[cfg(test)]
mod tests;
