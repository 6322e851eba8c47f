//! What was answered, in rings whose memory is taken once: where one is full, the oldest is overwritten.
//!
//! The id of a response chooses one of a few shards and, hashed with a seed of this process to 128 bits, is its key
//! there; ids themselves are not kept. A shard is a ring of [`Entry`]s, a ring of their values, and an index from key to
//! the newest entry of that key, from which older ones, of shadows, are linked. A row whose truth was counted has NaN for its first value,
//! which no answer holds.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::key::{IsHashed, seed};
use super::report::{Joined, Misfit, Truth, rank};
use super::version::VersionQuality;
use crate::ident::Role;
use crate::model::Scores;

/// Values that one row has room for; a row of more counts as several.
pub const VALUES_PER_ROW: usize = 4;
/// Shards at most, and the rows that each of them has at least before there are more.
const MOST_SHARDS: usize = 64;
const ROWS_OF_SHARD: usize = 4096;

/// Who answered, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered<'a> {
    pub(super) by: &'a Arc<VersionQuality>,
    pub(super) role: Role,
    /// Since the buffer was made.
    pub(super) at: Duration,
}

/// Rows that went without having had a truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// Overwritten before they expired.
    pub(super) evicted: u64,
    /// Answered again under the same id.
    pub(super) replaced: u64,
    /// Answered by a shadow after the truth about the row had come.
    pub(super) after_truth: u64,
    /// Never remembered: more than a shard holds.
    pub(super) too_large: u64,
}

impl Lost {
    pub(super) fn any(self) -> bool {
        self != Self::default()
    }
}

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

    /// Rows that are held, those that have expired or been counted among them.
    pub(super) fn rows(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).held).sum()
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

/// One answer.
#[derive(Debug)]
struct Entry {
    key: u128,
    at: Duration,
    by: Weak<VersionQuality>,
    /// The entry before it under the same key.
    before: Option<u64>,
    /// Place of its first value, counted from the beginning of time.
    values: u64,
    rows: u32,
    /// Rows without a truth yet.
    open: u32,
    columns: u32,
    /// Rows that it counts as.
    takes: usize,
    role: Role,
}

/// One part of the buffer.
#[derive(Debug)]
struct Shard {
    /// Rows that fit.
    room: usize,
    /// Rows of the entries.
    held: usize,
    entries: VecDeque<Entry>,
    /// Number of the first of them.
    first: u64,
    values: VecDeque<f32>,
    /// Number of the first of them.
    first_value: u64,
    newest: HashMap<u128, u64, BuildHasherDefault<IsHashed>>,
}

impl Shard {
    fn new(room: usize) -> Self {
        Self {
            room,
            held: 0,
            entries: VecDeque::with_capacity(room),
            first: 0,
            values: VecDeque::with_capacity(room * VALUES_PER_ROW),
            first_value: 0,
            // Half empty at most, so that it makes room for a new key by tidying up, never by growing.
            newest: HashMap::with_capacity_and_hasher(room * 2, BuildHasherDefault::default()),
        }
    }

    fn push(
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
        while self.held + needs > self.room {
            self.drop_oldest(answered.at.saturating_sub(expires), &mut lost);
        }
        self.replace(key, answered, &mut lost);
        let closed = self.closed(key, answered.role);
        let number = self.first + self.entries.len() as u64;
        let before = self.newest.insert(key, number);
        self.entries.push_back(Entry {
            key,
            at: answered.at,
            by: Arc::downgrade(answered.by),
            before,
            values: self.first_value + self.values.len() as u64,
            rows,
            open: rows,
            columns,
            takes: needs,
            role: answered.role,
        });
        if takes_truths {
            scores.rows().for_each(|row| self.values.extend(row));
        }
        self.held += needs;
        if columns > 0 {
            let closed = closed.iter().take_while(|row| **row < rows);
            lost.after_truth += closed.map(|row| self.close(number, *row)).sum::<u64>();
        }
        lost
    }

