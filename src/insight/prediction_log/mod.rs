//! The prediction log: a sample of the requests as JSON lines, for whoever trains the next version. Off unless configured.
//!
//! The request path decides by one comparison whether a request is sampled, and hands a copy to a bounded channel; where that
//! is full, the line is dropped and counted. One thread writes them (`line.rs` says what stands in a line) and begins a new file when the
//! old one is too large, too old or gone (`file.rs`). Another one, of the lowest priority, compresses the old files and removes
//! the oldest (`full.rs`), so that lines are written meanwhile.
//!
//! What always holds: no request waits for the log; values of inputs that the manifest marks sensitive, and of names that the
//! signature does not have, are never written; of those marked `hash` keyed hashes are, where there is a key (`key.rs`); a crash leaves whole lines, but for the last.
//! Not here: requests that were refused before a version was chosen, since nobody can say then which inputs are sensitive, and those whose caller
//! went away before the answer.

mod file;
mod full;
mod key;
mod line;
mod value;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::error::Code;
use crate::ident::{ResponseId, Role};
use crate::insight::metrics::LogMeters;
use crate::model::Scores;
use crate::model::payload::Payload;
use crate::priority::set_idle_priority;
use file::Rotating;
use full::FullFiles;

pub use key::HashKey;
pub use line::Subject;

/// Where the log is, and how much of it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSettings {
    /// The file that is written. Full ones stand beside it: `NAME.000001.gz`, the highest number is the newest.
    pub path: PathBuf,
    /// Share of the requests that are logged, 0 to 1.
    pub sample: f64,
    /// Bytes after which a new file begins.
    pub max_bytes: u64,
    /// Age at which a new file begins.
    pub max_age: Duration,
    /// Full files that are kept.
    pub keep: usize,
    /// With which inputs that are marked `hash` are hashed; `None`: they are left out.
    pub key: Option<HashKey>,
}

impl LogSettings {
    /// Whether the log can be where it is wanted. Touches nothing.
    ///
    /// # Errors
    /// Why it cannot: the folder is missing, or something else is there, which a log would destroy.
    pub fn check(&self) -> Result<(), String> {
        file::check(&self.path)
    }
}

/// Lines that wait to be written at most, ...
const LINES: usize = 1024;
/// ... and their bytes in memory, about.
const BYTES: usize = 32 << 20;
/// Bytes that are written at once.
const AT_ONCE: usize = 64 << 10;
/// How often it is looked whether the file is too old, or gone.
const LOOK: Duration = Duration::from_secs(1);

/// One request, as it will stand in the log.
#[derive(Debug)]
pub struct Entry {
    /// Who answered.
    pub subject: Arc<Subject>,
    /// In which role.
    pub role: Role,
    /// Names the response.
    pub request_id: ResponseId,
    /// What was asked.
    pub inputs: Payload,
    /// What was answered; `None` where nothing was.
    pub outputs: Option<Scores>,
    /// How it ended.
    pub code: Code,
    /// From the decoded request to the answer.
    pub latency: Duration,
}

enum Message {
    Line(Box<Entry>, SystemTime, usize),
    End,
}

/// What waits to be written.
#[derive(Debug, Default)]
struct Waiting {
    lines: AtomicUsize,
    bytes: AtomicUsize,
}

