//! The state that the task of a connection shares with the [table](super::connection_table) of its port: whether requests are open, and
//! whether the connection must close.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
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

/// The state of one connection.
#[derive(Debug, Default)]
pub(super) struct ConnectionState {
    open_requests: AtomicUsize,
    /// Whether a request has ended since [`ConnectionState::observe`].
    was_used: AtomicBool,
    /// A [`Close`].
    close: AtomicU8,
    /// Wakes the task that serves the connection.
    task: AtomicWaker,
}

/// How a connection was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    /// A request is open.
    Busy,
    /// No request is open, but one has ended since the last observation.
    Used,
    /// There was no request since the last observation.
    Unused,
}

impl ConnectionState {
    /// Counts a request as open until the returned value is dropped.
    pub(super) fn begin_request(self: &Arc<Self>) -> OpenRequest {
        self.open_requests.fetch_add(1, Ordering::Relaxed);
        OpenRequest(Arc::clone(self))
    }

    /// Returns whether a request is open.
    pub(super) fn is_busy(&self) -> bool {
        self.open_requests.load(Ordering::Acquire) > 0
    }

    /// Returns how the connection was used since the last call.
    pub(super) fn observe(&self) -> Usage {
        if self.is_busy() {
            Usage::Busy
        } else if self.was_used.swap(false, Ordering::Relaxed) {
            Usage::Used
        } else {
            Usage::Unused
        }
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
pub(super) struct OpenRequest(Arc<ConnectionState>);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        // No clock is read here: the table notices the use at its next observation, which is exact enough for idle time.
        self.0.was_used.store(true, Ordering::Relaxed);
        self.0.open_requests.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_observed_while_it_is_open_and_once_after_its_end() {
        let state = Arc::new(ConnectionState::default());
        assert_eq!(state.observe(), Usage::Unused);
        let (first, second) = (state.begin_request(), state.begin_request());
        drop(first);
        assert_eq!(state.observe(), Usage::Busy);
        drop(second);
        assert_eq!(state.observe(), Usage::Used);
        assert_eq!(state.observe(), Usage::Unused);
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
