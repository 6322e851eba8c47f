//! The state that the task of a connection shares with the [table](super::connection_table) of its port: whether requests are open, what of
//! their answers is not sent, and whether the connection must close.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::Context;

use futures_util::task::AtomicWaker;

/// How a connection must close. Each way is stronger than the ones before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Close {
    /// It stays open.
    #[default]
    Not = 0,
    /// It takes no new requests and closes after the last response.
    Gracefully = 1,
    /// It closes at once if no request is open, and gracefully otherwise.
    IfIdle = 2,
    /// It closes at once.
    Now = 3,
}

/// How many parts of answers may be unsent on all connections of a port before connections above their share wait, and how many bytes.
const SHARED: Amount = Amount {
    parts: 8192,
    bytes: 16 << 20,
};
/// The smallest and the largest share of a connection.
const SHARES: (Amount, Amount) = (
    Amount {
        parts: 8,
        bytes: 16 << 10,
    },
    Amount {
        parts: 128,
        bytes: 256 << 10,
    },
);

/// The most calls of a connection that are answered before other tasks of its thread have run. More that have arrived begin, too, each with
/// a task of its own, and nothing more is read.
const CALLS_PER_POLL: usize = 32;

/// Parts of answers that are not sent.
#[derive(Clone, Copy, Debug)]
struct Amount {
    parts: u64,
    bytes: u64,
}

impl Amount {
    /// The bytes are in the lowest bits of a word that counts both.
    const BYTE_BITS: u32 = 40;

    fn of(word: u64) -> Self {
        Self {
            parts: word >> Self::BYTE_BITS,
            bytes: word & ((1 << Self::BYTE_BITS) - 1),
        }
    }

    /// Returns the word of one part.
    fn word(bytes: usize) -> u64 {
        1 << Self::BYTE_BITS | bytes as u64
    }

    /// Returns whether it is more than the share of one of `connections`.
    fn is_above_share(self, connections: usize) -> bool {
        let (least, most) = SHARES;
        let is_above = |held: u64, least: u64, most: u64, shared: u64| {
            held > least && (held > most || held.saturating_mul(connections as u64) > shared)
        };
        is_above(self.parts, least.parts, most.parts, SHARED.parts)
            || is_above(self.bytes, least.bytes, most.bytes, SHARED.bytes)
    }
}

/// The state of one connection.
#[derive(Debug, Default)]
pub(super) struct ConnectionState {
    /// The number of open connections of its port.
    connections: Arc<AtomicUsize>,
    /// Parts of answers that the transport holds, and their bytes, as one word of [`Amount`].
    unsent: AtomicU64,
    open_requests: AtomicUsize,
    /// Requests among them whose answer has begun.
    answers: AtomicUsize,
    /// Whether a request has ended since [`ConnectionState::observe`].
    was_used: AtomicBool,
    /// Whether the answer of a request has begun.
    was_answered: AtomicBool,
    /// Whether the client takes nothing of what there is to write.
    is_blocked: AtomicBool,
    /// Calls that the task has begun since [`ConnectionState::begin_poll`]. Only the task itself counts them.
    begun_calls: AtomicUsize,
    /// Whether something waits to be written until the task is polled again.
    is_corked: AtomicBool,
    /// Whether bytes have arrived since [`ConnectionState::was_heard`].
    was_heard: AtomicBool,
    /// Whether the client must be sent a PING.
    must_ping: AtomicBool,
    /// A [`Close`].
    close: AtomicU8,
    /// Wakes the task that serves the connection.
    task: AtomicWaker,
}

/// How a connection was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    /// A request is open, and the answer of one has begun.
    Busy,
    /// Requests are open, and no answer has begun: their messages may be incomplete. Whether one has ended since the last observation.
    Waiting { has_answered: bool },
    /// No request is open, but one has ended since the last observation.
    Used,
    /// There was no request since the last observation.
    Unused,
}

impl ConnectionState {
    /// Creates the state of a connection of a port that has `connections`.
    pub(super) fn new(connections: Arc<AtomicUsize>) -> Self {
        Self {
            connections,
            ..Self::default()
        }
    }

