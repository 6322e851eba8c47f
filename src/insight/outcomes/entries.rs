//! The entries of a shard in the order of arrival, and an index from each key to its newest entry.

use std::collections::VecDeque;
use std::ops::Range;

use hashbrown::HashTable;

use super::entry::Entry;

/// A queue of entries. Each has a number, one more than that of the entry before it.
#[derive(Debug, Default)]
pub(super) struct Entries {
    queue: VecDeque<Entry>,
    /// The number of the first entry.
    first: u64,
}

impl Entries {
    /// Returns the number of entries.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Returns the number of entries that there is memory for.
    pub(super) fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    /// Allocates memory for `entries` entries in total.
    pub(super) fn reserve(&mut self, entries: usize) {
        self.queue.reserve_exact(entries - self.queue.len());
    }

    /// Returns the number that the next entry gets.
    pub(super) fn next_number(&self) -> u64 {
        self.first + self.queue.len() as u64
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.queue.push_back(entry);
    }

    /// Removes the first entry and returns it with its number.
    pub(super) fn pop(&mut self) -> Option<(u64, Entry)> {
        let entry = self.queue.pop_front()?;
        let number = self.first;
        self.first += 1;
        Some((number, entry))
    }

    pub(super) fn get(&self, number: u64) -> Option<&Entry> {
        self.queue.get(self.place(number)?)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Entry> {
        let place = self.place(number)?;
        self.queue.get_mut(place)
    }

    /// Removes the entries that `keep` refuses. The others get new numbers, in the same order.
    pub(super) fn retain(&mut self, keep: impl FnMut(&Entry) -> bool) {
        self.queue.retain(keep);
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> std::collections::vec_deque::Iter<'_, Entry> {
        self.queue.iter()
    }

    /// Returns the numbers of all entries.
    pub(super) fn numbers(&self) -> Range<u64> {
        self.first..self.next_number()
    }

    fn place(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    /// Returns the number of an entry in the queue whose last 32 bits are `low`.
    fn number(&self, low: u32) -> u64 {
        self.first + u64::from(low.wrapping_sub(last_bits(self.first)))
    }

    fn key(&self, low: u32) -> Option<u128> {
        self.get(self.number(low)).map(|entry| entry.key)
    }
}

/// The number of the newest entry of each key.
///
/// It stores the last 32 bits of each number and no keys, which are in the entries. So it is small enough to stay in the processor's
/// cache, and a request that is stored touches little other memory.
#[derive(Debug, Default)]
pub(super) struct Newest(HashTable<u32>);

impl Newest {
    /// Returns the newest entry with `key`.
    pub(super) fn get(&self, key: u128, entries: &Entries) -> Option<u64> {
        let found = self.0.find(hash(key), |low| entries.key(*low) == Some(key));
        found.map(|low| entries.number(*low))
    }

    /// Makes entry `number` the newest of `key`. The entry need not be in `entries` yet. Returns the newest one before.
    pub(super) fn insert(&mut self, key: u128, number: u64, entries: &Entries) -> Option<u64> {
        let is_same = |low: &u32| entries.key(*low) == Some(key);
        if let Some(low) = self.0.find_mut(hash(key), is_same) {
            let before = entries.number(std::mem::replace(low, last_bits(number)));
            return Some(before);
        }
        let rehash = |low: &u32| entries.key(*low).map_or(0, hash);
        self.0.insert_unique(hash(key), last_bits(number), rehash);
        None
    }

    /// Removes `key` and returns its newest entry.
    pub(super) fn remove(&mut self, key: u128, entries: &Entries) -> Option<u64> {
        let is_same = |low: &u32| entries.key(*low) == Some(key);
        let found = self.0.find_entry(hash(key), is_same).ok()?;
        Some(entries.number(found.remove().0))
    }

    /// Removes `key` if entry `number` is its newest. The entry need not be in the queue any more.
    pub(super) fn remove_entry(&mut self, key: u128, number: u64) {
        if let Ok(found) = self
            .0
            .find_entry(hash(key), |low| *low == last_bits(number))
        {
            found.remove();
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the number of keys that there is memory for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Allocates memory for `keys` keys.
    pub(super) fn reserve(&mut self, keys: usize) {
        self.0.reserve(keys, |_| 0);
    }
}

/// Returns the bits of a key that select its place: not the last ones, which are the same for all keys of a shard.
fn hash(key: u128) -> u64 {
    (key >> 64) as u64
}

#[expect(clippy::cast_possible_truncation, reason = "the last bits are wanted")]
fn last_bits(number: u64) -> u32 {
    number as u32
}
