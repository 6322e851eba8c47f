//! The buckets of one sign: a window over their places that grows where values come.

use super::{Bucket, LARGEST, MANTISSA_BITS, MOST_BUCKETS};

/// A new window is so many buckets wider than it has to be on the side that grows, so that it does not grow each time.
const SPARE: usize = 8;

/// Counts by place, ascending by magnitude.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    /// Place of the first count.
    first: usize,
    counts: Vec<u64>,
    /// Smaller places are counted here. What is read follows from the highest place alone, so neither the order of values nor
    /// that of merging makes a difference.
    floor: usize,
    /// Whether any were.
    folded: bool,
}

/// Where a magnitude is counted: the bits of its exponent and the first of its mantissa, which for numbers above zero grow
/// with the number.
fn place(magnitude: f64) -> usize {
    (magnitude.min(LARGEST).to_bits() >> (f64::MANTISSA_DIGITS - 1 - MANTISSA_BITS)) as usize
}

/// The smallest magnitude that is counted at `place`.
fn low(place: usize) -> f64 {
    f64::from_bits((place as u64) << (f64::MANTISSA_DIGITS - 1 - MANTISSA_BITS))
}

impl Store {
    /// Counts `magnitude`, which is above zero and finite, `times` times.
    #[inline]
    pub(super) fn add(&mut self, magnitude: f64, times: u64) {
        self.add_at(place(magnitude), times);
    }

    #[inline]
    fn add_at(&mut self, place: usize, times: u64) {
        let at = place.wrapping_sub(self.first);
        match self.counts.get_mut(at) {
            Some(count) => *count += times,
            None => self.add_outside(place, times),
        }
    }

    #[cold]
    fn add_outside(&mut self, place: usize, times: u64) {
        self.raise_floor((place + 1).saturating_sub(MOST_BUCKETS));
        self.folded |= place < self.floor;
        let place = place.max(self.floor);
        self.reach(place);
        self.counts[place - self.first] += times;
    }

    /// Counts what lies below `floor` there.
    fn raise_floor(&mut self, floor: usize) {
        if floor <= self.floor {
            return;
        }
        self.floor = floor;
        if floor <= self.first {
            return;
        }
        let goes = (floor - self.first).min(self.counts.len());
        let below: u64 = self.counts.drain(..goes).sum();
        self.first = floor;
        if below > 0 {
            self.folded = true;
            self.reach(floor);
            self.counts[0] += below;
        }
    }

    /// Makes the window hold `place`, which is not below the floor.
    fn reach(&mut self, place: usize) {
        let spare_below = place.saturating_sub(SPARE).max(self.floor);
        if self.counts.is_empty() {
            self.first = spare_below;
        }
        if place < self.first {
            let grows = self.first - spare_below;
            self.counts.splice(0..0, std::iter::repeat_n(0, grows));
            self.first = spare_below;
        }
        if place - self.first >= self.counts.len() {
            self.counts.resize(place - self.first + 1 + SPARE, 0);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        let Some(used) = other.used() else { return };
        self.raise_floor(other.floor);
        // The highest first: it decides what the lowest may keep.
        for at in used.rev() {
            if other.counts[at] > 0 {
                self.add_at(other.first + at, other.counts[at]);
            }
        }
        self.folded |= other.folded;
    }

    /// Takes back what `part`, which was merged into this one, has counted.
    pub(super) fn take_back(&mut self, part: &Self) {
        for (at, count) in part.counts.iter().enumerate() {
            // What was merged below the floor was counted there.
            let place = (part.first + at).max(self.floor);
            if let Some(held) = self.counts.get_mut(place.wrapping_sub(self.first)) {
                *held = held.saturating_sub(*count);
            }
        }
    }

    /// The part of the window that holds anything.
    fn used(&self) -> Option<std::ops::Range<usize>> {
        let first = self.counts.iter().position(|count| *count > 0)?;
        let last = self.counts.iter().rposition(|count| *count > 0)?;
        Some(first..last + 1)
    }

    pub(super) fn clear(&mut self) {
        // Its room stays. The window begins anew where the next value is: kept where it was, it would have to reach from
        // there to values of quite another size.
        self.counts.clear();
        (self.first, self.floor, self.folded) = (0, 0, false);
    }

    pub(super) fn buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        let used = self.used().unwrap_or_default();
        // The window has room to spare, so the highest place may have grown without raising the floor.
        let highest = self.first + used.end;
        let floor = self.floor.max(highest.saturating_sub(MOST_BUCKETS));
        let split = floor.saturating_sub(self.first).clamp(used.start, used.end);
        let below: u64 = self.counts[used.start..split].iter().sum();
        let is_folded = below > 0 || (self.folded && floor == self.floor);
        let at_floor = self.counts.get(floor.wrapping_sub(self.first)).copied();
        let lowest = is_folded.then(|| Bucket {
            low: 0.0,
            high: low(floor + 1),
            count: below + at_floor.unwrap_or(0),
        });
        let rest = if is_folded {
            split.max(floor + 1 - self.first).min(used.end)
        } else {
            split
        };
        let held = (rest..used.end).filter(|at| self.counts[*at] > 0);
        let held = held.map(|at| Bucket {
            low: low(self.first + at),
            high: low(self.first + at + 1),
            count: self.counts[at],
        });
        lowest.into_iter().chain(held)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.counts.capacity() * size_of::<u64>()
    }
}

/// Equal where the same was counted, however wide the windows are.
impl PartialEq for Store {
    fn eq(&self, other: &Self) -> bool {
        self.buckets().eq(other.buckets())
    }
}
