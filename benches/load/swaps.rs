//! Versions of the example that replace each other while requests come.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::common::{self, MODEL};

/// From one swap to the next.
const EVERY: Duration = Duration::from_millis(100);
/// Versions whose folders stay.
const KEPT: u64 = 50;
/// The weights that are published again and again.
const WEIGHTS: &str = "weights.safetensors";

/// A registry whose newest version is always version 2 of the example under the next number.
pub(crate) struct Swaps {
    dir: PathBuf,
    newest: u64,
}

impl Swaps {
    pub(crate) fn new(dir: &Path) -> Self {
        let mut swaps = Self {
            dir: dir.to_owned(),
            newest: 0,
        };
        fs::create_dir_all(swaps.registry().join(MODEL)).expect("made");
        swaps.publish();
        swaps
    }

    pub(crate) fn registry(&self) -> PathBuf {
        self.dir.join("models")
    }

    /// How many there were after the first version.
    pub(crate) fn number(&self) -> u64 {
        self.newest - 1
    }

    /// Publishes the next version by one rename. Old folders go, once nobody can still be reading them.
    fn publish(&mut self) {
        let from = common::registry().join(MODEL).join("2");
        let next = self.newest + 1;
        let beside = self.dir.join("next");
        fs::create_dir(&beside).expect("made");
        fs::copy(from.join(WEIGHTS), beside.join(WEIGHTS)).expect("copied");
        let manifest = fs::read(from.join("metadata.json")).expect("read");
        let mut manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
        manifest["version"] = json!(next);
        fs::write(beside.join("metadata.json"), manifest.to_string()).expect("written");
        let folder = |version: u64| self.registry().join(MODEL).join(version.to_string());
        fs::rename(beside, folder(next)).expect("published");
        if next > KEPT {
            fs::remove_dir_all(folder(next - KEPT)).expect("removed");
        }
        self.newest = next;
    }

    /// Publishes from now on, on a thread of its own, until that is [ended](Swapping::end).
    pub(crate) fn begin(mut self) -> Swapping {
        let ended = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            let mut due = Instant::now();
            while !told.load(Ordering::Relaxed) {
                self.publish();
                due += EVERY;
                thread::park_timeout(due.saturating_duration_since(Instant::now()));
            }
            self
        });
        Swapping { ended, thread }
    }
}

/// Swaps that go on.
pub(crate) struct Swapping {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Swaps>,
}

impl Swapping {
    pub(crate) fn end(self) -> Swaps {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().expect("it publishes")
    }
}
