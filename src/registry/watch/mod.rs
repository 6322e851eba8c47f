//! Watches the registry and reports its complete content after each change.
//!
//! The watch is level-triggered: events of the file system only trigger a scan, and each report contains everything that exists. A lost
//! event, or a file system without events (network mounts, links to other file systems), only delays the report until the next poll.
//! An incomplete list is never reported.
//! Not here: which versions should serve (`control`).

mod listing;

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::publish::STAGING;
use super::scan::scan;
use crate::priority::set_idle_priority;
use listing::Memory;

pub use listing::{ListedVersion, Listing, list};

/// Delay between an event and the scan that it triggers. A file is rarely written alone.
const DEBOUNCE: Duration = Duration::from_millis(50);

#[expect(
    clippy::disallowed_types,
    reason = "the watch runs on a plain thread outside of any tokio runtime"
)]
type Clock = std::time::Instant;

/// Timing of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchSettings {
    /// The longest time between two scans.
    pub poll: Duration,
    /// How long an incomplete folder must be unchanged until it no longer waits for missing files.
    pub stable_after: Duration,
}

/// A running watch. Dropping it stops its thread and waits for it.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Requests to the thread.
#[derive(Debug)]
struct Shared {
    scan_requested: AtomicBool,
    stopped: AtomicBool,
    /// A channel with capacity 1: if it is full, the thread is about to wake up anyway.
    wake: SyncSender<()>,
}

/// Watches the registry at `root` on a thread of its own.
///
/// The thread calls `on_list` with the first list, and again after each change. `on_list` must not wait for the owner of the watch,
/// because dropping the watch waits for the thread.
///
/// # Errors
/// Returns an error if the thread cannot be started.
pub fn watch(
    root: PathBuf,
    settings: WatchSettings,
    on_list: impl FnMut(Listing) + Send + 'static,
) -> io::Result<Watch> {
    let (wake, inbox) = mpsc::sync_channel(1);
    let shared = Arc::new(Shared {
        scan_requested: AtomicBool::new(false),
        stopped: AtomicBool::new(false),
        wake,
    });
    let (of_thread, mut on_list) = (Arc::clone(&shared), on_list);
    let thread = Builder::new().name("taper-watch".into()).spawn(move || {
        // A scan may take a few milliseconds longer; requests may not.
        set_idle_priority();
        run(&root, settings, &of_thread, &inbox, &mut on_list);
    })?;
    Ok(Watch {
        shared,
        thread: Some(thread),
    })
}

impl Watch {
    /// Triggers a scan immediately. Its list is reported even if nothing has changed.
    pub fn look_now(&self) {
        self.shared.scan_requested.store(true, Ordering::SeqCst);
        self.shared.wake();
    }

    /// Stops the watch, as dropping it does.
    pub fn stop(self) {}
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.shared.wake();
        // A panic has been reported on the thread itself.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn wake(&self) {
        let _ = self.wake.try_send(());
    }

    /// Returns whether the thread must not wait any longer.
    fn is_urgent(&self) -> bool {
        self.scan_requested.load(Ordering::SeqCst) || self.stopped.load(Ordering::SeqCst)
    }
}

fn run(
    root: &Path,
    settings: WatchSettings,
    shared: &Shared,
    inbox: &Receiver<()>,
    on_list: &mut dyn FnMut(Listing),
) {
    // Before the first scan, so that no change in between is missed.
    let _events = events(root, &shared.wake)
        .inspect_err(|error| tracing::warn!(%error, poll = ?settings.poll, "no file system events for the registry: changes are noticed at the next poll"));
    let first = Clock::now();
    let mut memory = Memory::default();
    let mut reported: Option<Listing> = None;
    let mut must_report = false;
    let mut last_error = None;
    while !shared.stopped.load(Ordering::SeqCst) {
        must_report |= shared.scan_requested.swap(false, Ordering::SeqCst);
        let begin = Clock::now();
        match scan(root) {
            Ok(scan) => {
                last_error = None;
                let listing = memory.list(scan, first.elapsed(), settings.stable_after);
                if must_report || reported.as_ref() != Some(&listing) {
                    on_list(listing.clone());
                    (reported, must_report) = (Some(listing), false);
                }
            }
            Err(faults) => {
                let error = faults.to_string();
                if last_error.as_ref() != Some(&error) {
                    tracing::error!(%faults, "cannot read the registry; the last complete list stays in force");
                    last_error = Some(error);
                }
            }
        }
        let debounce = debounce(begin.elapsed());
        let waits = reported.as_ref().is_some_and(Listing::is_waiting);
        pause(shared, inbox, settings.next_scan(waits), debounce);
    }
}

impl WatchSettings {
    /// Returns the time until the next scan without an event. `waits`: a folder may become stable before the next poll.
    fn next_scan(self, waits: bool) -> Duration {
        let longest = if waits {
            self.poll.min(self.stable_after)
        } else {
            self.poll
        };
        longest.max(DEBOUNCE)
    }
}

/// Returns how long to wait after an event if the last scan `took` this long. Scans take at most a tenth of the time, regardless of
/// how much is written.
fn debounce(took: Duration) -> Duration {
    DEBOUNCE.max(took * 9)
}

/// Waits for `longest`, or until `debounce` after an event, or until a scan or a stop is requested.
fn pause(shared: &Shared, inbox: &Receiver<()>, longest: Duration, debounce: Duration) {
    let begin = Clock::now();
    let mut until = longest;
    while !shared.is_urgent() {
        let left = until.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return;
        }
        match inbox.recv_timeout(left) {
            Ok(()) => until = until.min(begin.elapsed() + debounce),
            Err(_) => return,
        }
    }
}

/// Wakes the thread at every change below `root` until the returned watcher is dropped.
fn events(root: &Path, wake: &SyncSender<()>) -> notify::Result<RecommendedWatcher> {
    let wake = wake.clone();
    let handler = move |event: notify::Result<Event>| {
        if event.as_ref().map_or(true, matters) {
            let _ = wake.try_send(());
        }
    };
    // Links are not followed, because a link may lead to the whole disk. The poll sees changes behind links.
    let config = notify::Config::default().with_follow_symlinks(false);
    let mut watcher = RecommendedWatcher::new(handler, config)?;
    // The root itself may be a link.
    let real = fs::canonicalize(root).map_err(notify::Error::io)?;
    watcher.watch(&real, RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// Returns whether `event` may change the list. Reads do not, and loading a version causes many. Writes into a staging folder do not
/// either; the rename of the folder does.
fn matters(event: &Event) -> bool {
    let written = AccessKind::Close(AccessMode::Write);
    let staged = |name: &OsStr| name.to_string_lossy().starts_with(STAGING);
    let is_staged = |path: &PathBuf| path.iter().any(staged);
    let only_read = matches!(event.kind, EventKind::Access(how) if how != written);
    let unseen = !event.paths.is_empty() && event.paths.iter().all(is_staged);
    !only_read && !unseen
}