    /// Rows whose truth has been counted with the answer that the caller got. A shadow that answers later is not judged by
    /// them: the truth is not kept, and one that is told again is told to be a duplicate, as it is.
    fn closed(&mut self, key: u128, role: Role) -> Vec<u32> {
        let mut next = self.newest.get(&key).copied();
        next = next.filter(|_| role == Role::Shadow);
        while let Some(entry) = next.and_then(|number| self.entry(number)) {
            if entry.role == Role::Shadow || entry.rows == 0 {
                next = entry.before;
                continue;
            }
            if entry.open == entry.rows {
                break;
            }
            let (rows, columns, values) = (entry.rows, entry.columns as usize, entry.values);
            let begin = usize::try_from(values - self.first_value).unwrap_or(usize::MAX);
            let is_closed = |row: &u32| {
                let first = self.values.get(begin + *row as usize * columns);
                first.is_some_and(|score| score.is_nan())
            };
            return (0..rows).filter(is_closed).collect();
        }
        Vec::new()
    }

    /// Lets no truth count any more for a row that had none, and says how many that are: one.
    fn close(&mut self, number: u64, row: u32) -> u64 {
        let first_value = self.first_value;
        let Some(entry) = self.entry(number) else {
            return 0;
        };
        entry.open = entry.open.saturating_sub(1);
        let begin = usize::try_from(entry.values - first_value).unwrap_or(usize::MAX);
        let begin = begin.saturating_add(row as usize * entry.columns as usize);
        if let Some(score) = self.values.get_mut(begin) {
            *score = f32::NAN;
        }
        1
    }

    /// Closes what was answered before under `key` in the same place: by the same shadow, or to the caller. A primary's answer
    /// closes the shadows' too, which are of an earlier request: those of its own are asked after it.
    fn replace(&mut self, key: u128, answered: Answered<'_>, lost: &mut Lost) {
        let mut next = self.newest.get(&key).copied();
        while let Some(entry) = next.and_then(|number| self.entry(number)) {
            next = entry.before;
            let is_shadow = |role| role == Role::Shadow;
            let same = match answered.role {
                Role::Primary => true,
                Role::Fallback => !is_shadow(entry.role),
                Role::Shadow => {
                    is_shadow(entry.role) && entry.by.as_ptr() == Arc::as_ptr(answered.by)
                }
            };
            if same && entry.rows > 0 {
                lost.replaced += u64::from(entry.open);
                (entry.open, entry.rows) = (0, 0);
            }
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
        // Where the next one's values begin is where this one's end.
        let end = match self.entries.front() {
            Some(next) => next.values,
            None => self.first_value + self.values.len() as u64,
        };
        let goes = usize::try_from(end - self.first_value).unwrap_or(usize::MAX);
        self.values.drain(..goes.min(self.values.len()));
        self.first_value = end;
        self.held -= entry.takes;
    }

    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.entries.get_mut(at)
    }

    fn settle(
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
            let is_callers = entry.role != Role::Shadow && entry.rows > 0;
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
        let first_value = self.first_value;
        let Some(entry) = self.entry(number).filter(|entry| entry.rows > 0) else {
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
        let (columns, role) = (entry.columns as usize, entry.role);
        let begin = usize::try_from(entry.values - first_value).unwrap_or(usize::MAX);
        let begin = begin + row as usize * columns;
        if self.values.get(begin).is_none_or(|score| score.is_nan()) {
            return Ok(Joined::Duplicate);
        }
        let (front, back) = self.values.as_slices();
        let end = begin + columns;
        if end <= front.len() {
            by.count(role, &front[begin..end], meaning);
        } else if begin >= front.len() {
            by.count(role, &back[begin - front.len()..end - front.len()], meaning);
        } else {
            let both: Vec<f32> = self.values.range(begin..end).copied().collect();
            by.count(role, &both, meaning);
        }
        self.close(number, row);
        Ok(Joined::Accepted)
    }
}

/// How many rows a row of so many values counts as.
fn counts_as(columns: usize) -> usize {
    columns.div_ceil(VALUES_PER_ROW).max(1)
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
