//! Where requests record: a few shards, each with the slice that runs, and the history that they are merged into.
//!
//! A request takes a shard that nobody holds, beginning with its thread's own, and holds it while it counts. Where the slice
//! is over, whoever comes first merges it; should somebody be reading the history just then, the next one does.

use std::{
    num::NonZero,
    sync::{
        Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::history::{self, History, Window};
use super::layout::Layout;
use super::summary::Summary;

/// Shards of one version in one role at most; fewer where there are fewer cores.
const MOST_SHARDS: usize = 8;

/// Shards of one version in one role.
fn shards() -> usize {
    thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(MOST_SHARDS)
}

/// Summaries that one version keeps in one role: of every slice, of every shard, and a spare one.
pub(super) fn summaries() -> usize {
    history::SUMMARIES + shards() + 1
}

thread_local! {
    /// Which shard a thread tries first.
    static OWN: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

/// What one version sees in one role.
#[derive(Debug)]
pub(super) struct Recorder {
    shards: Vec<Mutex<Shard>>,
    past: Mutex<Past>,
}

#[derive(Debug)]
struct Shard {
    /// When the slice runs that it counts.
    tick: u64,
    open: Summary,
    dirty: bool,
}

#[derive(Debug)]
struct Past {
    history: History,
    /// Changes places with a shard's, so that the shard is free again before it is merged. Empty in between.
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

    /// Counts in the slice of tick `now`.
    #[inline]
    pub(super) fn record(&self, now: u64, count: impl FnOnce(&mut Summary)) {
        let mut shard = self.free();
        if shard.tick != now {
            self.turn(&mut shard, now);
        }
        shard.dirty = true;
        count(&mut shard.open);
    }

    /// Begins the next slice, unless somebody holds the history: then it is tried again with the next request.
    #[cold]
    fn turn(&self, shard: &mut Shard, now: u64) {
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

    /// A shard that nobody holds, from the thread's own on; its own, where all are held.
    fn free(&self) -> MutexGuard<'_, Shard> {
        let own = OWN.with(|own| *own) % self.shards.len();
        for shard in self.shards[own..].iter().chain(&self.shards[..own]) {
            match shard.try_lock() {
                Ok(shard) => return shard,
                // What a panic left half counted is counts all the same.
                Err(TryLockError::Poisoned(shard)) => return shard.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        lock(&self.shards[own])
    }

    /// Adds to each sum what its window holds where it ends with tick `now`: of the same requests in all of them.
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

    /// Has `count` see all since the beginning, in parts. Merges nothing, so it takes no longer for many inputs.
    pub(super) fn add_up(&self, mut count: impl FnMut(&Summary)) {
        let past = lock(&self.past);
        count(past.history.all());
        // None of them is merged into the history while that is held.
        for shard in &self.shards {
            count(&lock(shard).open);
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let past = lock(&self.past);
        let shards = self.shards.iter();
        let open = shards.map(|shard| size_of::<Mutex<Shard>>() + lock(shard).open.heap_bytes());
        past.history.heap_bytes() + past.spare.heap_bytes() + open.sum::<usize>()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