    /// Returns the number of open connections of its port.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Counts a request as open until the returned value is dropped.
    pub(super) fn begin_request(self: &Arc<Self>) -> OpenRequest {
        self.open_requests.fetch_add(1, Ordering::Relaxed);
        OpenRequest {
            state: Arc::clone(self),
            has_answer: false,
        }
    }

    /// Returns whether a request is open.
    pub(super) fn is_busy(&self) -> bool {
        self.open_requests.load(Ordering::Acquire) > 0
    }

    /// Returns how the connection was used since the last call.
    pub(super) fn observe(&self) -> Usage {
        if self.answers.load(Ordering::Relaxed) > 0 {
            return Usage::Busy;
        }
        let was_used = self.was_used.swap(false, Ordering::Relaxed);
        if self.is_busy() {
            Usage::Waiting {
                has_answered: was_used,
            }
        } else if was_used {
            Usage::Used
        } else {
            Usage::Unused
        }
    }

    /// Returns whether the answer of a request has ever begun.
    pub(super) fn was_answered(&self) -> bool {
        self.was_answered.load(Ordering::Relaxed)
    }

    /// Records whether the client takes nothing of what there is to write.
    pub(super) fn set_blocked(&self, is_blocked: bool) {
        self.is_blocked.store(is_blocked, Ordering::Relaxed);
    }

    /// Returns whether answers that are not written wait for the client.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked.load(Ordering::Relaxed)
    }

    /// Records that the task is polled.
    pub(super) fn begin_poll(&self) {
        self.begun_calls.store(0, Ordering::Relaxed);
        self.is_corked.store(false, Ordering::Relaxed);
    }

    /// Records that the task begins a call. Returns whether it may answer it before other tasks have run.
    pub(super) fn begin_call(&self) -> bool {
        let begun = self.begun_calls.load(Ordering::Relaxed) + 1;
        self.begun_calls.store(begun, Ordering::Relaxed);
        begun <= CALLS_PER_POLL
    }

    /// Returns whether the task has begun as many calls as it may before other tasks have run.
    pub(super) fn has_begun_enough(&self) -> bool {
        self.begun_calls.load(Ordering::Relaxed) >= CALLS_PER_POLL
    }

    /// Returns whether what there is to write must wait until the task is polled again, so that the answers of all calls that it begins now
    /// leave in one system call.
    pub(super) fn cork(&self) -> bool {
        let must_wait = self.begun_calls.load(Ordering::Relaxed) > 0;
        if must_wait {
            self.is_corked.store(true, Ordering::Relaxed);
        }
        must_wait
    }

    /// Returns whether something waits to be written until the task is polled again.
    pub(super) fn is_corked(&self) -> bool {
        self.is_corked.load(Ordering::Relaxed)
    }

    /// Records that bytes have arrived.
    pub(super) fn hear(&self) {
        self.was_heard.store(true, Ordering::Relaxed);
    }

    /// Returns whether bytes have arrived since the last call.
    pub(super) fn was_heard(&self) -> bool {
        self.was_heard.swap(false, Ordering::Relaxed)
    }

    /// Makes the connection send a PING.
    pub(super) fn order_ping(&self) {
        self.must_ping.store(true, Ordering::Release);
        self.task.wake();
    }

    /// Returns whether a PING must be sent, and takes it as sent.
    pub(super) fn take_ping(&self) -> bool {
        self.must_ping.load(Ordering::Acquire) && self.must_ping.swap(false, Ordering::Relaxed)
    }

    /// Makes the connection close. A weaker way than an earlier one has no effect.
    pub(super) fn close(&self, close: Close) {
        self.close.fetch_max(close as u8, Ordering::Release);
        self.task.wake();
    }

    /// Returns how the connection must close, and wakes the task of `cx` when that changes.
    pub(super) fn poll_close(&self, cx: &Context<'_>) -> Close {
        // Registered before the check, so that no call in between is missed.
        self.task.register(cx.waker());
        match self.close.load(Ordering::Acquire) {
            0 => Close::Not,
            1 => Close::Gracefully,
            2 => Close::IfIdle,
            _ => Close::Now,
        }
    }
}

/// An open request of a connection.
#[derive(Debug)]
pub(super) struct OpenRequest {
    state: Arc<ConnectionState>,
    has_answer: bool,
}

