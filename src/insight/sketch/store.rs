//! The buckets of a sketch: chunks of neighbouring buckets that are allocated where values come. If there would be too many chunks,
//! every two neighbouring buckets are joined.
//!
//! A place is a whole number that grows with the value: 0 and more from [`SMALLEST`] upwards, negative from minus that downwards.
//! The width of the buckets depends only on which of the narrowest buckets are in use, so the order of values or of merges makes
//! no difference.

use super::bucket::{Bucket, LARGEST, MANTISSA_BITS, SMALLEST};

/// The bits of a place that distinguish buckets within a chunk.
const CHUNK_BITS: u32 = 4;
/// The number of buckets in a chunk.
const CHUNK: usize = 1 << CHUNK_BITS;
/// The bytes of a chunk and of its key.
pub(super) const CHUNK_BYTES: usize = CHUNK * size_of::<u64>() + size_of::<isize>();
/// The number of chunks that contain every place if a bucket is as wide as its lower edge: seven of each sign.
pub(super) const MIN_CHUNKS: usize = 14;

/// Returns the shift that leaves of a number its exponent and `bits` of its mantissa. For positive numbers the result grows with the
/// number.
const fn shift(bits: u32) -> u32 {
    f64::MANTISSA_DIGITS - 1 - bits
}

/// Counts by place.
#[derive(Clone, Debug)]
pub(super) struct Store {
    /// The bits of the mantissa that distinguish two buckets.
    bits: u32,
    /// The most chunks.
    max_chunks: usize,
    /// The key of each chunk, ascending: its places divided by the buckets of a chunk.
    keys: Vec<isize>,
    /// The counts of each chunk, in the order of `keys`.
    chunks: Vec<[u64; CHUNK]>,
    /// The index of a chunk that counted recently, from which others are searched.
    last: usize,
}

/// Returns the place of a value among the narrowest buckets. The value must be finite and no closer to zero than [`SMALLEST`].
#[inline]
fn place(value: f64) -> isize {
    let above = |magnitude: f64| (magnitude.to_bits() >> shift(MANTISSA_BITS)) as usize;
    let from_zero = (above(value.abs().min(LARGEST)) - above(SMALLEST)).cast_signed();
    if value > 0.0 { from_zero } else { !from_zero }
}

/// Returns the bucket at `place` if `bits` distinguish buckets. A bucket above zero contains its low end, one below zero its
/// high end.
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

/// Returns the bucket of one value if `bits` distinguish buckets.
pub(super) fn around(value: f64, bits: u32) -> Bucket {
    let bits = bits.min(MANTISSA_BITS);
    bucket(place(value) >> (MANTISSA_BITS - bits), bits, 1)
}

impl Store {
    /// Creates a store of at most `max_chunks` chunks.
    pub(super) fn new(max_chunks: usize) -> Self {
        Self {
            bits: MANTISSA_BITS,
            max_chunks: max_chunks.max(MIN_CHUNKS),
            keys: Vec::new(),
            chunks: Vec::new(),
            last: 0,
        }
    }

    pub(super) fn bits(&self) -> u32 {
        self.bits
    }

    /// Counts `value`, which must be finite and no closer to zero than [`SMALLEST`].
    #[inline]
    pub(super) fn add(&mut self, value: f64) {
        self.add_at(place(value), 1);
    }

    #[inline]
    fn add_at(&mut self, finest: isize, times: u64) {
        let place = finest >> (MANTISSA_BITS - self.bits);
        let key = place >> CHUNK_BITS;
        // Chunks rarely have gaps between them, so the distance of two keys is usually the distance of their indices.
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
                Err(at) if self.keys.len() < self.max_chunks || self.bits == 0 => {
                    self.reserve_chunk();
                    self.keys.insert(at, place >> CHUNK_BITS);
                    self.chunks.insert(at, [0; CHUNK]);
                }
                Err(_) => self.coarsen(),
            }
        }
    }

    /// Returns the index of the chunk of `place`, or where to insert it.
    fn find(&self, place: isize) -> Result<usize, usize> {
        self.keys.binary_search(&(place >> CHUNK_BITS))
    }

    /// Reserves memory for at least one more chunk: doubles it, up to the most chunks.
    #[cold]
    fn reserve_chunk(&mut self) {
        let have = self.keys.len();
        if have == self.chunks.capacity().min(self.keys.capacity()) {
            let more = have.max(2).min(self.max_chunks.saturating_sub(have)).max(1);
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

    /// Subtracts the counts of `part`, which was merged into this one.
    pub(super) fn subtract(&mut self, part: &Self) {
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
        // The memory stays allocated.
        self.keys.clear();
        self.chunks.clear();
        (self.bits, self.last) = (MANTISSA_BITS, 0);
    }

    /// Returns the places with their counts, ascending, without empty ones.
    fn counts(&self) -> impl Iterator<Item = (isize, u64)> + '_ {
        let chunks = self.keys.iter().zip(&self.chunks);
        let counts = chunks.flat_map(|(key, chunk)| (key << CHUNK_BITS..).zip(chunk));
        counts.filter_map(|(place, count)| (*count > 0).then_some((place, *count)))
    }

    /// Returns the buckets below zero, ascending.
    pub(super) fn below(&self) -> impl Iterator<Item = Bucket> + '_ {
        let counts = self.counts().take_while(|(place, _)| *place < 0);
        counts.map(|(place, count)| bucket(place, self.bits, count))
    }

    /// Returns the buckets above zero, ascending.
    pub(super) fn above(&self) -> impl Iterator<Item = Bucket> + '_ {
        let counts = self.counts().skip_while(|(place, _)| *place < 0);
        counts.map(|(place, count)| bucket(place, self.bits, count))
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.keys.capacity() * size_of::<isize>()
            + self.chunks.capacity() * size_of::<[u64; CHUNK]>()
    }
}

/// Returns the index of the bucket of `place` within its chunk.
#[inline]
fn within(place: isize) -> usize {
    place.cast_unsigned() % CHUNK
}

/// Two stores are equal if their buckets and counts are equal, however they are laid out in memory.
impl PartialEq for Store {
    fn eq(&self, other: &Self) -> bool {
        self.bits == other.bits && self.counts().eq(other.counts())
    }
}
