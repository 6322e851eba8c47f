//! The buckets: chunks of neighbours that are made where values come, and joined two by two where there would be too many.
//!
//! A place is a whole number that grows with the value: 0 and more from [`SMALLEST`] up, below 0 from minus that down. How coarse
//! the buckets are follows from which of the finest are in use and nothing else, so neither the order of values nor that of
//! merging makes a difference.

use super::bucket::{Bucket, LARGEST, MANTISSA_BITS, SMALLEST};

/// Bits of a place that are told apart within a chunk.
const CHUNK_BITS: u32 = 4;
/// Buckets of a chunk.
const CHUNK: usize = 1 << CHUNK_BITS;
/// Bytes of a chunk, and of what finds it.
pub(super) const CHUNK_BYTES: usize = CHUNK * size_of::<u64>() + size_of::<isize>();
/// Chunks that hold every place where a bucket is as wide as its lower edge: seven of each sign.
pub(super) const FEWEST_CHUNKS: usize = 14;

/// Shift that leaves of a number its exponent and `bits` of its mantissa, which for numbers above zero grow with the number.
const fn shift(bits: u32) -> u32 {
    f64::MANTISSA_DIGITS - 1 - bits
}

/// Counts by place.
#[derive(Clone, Debug)]
pub(super) struct Store {
    /// Bits of the mantissa that tell two buckets apart.
    bits: u32,
    /// Chunks at most.
    most: usize,
    /// Places of the chunks over the width of one, ascending.
    keys: Vec<isize>,
    /// Beside their keys.
    chunks: Vec<[u64; CHUNK]>,
    /// One that counted not long ago: where others are sought from.
    last: usize,
}

/// Where a value, which is finite and no closer to zero than [`SMALLEST`], is counted, as fine as it gets.
#[inline]
fn place(value: f64) -> isize {
    let above = |magnitude: f64| (magnitude.to_bits() >> shift(MANTISSA_BITS)) as usize;
    let from_zero = (above(value.abs().min(LARGEST)) - above(SMALLEST)).cast_signed();
    if value > 0.0 { from_zero } else { !from_zero }
}

/// The values that are counted at `place`, where `bits` tell buckets apart. Of a bucket above zero the low end belongs to it, of
/// one below the high end.
fn bucket(place: isize, bits: u32, count: u64) -> Bucket {
    let above = if place < 0 { !place } else { place };
    let low = |above: isize| {
        f64::from_bits(((above.cast_unsigned() as u64) << shift(bits)) + SMALLEST.to_bits())
    };
    let (near, far) = (low(above), low(above + 1));
    let (low, high) = if place < 0 {
        (-far, -near)
    } else {
        (near, far)
    };
    Bucket { low, high, count }
}

/// The bucket of one value, as fine as `bits` tell it.
pub(super) fn around(value: f64, bits: u32) -> Bucket {
    let bits = bits.min(MANTISSA_BITS);
    bucket(place(value) >> (MANTISSA_BITS - bits), bits, 1)
}

impl Store {
    /// Of at most `most` chunks.
    pub(super) fn of(most: usize) -> Self {
        Self {
            bits: MANTISSA_BITS,
            most: most.max(FEWEST_CHUNKS),
            keys: Vec::new(),
            chunks: Vec::new(),
            last: 0,
        }
    }

    pub(super) fn bits(&self) -> u32 {
        self.bits
    }

    /// Counts `value`, which is finite and no closer to zero than [`SMALLEST`].
    #[inline]
    pub(super) fn add(&mut self, value: f64) {
        self.add_at(place(value), 1);
    }

    #[inline]
    fn add_at(&mut self, finest: isize, times: u64) {
        let place = finest >> (MANTISSA_BITS - self.bits);
        let key = place >> CHUNK_BITS;
        // Chunks are mostly without a gap, so it is as far from a known one as their keys are apart.
        let known = self.keys.get(self.last).copied().unwrap_or_default();
        let at = self.last.wrapping_add_signed(key.wrapping_sub(known));
        if self.keys.get(at) != Some(&key) {
            return self.add_elsewhere(finest, times);
        }
        self.chunks[at][within(place)] += times;
    }