impl OpenRequest {
    /// Marks its answer as begun.
    pub(super) fn begin_answer(&mut self) {
        self.has_answer = true;
        self.state.was_answered.store(true, Ordering::Relaxed);
        self.state.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts `bytes` of its answer as unsent until the returned value is dropped.
    pub(super) fn part(&self, bytes: usize) -> UnsentPart {
        let state = Arc::clone(&self.state);
        let word = Amount::word(bytes);
        let unsent = state.unsent.fetch_add(word, Ordering::Relaxed) + word;
        let connections = state.connections.load(Ordering::Relaxed);
        UnsentPart {
            is_above_share: Amount::of(unsent).is_above_share(connections),
            state,
            word,
        }
    }
}

/// A part of an answer that the transport has not sent.
#[derive(Debug)]
pub(super) struct UnsentPart {
    state: Arc<ConnectionState>,
    word: u64,
    is_above_share: bool,
}

impl UnsentPart {
    /// Returns whether the connection had more than its share of unsent parts or bytes with this part.
    pub(super) fn is_above_share(&self) -> bool {
        self.is_above_share
    }
}

impl Drop for UnsentPart {
    fn drop(&mut self) {
        self.state.unsent.fetch_sub(self.word, Ordering::Relaxed);
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        // No clock is read here: the table notices the use at its next observation, which is exact enough for idle time.
        self.state.was_used.store(true, Ordering::Relaxed);
        if self.has_answer {
            self.state.answers.fetch_sub(1, Ordering::Relaxed);
        }
        self.state.open_requests.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_observed_while_it_is_open_and_once_after_its_end() {
        let state = Arc::new(ConnectionState::default());
        assert_eq!(state.observe(), Usage::Unused);
        let (mut first, second) = (state.begin_request(), state.begin_request());
        let waiting = |has_answered| Usage::Waiting { has_answered };
        assert_eq!(state.observe(), waiting(false));
        first.begin_answer();
        assert_eq!(state.observe(), Usage::Busy);
        drop(first);
        assert_eq!(state.observe(), waiting(true));
        assert_eq!(state.observe(), waiting(false));
        drop(second);
        assert_eq!(state.observe(), Usage::Used);
        assert_eq!(state.observe(), Usage::Unused);
    }

    #[test]
    fn unsent_parts_are_above_the_share_of_a_connection_until_they_are_sent() {
        for (connections, bytes, share) in
            [(1, 10, 128), (1024, 10, 8), (1, 4000, 65), (1024, 4000, 4)]
        {
            let open = Arc::new(AtomicUsize::new(connections));
            let state = Arc::new(ConnectionState::new(open));
            let request = state.begin_request();
            let parts: Vec<_> = (0..=share).map(|_| request.part(bytes)).collect();
            let above = parts.iter().filter(|part| part.is_above_share()).count();
            assert_eq!(above, 1, "{connections} connections, {bytes} bytes");
            assert!(parts.last().unwrap().is_above_share());
            drop(parts);
            assert_eq!(state.unsent.load(Ordering::Relaxed), 0);
            assert!(!request.part(bytes).is_above_share());
        }
    }

    #[test]
    fn writes_wait_from_the_first_call_of_a_poll_until_the_next_poll() {
        let state = ConnectionState::default();
        assert!(!state.cork() && !state.is_corked());
        let begun = (0..=CALLS_PER_POLL).map(|_| state.begin_call());
        let may_begin_more = begun.filter(|may| *may).count();
        assert_eq!(may_begin_more, CALLS_PER_POLL);
        assert!(state.has_begun_enough());
        assert!(!state.is_corked(), "nothing is to be written");
        assert!(state.cork() && state.is_corked());
        state.begin_poll();
        assert!(!state.cork() && !state.is_corked() && !state.has_begun_enough());
    }

    #[test]
    fn a_weaker_way_to_close_has_no_effect() {
        let state = ConnectionState::default();
        let cx = Context::from_waker(std::task::Waker::noop());
        assert_eq!(state.poll_close(&cx), Close::Not);
        for (close, want) in [
            (Close::IfIdle, Close::IfIdle),
            (Close::Gracefully, Close::IfIdle),
            (Close::Now, Close::Now),
        ] {
            state.close(close);
            assert_eq!(state.poll_close(&cx), want);
        }
    }
}
