//! The log on stderr. No thread of the gateway waits for its reader.
//!
//! A line goes into a bounded queue, and a thread of its own writes it. If the reader of stderr stalls, lines are dropped and
//! counted, and everything else goes on. Warnings and errors of one place in the code are limited: a flood of them would hide
//! everything else. The queue belongs to the process, as stderr does.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;
use tracing::callsite::Identifier;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::error::panic_text;
use crate::sync::lock;

/// The most lines that wait to be written.
const QUEUE: usize = 1024;
/// The most warnings or errors of one place in the code within [`PERIOD`].
const BURST: u32 = 20;
/// See [`BURST`].
const PERIOD: Duration = Duration::from_secs(10);
/// Wait before the end of the process looks at a full queue again.
const PAUSE: Duration = Duration::from_millis(10);
/// How long the end of the process waits for lines in the queue.
const LAST_LINES: Duration = Duration::from_secs(1);

static DROPPED: AtomicU64 = AtomicU64::new(0);
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

/// Lines of the log that were not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwritten {
    /// Lines that were dropped because stderr was not read.
    pub dropped: u64,
    /// Repeated warnings and errors that were left out.
    pub left_out: u64,
}

/// Returns how many lines of the log were not written since the process started.
#[must_use]
pub fn unwritten() -> Unwritten {
    Unwritten {
        dropped: DROPPED.load(Ordering::Relaxed),
        left_out: LEFT_OUT.load(Ordering::Relaxed),
    }
}

/// Logs everything that `filter` admits to stderr from now on, panics too. Call it once. Dropping the result writes the lines that
/// wait, for at most a second.
///
/// # Errors
/// Returns an error if the thread cannot be started.
pub fn log_to_stderr(filter: EnvFilter) -> io::Result<LastLines> {
    let (sender, lines) = mpsc::sync_channel(QUEUE);
    let limiter = Arc::new(Limiter::default());
    let (ended, end) = mpsc::sync_channel(0);
    let (limits, known_drops) = (Arc::clone(&limiter), DROPPED.load(Ordering::Relaxed));
    thread::Builder::new()
        .name("taper-log".into())
        .spawn(move || {
            write_lines(&lines, &limits, known_drops, &mut io::stderr());
            drop(ended);
        })?;
    let queue = Queue {
        sender: sender.clone(),
        limiter,
    };
    tracing_subscriber::fmt()
        .with_env_filter(without_answers_to_pings(filter))
        .with_writer(queue)
        .with_ansi(io::stderr().is_terminal())
        .init();
    let panics = sender.clone();
    panic::set_hook(Box::new(move |panic| {
        send(&panics, describe_panic(panic).into_bytes());
    }));
    Ok(LastLines { sender, end })
}

/// Returns `filter` without h2's warning that a client acknowledged a [PING](super::ping) that h2 did not send, unless it names h2.
fn without_answers_to_pings(filter: EnvFilter) -> EnvFilter {
    if filter.to_string().contains("h2") {
        return filter;
    }
    match "h2::proto::ping_pong=error".parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    }
}

/// Puts a line into the queue, or counts it as dropped.
fn send(queue: &SyncSender<Message>, line: Vec<u8>) {
    if queue.try_send(Message::Line(line)).is_err() {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

/// Returns the line of a panic. No filter and no limit leaves it out. The standard hook would write it at once, and wait for the reader
/// of stderr.
fn describe_panic(panic: &PanicHookInfo<'_>) -> String {
    let thread = thread::current();
    let name = thread.name().unwrap_or("unnamed");
    let mut time = String::new();
    // A text takes everything.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    let place = panic.location().map(ToString::to_string);
    let mut line = format!(
        "{time} ERROR panic in thread {name} at {}: {}\n",
        place.as_deref().unwrap_or("an unknown place"),
        panic_text(panic.payload())
    );
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        line.push_str(&format!("{backtrace}\n"));
    }
    line
}

/// Writes the lines that wait when it is dropped.
#[derive(Debug)]
pub struct LastLines {
    sender: SyncSender<Message>,
    end: Receiver<()>,
}

impl Drop for LastLines {
    fn drop(&mut self) {
        let begin = Instant::now();
        while let Err(TrySendError::Full(_)) = self.sender.try_send(Message::End) {
            if begin.elapsed() >= LAST_LINES {
                return;
            }
            let _ = self.end.recv_timeout(PAUSE);
        }
        let _ = self
            .end
            .recv_timeout(LAST_LINES.saturating_sub(begin.elapsed()));
    }
}

enum Message {
    Line(Vec<u8>),
    End,
}

/// Writes lines until the end, and says what was not written since `known_drops` lines had been dropped.
fn write_lines(
    lines: &Receiver<Message>,
    limiter: &Limiter,
    mut known_drops: u64,
    to: &mut dyn Write,
) {
    loop {
        let received = lines.recv_timeout(PERIOD);
        let is_last = matches!(
            received,
            Ok(Message::End) | Err(RecvTimeoutError::Disconnected)
        );
        // A failure to write is ignored: there is nowhere left to report it.
        if let Ok(Message::Line(line)) = received {
            drop(to.write_all(&line));
        }
        let drops = DROPPED.load(Ordering::Relaxed);
        if drops > known_drops {
            let count = drops - known_drops;
            known_drops = drops;
            drop(writeln!(
                to,
                "{count} lines of the log were dropped: stderr was not read"
            ));
        }
        let now = Instant::now();
        // At the end, no period goes on.
        let ended = if is_last { now + PERIOD } else { now };
        for note in limiter.ended(ended) {
            drop(to.write_all(note.as_bytes()));
        }
        if is_last {
            return;
        }
    }
}

/// Where the subscriber writes: each event is one line of the queue.
#[derive(Debug)]
struct Queue {
    sender: SyncSender<Message>,
    limiter: Arc<Limiter>,
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { queue: Some(self) }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Line<'a> {
        let limited = *event.level() <= Level::WARN;
        let admitted = !limited || self.limiter.admits(event, Instant::now());
        Line {
            queue: admitted.then_some(self),
        }
    }
}

