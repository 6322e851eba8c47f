//! The memory that copies for shadows take.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A copy counts for at least this many bytes.
const MIN_BYTES: usize = 1_024;

/// Bytes of all copies that wait or are scored, with their limit.
#[derive(Debug)]
pub(super) struct CopyMemory {
    used: AtomicUsize,
    limit: usize,
}

/// The bytes of one copy; returned when dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    memory: Arc<CopyMemory>,
    bytes: usize,
}

impl CopyMemory {
    /// Creates an account of `limit` bytes, all of them free.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        let used = AtomicUsize::new(0);
        Arc::new(Self { used, limit })
    }

    /// Reserves the bytes of a copy. Returns also whether they are within the limit; the caller drops the copy otherwise.
    pub(super) fn reserve(self: &Arc<Self>, bytes: usize) -> (Reservation, bool) {
        let bytes = bytes.max(MIN_BYTES);
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        let reservation = Reservation {
            memory: Arc::clone(self),
            bytes,
        };
        (reservation, before.saturating_add(bytes) <= self.limit)
    }

    /// Returns the bytes that are reserved.
    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
