//! The threads that write the log and compress its full files.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;

use super::full_files::FullFiles;
use super::key::HashKey;
use super::line;
use super::log_file::{CHECK_INTERVAL, LogFile};
use super::queue::{MAX_LINES, Message, PredictionLog, QueueSize};
use super::settings::LogSettings;
use crate::insight::metrics::LogMeters;
use crate::priority::set_idle_priority;

/// Lines are written in blocks of about this many bytes.
const BLOCK: usize = 64 << 10;

/// The threads that write and compress.
#[derive(Debug)]
pub struct LogThread {
    lines: SyncSender<Message>,
    writer: thread::JoinHandle<()>,
    compressor: thread::JoinHandle<()>,
    /// Set when the compressor must stop, even in the middle of a file.
    ending: Arc<AtomicBool>,
}

impl PredictionLog {
    /// Opens the log and starts its threads.
    ///
    /// # Errors
    /// Returns an error if the file is not a prediction log, cannot be written or is used by another gateway, or if a thread
    /// cannot be started.
    pub fn start(settings: LogSettings, meters: LogMeters) -> io::Result<(Self, LogThread)> {
        let below = threshold(settings.sample);
        let key = settings.key.clone();
        let file = LogFile::open(settings)?;
        let (lines, inbox) = sync_channel(MAX_LINES);
        let size = Arc::new(QueueSize::default());
        let (wake, woken) = sync_channel(1);
        let full = file.full().clone();
        let writer = Writer {
            inbox,
            file,
            key,
            size: Arc::clone(&size),
            meters: meters.clone(),
            wake,
        };
        let ending = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ending);
        let compressor = thread::Builder::new()
            .name("prediction-pack".into())
            .spawn(move || compress(&full, &woken, &end))?;
        let writer = thread::Builder::new()
            .name("prediction-log".into())
            .spawn(move || writer.run())?;
        let log = Self {
            lines: lines.clone(),
            size,
            below,
            meters,
        };
        let thread = LogThread {
            lines,
            writer,
            compressor,
            ending,
        };
        Ok((log, thread))
    }
}

impl LogThread {
    /// Waits until all queued lines are written, and ends the threads. The next start compresses the files that are not compressed
    /// by then. Blocks.
    pub fn finish(self) {
        self.ending.store(true, Ordering::Relaxed);
        // An error means that the thread has ended already.
        let _ = self.lines.send(Message::End);
        let _ = self.writer.join();
        let _ = self.compressor.join();
    }
}

/// Returns how many of 2^32 random numbers are sampled.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of 2^32"
)]
fn threshold(sample: f64) -> u64 {
    (sample.clamp(0.0, 1.0) * (1_u64 << 32) as f64) as u64
}

/// Compresses the files that the last run left, then each file that becomes full, until the writer ends.
fn compress(full: &FullFiles, woken: &Receiver<()>, ending: &AtomicBool) {
    set_idle_priority();
    loop {
        // The lines are safe in their files. The next call tries again.
        if let Err(error) = full.tidy(ending) {
            tracing::warn!(%error, "compressing or removing full files of the prediction log failed; it is retried with the next full file");
        }
        if woken.recv().is_err() {
            return;
        }
    }
}

/// The thread that writes.
struct Writer {
    inbox: Receiver<Message>,
    file: LogFile,
    key: Option<HashKey>,
    size: Arc<QueueSize>,
    meters: LogMeters,
    /// Wakes the compressor.
    wake: SyncSender<()>,
}

impl Writer {
    fn run(mut self) {
        let (mut text, mut lines, mut ended) = (Vec::new(), 0, false);
        while !ended {
            match self.inbox.recv_timeout(CHECK_INTERVAL) {
                Ok(message) => ended = self.append(message, &mut text, &mut lines),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => ended = true,
            }
            while !ended && text.len() < BLOCK {
                let Ok(message) = self.inbox.try_recv() else {
                    break;
                };
                ended = self.append(message, &mut text, &mut lines);
            }
            self.write(&mut text, &mut lines);
        }
    }

    /// Appends a line to `text`. Returns whether the message was the end.
    fn append(&self, message: Message, text: &mut Vec<u8>, lines: &mut u64) -> bool {
        let Message::Line(entry, at, bytes) = message else {
            return true;
        };
        self.size.remove(bytes);
        line::write(&entry, at, self.key.as_ref(), text);
        *lines += 1;
        false
    }

    /// Writes whole lines. If that fails, these lines are dropped. The first failure is logged, and the next lines are a new try.
    fn write(&mut self, text: &mut Vec<u8>, lines: &mut u64) {
        let was_well = self.file.is_well();
        match self.file.write(text) {
            Ok(()) => self.meters.written(*lines),
            Err(error) => {
                self.meters.dropped(*lines);
                if was_well {
                    tracing::warn!(%error, "writing the prediction log failed; lines are dropped until it succeeds again");
                }
            }
        }
        if self.file.take_rotated() {
            // The channel holds one message. If it is full, the compressor has yet to start a pass, which will find this file too.
            let _ = self.wake.try_send(());
        }
        text.clear();
        *lines = 0;
    }
}
