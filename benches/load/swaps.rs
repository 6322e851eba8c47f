//! Versions of the example that replace each other during requests.

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

/// Time from one swap to the next.
const EVERY: Duration = Duration::from_millis(100);
/// Number of versions whose folders are kept.
const KEPT: u64 = 50;
/// The weights file that is published repeatedly.
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

    /// Returns the number of swaps after the first version.
    pub(crate) fn number(&self) -> u64 {
        self.newest - 1
    }

    /// Publishes the next version by one rename. Removes old folders once no thread can still be reading them.
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

    /// Publishes versions on a separate thread until it is [ended](Swapping::end).
    pub(crate) fn begin(mut self) -> Swapping {
        let ended = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            let mut due = Instant::now();
            while !stop.load(Ordering::Relaxed) {
                self.publish();
                due += EVERY;
                thread::park_timeout(due.saturating_duration_since(Instant::now()));
            }
            self
        });
        Swapping { ended, thread }
    }
}

/// A thread that swaps versions.
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
