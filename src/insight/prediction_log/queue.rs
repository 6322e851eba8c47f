//! The queue from the request path to the thread that writes the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::SystemTime;

use super::entry::Entry;
use crate::insight::metrics::LogMeters;

/// The most lines in the queue.
pub(super) const MAX_LINES: usize = 1024;
/// The most bytes that the queued lines take in memory, approximately.
pub(super) const MAX_BYTES: usize = 32 << 20;

/// What the thread that writes receives.
pub(super) enum Message {
    /// An entry, the time at which its request ended, and its weight in bytes.
    Line(Box<Entry>, SystemTime, usize),
    /// The log ends.
    End,
}

/// The size of the queue.
#[derive(Debug, Default)]
pub(super) struct QueueSize {
    lines: AtomicUsize,
    bytes: AtomicUsize,
}

impl QueueSize {
    /// Adds a line and returns the bytes of all lines.
    pub(super) fn add(&self, bytes: usize) -> usize {
        self.lines.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    pub(super) fn remove(&self, bytes: usize) {
        self.lines.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Returns whether there is room for a line of a few bytes.
    fn has_room(&self) -> bool {
        self.lines.load(Ordering::Relaxed) < MAX_LINES
            && self.bytes.load(Ordering::Relaxed) < MAX_BYTES
    }
}

/// The sending end of the queue, for the request path.
#[derive(Debug)]
pub struct PredictionLog {
    pub(super) lines: SyncSender<Message>,
    pub(super) size: Arc<QueueSize>,
    /// Of 2^32 random numbers, those below are sampled.
    pub(super) below: u64,
    pub(super) meters: LogMeters,
}

impl PredictionLog {
    /// Returns whether a request that drew `random` is logged.
    #[inline]
    #[must_use]
    pub fn samples(&self, random: u32) -> bool {
        u64::from(random) < self.below
    }

    /// Returns whether the queue has room for a line, and counts a dropped line if not. Call this before copying a request.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let has_room = self.size.has_room();
        if !has_room {
            self.meters.dropped(1);
        }
        has_room
    }

    /// Adds a line to the queue, or counts it as dropped if the queue is full. Never waits.
    pub fn enqueue(&self, entry: Entry) {
        let bytes = entry.weight();
        let all = self.size.add(bytes);
        let message = Message::Line(Box::new(entry), SystemTime::now(), bytes);
        if all > MAX_BYTES || self.lines.try_send(message).is_err() {
            self.size.remove(bytes);
            self.meters.dropped(1);
        }
    }
}