/// Takes one line; `queue` is `None` if it is left out.
#[derive(Debug)]
struct Line<'a> {
    queue: Option<&'a Queue>,
}

impl Write for Line<'_> {
    /// Takes a whole line: the subscriber formats an event before it writes it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(queue) = self.queue {
            send(&queue.sender, line.to_vec());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Limits the lines of each place in the code.
#[derive(Debug, Default)]
struct Limiter {
    places: Mutex<HashMap<Identifier, Window>>,
}

/// What one place has logged since a moment.
#[derive(Debug)]
struct Window {
    began: Instant,
    admitted: u32,
    left_out: u64,
    /// File and line.
    place: String,
}

impl Limiter {
    /// Returns whether a line of `event` is written, and counts it.
    fn admits(&self, event: &Metadata<'_>, now: Instant) -> bool {
        let mut places = lock(&self.places);
        let window = places.entry(event.callsite()).or_insert_with(|| Window {
            began: now,
            admitted: 0,
            left_out: 0,
            place: format!(
                "{}:{}",
                event.file().unwrap_or(event.target()),
                event.line().unwrap_or_default()
            ),
        });
        if now.duration_since(window.began) >= PERIOD && window.left_out == 0 {
            window.began = now;
            window.admitted = 0;
        }
        if window.admitted < BURST {
            window.admitted += 1;
            return true;
        }
        window.left_out += 1;
        LEFT_OUT.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// Returns a line for each place whose period has ended and of which lines were left out, and begins a new period for it.
    fn ended(&self, now: Instant) -> Vec<String> {
        let mut places = lock(&self.places);
        let ended = places
            .values_mut()
            .filter(|window| window.left_out > 0 && now.duration_since(window.began) >= PERIOD);
        let notes = ended.map(|window| {
            let note = format!(
                "{} more lines of {} were left out\n",
                window.left_out, window.place
            );
            window.began = now;
            (window.admitted, window.left_out) = (0, 0);
            note
        });
        notes.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_writer_that_stalls_drops_lines_and_says_how_many() {
        /// Waits for a word before each line.
        struct Stalled(Receiver<()>, Arc<Mutex<Vec<u8>>>);
        impl Write for Stalled {
            fn write(&mut self, line: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                lock(&self.1).extend(line);
                Ok(line.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (sender, lines) = mpsc::sync_channel(2);
        let (go, wait) = channel();
        let limiter = Arc::new(Limiter::default());
        let written = Arc::new(Mutex::new(Vec::new()));
        let before = unwritten().dropped;
        let writer = {
            let (limiter, mut to) = (Arc::clone(&limiter), Stalled(wait, Arc::clone(&written)));
            thread::spawn(move || write_lines(&lines, &limiter, before, &mut to))
        };
        let queue = Queue { sender, limiter };
        // At most three: two that wait and one that is being written.
        for _ in 0..10 {
            queue.make_writer().write_all(b"line\n").unwrap();
        }
        let dropped = unwritten().dropped - before;
        assert!((7..=8).contains(&dropped), "{dropped}");
        drop(go);
        drop(queue);
        writer.join().unwrap();
        let text = String::from_utf8(lock(&written).clone()).unwrap();
        let note = format!("{dropped} lines of the log were dropped: stderr was not read\n");
        assert!(text.contains(&note), "{text}");
    }

    #[test]
    fn a_flood_of_one_place_is_limited_and_others_are_not() {
        let subscriber = tracing_subscriber::fmt().with_writer(io::sink).finish();
        tracing::subscriber::with_default(subscriber, || {
            let limiter = Limiter::default();
            let begin = Instant::now();
            let one = tracing::warn_span!("one").metadata().unwrap();
            let two = tracing::warn_span!("two").metadata().unwrap();
            let admitted = (0..100).filter(|_| limiter.admits(one, begin)).count();
            assert_eq!(admitted, BURST as usize);
            assert!(limiter.admits(two, begin));
            assert!(limiter.ended(begin).is_empty(), "the period has not ended");
            let notes = limiter.ended(begin + PERIOD);
            assert!(
                notes.len() == 1 && notes[0].starts_with("80 more lines of src/app/log.rs:"),
                "{notes:?}"
            );
            assert!(limiter.admits(one, begin + PERIOD));
        });
    }
}