impl Waiting {
    fn add(&self, bytes: usize) -> usize {
        self.lines.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    fn take(&self, bytes: usize) {
        self.lines.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether there is room for a line of a few bytes.
    fn has_room(&self) -> bool {
        self.lines.load(Ordering::Relaxed) < LINES && self.bytes.load(Ordering::Relaxed) < BYTES
    }
}

/// Where the request path leaves its lines.
#[derive(Debug)]
pub struct PredictionLog {
    lines: SyncSender<Message>,
    waiting: Arc<Waiting>,
    /// Of 2^32 random numbers, those below are sampled.
    below: u64,
    meters: LogMeters,
}

/// The threads that write and compress.
#[derive(Debug)]
pub struct LogThread {
    lines: SyncSender<Message>,
    writer: thread::JoinHandle<()>,
    packer: thread::JoinHandle<()>,
    /// Tells the packer that there is no time to finish.
    ends: Arc<AtomicBool>,
}

impl PredictionLog {
    /// Opens the log and starts its threads.
    ///
    /// # Errors
    /// The file cannot be written, is no prediction log or another gateway's, or no thread can be started.
    pub fn start(settings: LogSettings, meters: LogMeters) -> io::Result<(Self, LogThread)> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of 2^32"
        )]
        let below = (settings.sample.clamp(0.0, 1.0) * (1_u64 << 32) as f64) as u64;
        let key = settings.key.clone();
        let file = Rotating::open(settings)?;
        let (lines, inbox) = sync_channel(LINES);
        let waiting = Arc::new(Waiting::default());
        let (wake, woken) = sync_channel(1);
        let full = file.full().clone();
        let writer = Writer {
            inbox,
            file,
            key,
            waiting: Arc::clone(&waiting),
            meters: meters.clone(),
            wake,
        };
        let ends = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ends);
        let packer = thread::Builder::new()
            .name("prediction-pack".into())
            .spawn(move || pack(&full, &woken, &end))?;
        let writer = thread::Builder::new()
            .name("prediction-log".into())
            .spawn(move || writer.run())?;
        let log = Self {
            lines: lines.clone(),
            waiting,
            below,
            meters,
        };
        let thread = LogThread {
            lines,
            writer,
            packer,
            ends,
        };
        Ok((log, thread))
    }

    /// Whether a request that drew `random` is logged.
    #[inline]
    #[must_use]
    pub fn samples(&self, random: u32) -> bool {
        u64::from(random) < self.below
    }

    /// Whether a line may be left now; one that may not is counted as dropped. To be asked before a request is copied.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let has_room = self.waiting.has_room();
        if !has_room {
            self.meters.dropped(1);
        }
        has_room
    }

    /// Leaves a line to be written; never waits.
    pub fn leave(&self, entry: Entry) {
        let bytes = line::weight(&entry);
        let all = self.waiting.add(bytes);
        let message = Message::Line(Box::new(entry), SystemTime::now(), bytes);
        if all > BYTES || self.lines.try_send(message).is_err() {
            self.waiting.take(bytes);
            self.meters.dropped(1);
        }
    }
}

impl LogThread {
    /// Waits until everything that was left is written, and ends the threads; what is not compressed by then, the next start
    /// compresses. Blocks.
    pub fn finish(self) {
        self.ends.store(true, Ordering::Relaxed);
        // An error means that the thread has ended already.
        let _ = self.lines.send(Message::End);
        let _ = self.writer.join();
        let _ = self.packer.join();
    }
}

/// Compresses what the last run left and then what is put aside, until nobody puts anything aside any more.
fn pack(full: &FullFiles, woken: &Receiver<()>, ends: &AtomicBool) {
    set_idle_priority();
    loop {
        // The lines are safe in their files; the next time tries again.
        if let Err(error) = full.tidy(ends) {
            tracing::warn!(%error, "a full file of the prediction log cannot be compressed, or an old one removed");
        }
        if woken.recv().is_err() {
            return;
        }
    }
}

struct Writer {
    inbox: Receiver<Message>,
    file: Rotating,
    key: Option<HashKey>,
    waiting: Arc<Waiting>,
    meters: LogMeters,
    /// Wakes the packer.
    wake: SyncSender<()>,
}

impl Writer {
    fn run(mut self) {
        let (mut text, mut lines, mut ended) = (Vec::new(), 0, false);
        while !ended {
            match self.inbox.recv_timeout(LOOK) {
                Ok(message) => ended = self.take(message, &mut text, &mut lines),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => ended = true,
            }
            while !ended && text.len() < AT_ONCE {
                let Ok(message) = self.inbox.try_recv() else {
                    break;
                };
                ended = self.take(message, &mut text, &mut lines);
            }
            self.write(&mut text, &mut lines);
        }
    }

    /// Adds a line; whether it was the end.
    fn take(&self, message: Message, text: &mut Vec<u8>, lines: &mut u64) -> bool {
        let Message::Line(entry, at, bytes) = message else {
            return true;
        };
        self.waiting.take(bytes);
        line::write(&entry, at, self.key.as_ref(), text);
        *lines += 1;
        false
    }

    /// Writes whole lines. A disk that refuses costs these lines, is told once, and is tried again with the next.
    fn write(&mut self, text: &mut Vec<u8>, lines: &mut u64) {
        let was_well = self.file.is_well();
        match self.file.write(text) {
            Ok(()) => self.meters.written(*lines),
            Err(error) => {
                self.meters.dropped(*lines);
                if was_well {
                    tracing::warn!(%error, "the prediction log cannot be written: its lines are dropped until it can");
                }
            }
        }
        if self.file.has_put_aside() {
            // Where it cannot be sent, the packer has not even begun with the last one, and will find both.
            let _ = self.wake.try_send(());
        }
        text.clear();
        *lines = 0;
    }
}

#[cfg(test)]
mod tests;
