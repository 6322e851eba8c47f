//! Watching the registry: whatever changes in it, the complete list follows.
//!
//! Level-triggered: events of the file system only say when to look, and what is handed over is always everything that is
//! there. So an event that is lost, or a file system that sends none (network mounts, links that lead elsewhere), costs time
//! until the next poll and nothing else. A list that would not be complete is never handed over.
//! Not here: what should serve of what is there (`control`).

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

pub use listing::{Listing, Seen, look};

/// Time between an event and the look that it causes: whoever writes one file writes more.
const QUIET: Duration = Duration::from_millis(50);

#[expect(
    clippy::disallowed_types,
    reason = "the watch runs on a plain thread and waits for real; tokio's clock belongs to a runtime"
)]
type Clock = std::time::Instant;

/// When to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchSettings {
    /// Longest time between two looks.
    pub poll: Duration,
    /// A folder that is not all there is waited for until it has not changed for so long.
    pub stable_after: Duration,
}

/// A watch that is running. When it is dropped it ends, and its thread has ended then.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is told.
#[derive(Debug)]
struct Shared {
    asked: AtomicBool,
    ended: AtomicBool,
    /// Has room for one: who finds it full knows that the thread is about to look.
    wake: SyncSender<()>,
}

/// Watches the registry at `root` on a thread of its own. `on_list` is called there: first with what there is, then
/// whenever that has changed. It must not wait for whoever drops the watch.
///
/// # Errors
/// The system gives no thread.
pub fn watch(
    root: PathBuf,
    settings: WatchSettings,
    on_list: impl FnMut(Listing) + Send + 'static,
) -> io::Result<Watch> {
    let (wake, inbox) = mpsc::sync_channel(1);
    let shared = Arc::new(Shared {
        asked: AtomicBool::new(false),
        ended: AtomicBool::new(false),
        wake,
    });
    let (theirs, mut on_list) = (Arc::clone(&shared), on_list);
    let thread = Builder::new().name("taper-watch".into()).spawn(move || {
        // Looking reads folders, and nobody waits for it by the millisecond.
        set_idle_priority();
        run(&root, settings, &theirs, &inbox, &mut on_list);
    })?;
    Ok(Watch {
        shared,
        thread: Some(thread),
    })
}

impl Watch {
    /// Looks at once, and hands the list over even if nothing has changed.
    pub fn look_now(&self) {
        self.shared.asked.store(true, Ordering::SeqCst);
        self.shared.wake();
    }

    /// Ends the watch, as dropping it does.
    pub fn stop(self) {}
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.wake();
        // A panic in it was told on its own thread.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn wake(&self) {
        let _ = self.wake.try_send(());
    }

    /// Whether somebody wants more than a look in a while.
    fn is_urgent(&self) -> bool {
        self.asked.load(Ordering::SeqCst) || self.ended.load(Ordering::SeqCst)
    }
}

fn run(
    root: &Path,
    settings: WatchSettings,
    shared: &Shared,
    inbox: &Receiver<()>,
    on_list: &mut dyn FnMut(Listing),
) {
    // Before the first look, so that nothing can change unseen between the two.
    let _events = events(root, &shared.wake)
        .inspect_err(|error| tracing::warn!(%error, poll = ?settings.poll, "no events of the registry: only the poll sees changes"));
    let first = Clock::now();
    let mut memory = Memory::default();
    let (mut handed, mut owed, mut trouble) = (None, false, None);
    while !shared.ended.load(Ordering::SeqCst) {
        owed |= shared.asked.swap(false, Ordering::SeqCst);
        let begin = Clock::now();
        match scan(root) {
            Ok(scan) => {
                trouble = None;
                let listing = memory.list(scan, first.elapsed(), settings.stable_after);
                if owed || handed.as_ref() != Some(&listing) {
                    on_list(listing.clone());
                    (handed, owed) = (Some(listing), false);
                }
            }
            Err(faults) => {
                let why = faults.to_string();
                if trouble.as_ref() != Some(&why) {
                    tracing::error!(%faults, "the registry cannot be read: what is known of it stays");
                    trouble = Some(why);
                }
            }
        }
        let quiet = quiet(begin.elapsed());
        let waits = handed.as_ref().is_some_and(Listing::waits);
        pause(shared, inbox, settings.next_look(waits), quiet);
    }
}

impl WatchSettings {
    /// Time to the next look if no event comes; `waits`: a folder may become stable before the next poll.
    fn next_look(self, waits: bool) -> Duration {
        let longest = if waits {
            self.poll.min(self.stable_after)
        } else {
            self.poll
        };
        longest.max(QUIET)
    }
}

/// How long to wait after an event. Looking never takes more than a tenth of the time, however much is being written.
fn quiet(took: Duration) -> Duration {
    QUIET.max(took * 9)
}

/// Waits for `longest`, or until `quiet` after an event, or until somebody asks.
fn pause(shared: &Shared, inbox: &Receiver<()>, longest: Duration, quiet: Duration) {
    let begin = Clock::now();
    let mut until = longest;
    while !shared.is_urgent() {
        let left = until.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return;
        }
        match inbox.recv_timeout(left) {
            Ok(()) => until = until.min(begin.elapsed() + quiet),
            Err(_) => return,
        }
    }
}

/// Wakes the thread at every change below `root`, for as long as what is returned lives.
fn events(root: &Path, wake: &SyncSender<()>) -> notify::Result<RecommendedWatcher> {
    let wake = wake.clone();
    let handler = move |event: notify::Result<Event>| {
        if event.as_ref().map_or(true, matters) {
            let _ = wake.try_send(());
        }
    };
    // A link may lead to the whole disk. What changes behind one is the poll's business.
    let config = notify::Config::default().with_follow_symlinks(false);
    let mut watcher = RecommendedWatcher::new(handler, config)?;
    // The root itself may be a link.
    let real = fs::canonicalize(root).map_err(notify::Error::io)?;
    watcher.watch(&real, RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// Reading changes nothing, and loading reads. What is written into a staging folder counts when the folder is renamed.
fn matters(event: &Event) -> bool {
    let written = AccessKind::Close(AccessMode::Write);
    let staged = |name: &OsStr| name.to_string_lossy().starts_with(STAGING);
    let is_staged = |path: &PathBuf| path.iter().any(staged);
    let only_read = matches!(event.kind, EventKind::Access(how) if how != written);
    let unseen = !event.paths.is_empty() && event.paths.iter().all(is_staged);
    !only_read && !unseen
}