    fn add_elsewhere(&mut self, finest: isize, times: u64) {
        loop {
            let place = finest >> (MANTISSA_BITS - self.bits);
            match self.find(place) {
                Ok(at) => {
                    self.chunks[at][within(place)] += times;
                    self.last = at;
                    return;
                }
                Err(at) if self.keys.len() < self.most || self.bits == 0 => {
                    self.make_room();
                    self.keys.insert(at, place >> CHUNK_BITS);
                    self.chunks.insert(at, [0; CHUNK]);
                }
                Err(_) => self.coarsen(),
            }
        }
    }

    /// Where the chunk of `place` is, or would be.
    fn find(&self, place: isize) -> Result<usize, usize> {
        self.keys.binary_search(&(place >> CHUNK_BITS))
    }

    /// Room for one more chunk: twice as much as there was, but no more than there may be.
    #[cold]
    fn make_room(&mut self) {
        let have = self.keys.len();
        if have == self.chunks.capacity().min(self.keys.capacity()) {
            let more = have.max(2).min(self.most.saturating_sub(have)).max(1);
            self.keys.reserve_exact(more);
            self.chunks.reserve_exact(more);
        }
    }

    /// Joins every two neighbouring buckets.
    #[cold]
    fn coarsen(&mut self) {
        let Some(bits) = self.bits.checked_sub(1) else {
            return;
        };
        self.bits = bits;
        let mut kept: usize = 0;
        for at in 0..self.keys.len() {
            let (key, chunk) = (self.keys[at], self.chunks[at]);
            if kept == 0 || self.keys[kept - 1] != key >> 1 {
                (self.keys[kept], self.chunks[kept]) = (key >> 1, [0; CHUNK]);
                kept += 1;
            }
            let half = if key & 1 == 0 { 0 } else { CHUNK / 2 };
            for (pair, joined) in chunk.chunks(2).zip(&mut self.chunks[kept - 1][half..]) {
                *joined = pair.iter().sum();
            }
        }
        self.keys.truncate(kept);
        self.chunks.truncate(kept);
        self.last = 0;
    }

    fn coarsen_to(&mut self, bits: u32) {
        while self.bits > bits {
            self.coarsen();
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.coarsen_to(other.bits);
        for (place, count) in other.counts() {
            self.add_at(place << (MANTISSA_BITS - other.bits), count);
        }
    }

    /// Takes back what `part`, which was merged into this one, has counted.
    pub(super) fn take_back(&mut self, part: &Self) {
        self.coarsen_to(part.bits);
        for (place, count) in part.counts() {
            let place = place >> (part.bits - self.bits);
            if let Ok(at) = self.find(place) {
                let held = &mut self.chunks[at][within(place)];
                *held = held.saturating_sub(count);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        // The room stays.
        self.keys.clear();
        self.chunks.clear();
        (self.bits, self.last) = (MANTISSA_BITS, 0);
    }

    /// What was counted and where, ascending.
    fn counts(&self) -> impl Iterator<Item = (isize, u64)> + '_ {
        let chunks = self.keys.iter().zip(&self.chunks);
        let counts = chunks.flat_map(|(key, chunk)| (key << CHUNK_BITS..).zip(chunk));
        counts.filter_map(|(place, count)| (*count > 0).then_some((place, *count)))
    }

    /// Those below zero, ascending.
    pub(super) fn below(&self) -> impl Iterator<Item = Bucket> + '_ {
        let counts = self.counts().take_while(|(place, _)| *place < 0);
        counts.map(|(place, count)| bucket(place, self.bits, count))
    }

    /// Those above zero, ascending.
    pub(super) fn above(&self) -> impl Iterator<Item = Bucket> + '_ {
        let counts = self.counts().skip_while(|(place, _)| *place < 0);
        counts.map(|(place, count)| bucket(place, self.bits, count))
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.keys.capacity() * size_of::<isize>()
            + self.chunks.capacity() * size_of::<[u64; CHUNK]>()
    }
}

/// Which of the buckets of its chunk is the one of `place`.
#[inline]
fn within(place: isize) -> usize {
    place.cast_unsigned() % CHUNK
}

/// Equal where the same was counted, wherever it is kept.
impl PartialEq for Store {
    fn eq(&self, other: &Self) -> bool {
        self.bits == other.bits && self.counts().eq(other.counts())
    }
}
