//! Records the requests of one version in one role: a few shards, each with the current slice, and the history into which they
//! are merged.
//!
//! A request locks a shard that is free, beginning with its thread's own, and holds it while it counts. The first request after
//! the end of a slice merges the shard into the history. If the history is being read at that moment, the next request tries
//! again.

use std::{
    num::NonZero,
    sync::{
        Mutex, MutexGuard, TryLockError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::history::{self, History, Window};
use super::layout::Layout;
use super::summary::Summary;
use crate::sync::lock;

/// The most shards of one version in one role. There are fewer on a machine with fewer cores.
const MAX_SHARDS: usize = 8;

/// Returns the number of shards of one version in one role.
fn shards() -> usize {
    thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(MAX_SHARDS)
}

/// Returns the number of summaries of one version in one role: one per slice, one per shard, and a spare one.
pub(super) fn summaries() -> usize {
    history::SUMMARIES + shards() + 1
}

thread_local! {
    /// The shard that a thread tries first.
    static OWN: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

/// Records what one version observes in one role.
#[derive(Debug)]
pub(super) struct Recorder {
    shards: Vec<Mutex<Shard>>,
    past: Mutex<Past>,
}

#[derive(Debug)]
struct Shard {
    /// The tick that `open` counts.
    tick: u64,
    open: Summary,
    dirty: bool,
}

#[derive(Debug)]
struct Past {
    history: History,
    /// Exchanged with the summary of a shard, so that the shard can be unlocked before the merge. Empty between merges.
    spare: Summary,
}

impl Recorder {
    pub(super) fn new(layout: &Layout) -> Self {
        let shard = |_| {
            Mutex::new(Shard {
                tick: 0,
                open: Summary::empty(layout),
                dirty: false,
            })
        };
        Self {
            shards: (0..shards()).map(shard).collect(),
            past: Mutex::new(Past {
                history: History::new(layout),
                spare: Summary::empty(layout),
            }),
        }
    }

    /// Calls `count` with the summary of tick `now`.
    #[inline]
    pub(super) fn record(&self, now: u64, count: impl FnOnce(&mut Summary)) {
        let mut shard = self.lock_free_shard();
        if shard.tick != now {
            self.begin_slice(&mut shard, now);
        }
        shard.dirty = true;
        count(&mut shard.open);
    }

    /// Begins the next slice, unless the history is locked; then the next request tries again.
    #[cold]
    fn begin_slice(&self, shard: &mut Shard, now: u64) {
        if shard.dirty {
            let Ok(mut past) = self.past.try_lock() else {
                return;
            };
            past.history.add(shard.tick, &shard.open);
            shard.open.clear();
            shard.dirty = false;
        }
        shard.tick = now;
    }

    /// Locks the first shard that is free, beginning with the thread's own. If none is free, waits for its own.
    fn lock_free_shard(&self) -> MutexGuard<'_, Shard> {
        let own = OWN.with(|own| *own) % self.shards.len();
        for shard in self.shards[own..].iter().chain(&self.shards[..own]) {
            match shard.try_lock() {
                Ok(shard) => return shard,
                // After a panic the counts may lack part of one request; they are still valid.
                Err(TryLockError::Poisoned(shard)) => return shard.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        lock(&self.shards[own])
    }

    /// Adds to each sum the contents of its window, which ends with tick `now`. All sums see the same requests.
    pub(super) fn sum<const N: usize>(&self, now: u64, sums: [(Window, &mut Summary); N]) {
        let mut past = lock(&self.past);
        let Past { history, spare } = &mut *past;
        for shard in &self.shards {
            let mut shard = lock(shard);
            if !std::mem::take(&mut shard.dirty) {
                continue;
            }
            let tick = shard.tick;
            std::mem::swap(&mut shard.open, spare);
            drop(shard);
            history.add(tick, spare);
            spare.clear();
        }
        for (window, sum) in sums {
            history.sum(window, now, sum);
        }
    }

    /// Calls `visit` with each of the parts that together contain everything since the beginning. It merges nothing, so its cost does
    /// not depend on the number of inputs.
    pub(super) fn visit_all(&self, mut visit: impl FnMut(&Summary)) {
        let past = lock(&self.past);
        visit(past.history.all());
        // The lock on the history keeps shards from being merged into it meanwhile.
        for shard in &self.shards {
            visit(&lock(shard).open);
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let past = lock(&self.past);
        let shards = self.shards.iter();
        let open = shards.map(|shard| size_of::<Mutex<Shard>>() + lock(shard).open.heap_bytes());
        past.history.heap_bytes() + past.spare.heap_bytes() + open.sum::<usize>()
    }
}
