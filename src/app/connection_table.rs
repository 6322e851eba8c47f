//! The open connections of one port: their number is limited, and connections that are idle or old are closed.
//!
//! A connection is idle while none of its requests and streams is open, whatever else its client sends: a connection that sends only PINGs,
//! or the beginning of a header block, is as idle as a silent one. So every connection that makes no progress is closed in time, and the
//! number of connections does not have to be exhausted for it. If it is exhausted, a connection that has been idle for long makes room, or
//! else one that has waited for long without an answer that has begun, as those do whose clients do not complete their messages, or else
//! one that has just become idle; in each group first those that have never had an answer, then the one that is so longest. So probes and
//! new clients get through. While most connections have never had an answer, they are opened faster than it shows which of them
//! belong to clients; then those with answers stay, and new ones are refused.
//!
//! A client of gRPC that has been silent for a while is sent a [PING](super::ping), and its connection is closed if it does not answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::connection_state::{Close, ConnectionState, Usage};
use crate::insight::metrics::{CloseReason, Telemetry};
use crate::sync;

/// How long an idle client may take to acknowledge that its connection closes. After that, the connection is closed without it.
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the requests of a connection must have waited for an answer before it makes room, since most answers begin much sooner, and how
/// long a connection must have been idle to make room before those.
const LONG: Duration = Duration::from_secs(2);
/// How long the requests of a connection that made room may take at most.
const EVICTED_GRACE: Duration = Duration::from_secs(30);
/// How many connections that made room may be open at least: on a busy machine they end a little later.
const LEAST_EVICTED: usize = 64;
/// The shortest and the longest time between two checks of all connections.
const SWEEP_INTERVALS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Limits on the connections of each port.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimits {
    /// The most open connections.
    pub(super) max_connections: usize,
    /// How long a connection may be idle; `None`: without a limit.
    pub(super) max_idle: Option<Duration>,
    /// The age at which a connection takes no new requests any more; `None`: never.
    pub(super) max_age: Option<Duration>,
    /// How long requests that are open at that age may take to finish.
    pub(super) age_grace: Duration,
    /// How long clients may be silent; `None`: without a limit, as where they cannot be asked.
    pub(super) silence: Option<SilenceLimits>,
}

/// How long the client of a connection may be silent.
#[derive(Clone, Copy, Debug)]
pub(super) struct SilenceLimits {
    /// Time after which it is sent a PING.
    pub(super) ping_after: Duration,
    /// How long it may stay silent after that.
    pub(super) answer_within: Duration,
}

impl ConnectionLimits {
    /// Returns the time between two checks: short enough for the limits to be kept within an eighth.
    pub(super) fn sweep_interval(&self) -> Duration {
        let (shortest, longest) = SWEEP_INTERVALS;
        let age_grace = self.max_age.map(|_| self.age_grace);
        let ping_after = self.silence.map(|silence| silence.ping_after);
        let answer_within = self.silence.map(|silence| silence.answer_within);
        let limits = [
            self.max_idle,
            self.max_age,
            age_grace,
            ping_after,
            answer_within,
        ];
        let limits = limits.into_iter().flatten();
        let least = limits.filter(|limit| !limit.is_zero()).min();
        least.map_or(longest, |least| (least / 8).clamp(shortest, longest))
    }
}

/// The open connections of one port.
#[derive(Debug)]
pub(super) struct ConnectionTable {
    limits: ConnectionLimits,
    telemetry: Arc<Telemetry>,
    /// Locked when a connection begins and ends, and at every sweep, never by a request.
    entries: Mutex<Entries>,
    /// The number of connections.
    open: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Entries {
    next_id: u64,
    connections: HashMap<u64, Entry>,
    /// Connections among them that had to make room and have not ended yet. They do not count against the limit.
    evicted: usize,
}

/// What the table knows of one connection.
#[derive(Debug)]
struct Entry {
    state: Arc<ConnectionState>,
    opened: Instant,
    /// `None` while a request is open.
    idle_since: Option<Instant>,
    /// Since when requests were open and none was answered; `None` if none is open, or while an answer has begun.
    waiting_since: Option<Instant>,
    /// Whether a request has had an answer.
    was_answered: bool,
    /// When bytes of the client were last seen to have arrived.
    heard_at: Instant,
    /// When it was sent a PING after that.
    pinged_at: Option<Instant>,
    /// When it was asked to close.
    closing_since: Option<Instant>,
    is_evicted: bool,
    /// Whether it was ordered to close at once.
    is_cut: bool,
}

/// What must happen to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    /// It sends a PING.
    Ping,
    /// It takes no new requests and closes.
    Close(CloseReason),
    /// It closes at once. The reason is `None` if it was counted when it was asked to close.
    Cut(Option<CloseReason>),
}

impl Entry {
    fn observe(&mut self, now: Instant) {
        if self.state.was_heard() {
            (self.heard_at, self.pinged_at) = (now, None);
        }
        let (idle, waiting) = (self.idle_since, self.waiting_since);
        self.was_answered |= self.state.was_answered();
        (self.idle_since, self.waiting_since) = match self.state.observe() {
            Usage::Busy => (None, None),
            Usage::Waiting { has_answered: true } => (None, Some(now)),
            Usage::Waiting {
                has_answered: false,
            } => (None, waiting.or(Some(now))),
            Usage::Used => (Some(now), None),
            Usage::Unused => (idle.or(Some(now)), None),
        };
    }

    /// Decides what must happen to the connection `id` at `now`.
    fn judge(&self, id: u64, limits: &ConnectionLimits, now: Instant) -> Verdict {
        if self.is_cut {
            return Verdict::Keep;
        }
        match self.judge_usage(id, limits, now) {
            Verdict::Keep => self.judge_silence(limits.silence, now),
            verdict => verdict,
        }
    }

    /// Decides what must happen because its client is silent.
    fn judge_silence(&self, limits: Option<SilenceLimits>, now: Instant) -> Verdict {
        let Some(limits) = limits else {
            return Verdict::Keep;
        };
        match self.pinged_at {
            Some(at) if now - at >= limits.answer_within => {
                Verdict::Cut(Some(CloseReason::Unresponsive))
            }
            None if now - self.heard_at >= limits.ping_after => Verdict::Ping,
            _ => Verdict::Keep,
        }
    }

    /// Decides what must happen because it is idle or old.
    fn judge_usage(&self, id: u64, limits: &ConnectionLimits, now: Instant) -> Verdict {
        let idle = self.idle_since.map(|since| now - since);
        if let Some(since) = self.closing_since {
            let closing = now - since;
            if idle.is_some_and(|idle| idle.min(closing) >= ACKNOWLEDGE_TIMEOUT) {
                return Verdict::Cut(None);
            }
            // A client that answers nothing of what closes its connection may go on for as long as it likes.
            let grace = if self.is_evicted {
                limits.age_grace.min(EVICTED_GRACE)
            } else {
                limits.age_grace
            };
            if closing >= grace && (idle.is_none() || closing >= ACKNOWLEDGE_TIMEOUT) {
                return Verdict::Cut(Some(CloseReason::AgeGrace));
            }
            return Verdict::Keep;
        }
        let is_idle = |max| idle.is_some_and(|idle| idle >= max);
        if limits.max_idle.is_some_and(is_idle) {
            return Verdict::Close(CloseReason::Idle);
        }
        let is_old = |max| now - self.opened >= spread(max, id);
        if limits.max_age.is_some_and(is_old) {
            return Verdict::Close(CloseReason::Age);
        }
        Verdict::Keep
    }
}

/// Returns the largest age of the connection `id`: 90 % to 110 % of `max_age`, so that connections that began together do not all end
/// together.
fn spread(max_age: Duration, id: u64) -> Duration {
    let per_mille = u32::try_from(900 + id.wrapping_mul(61) % 201).unwrap_or(1000);
    max_age / 1000 * per_mille
}

impl ConnectionTable {
    /// Creates the table of a port without connections. `telemetry` counts connections that are refused or closed.
    pub(super) fn new(limits: ConnectionLimits, telemetry: Arc<Telemetry>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            telemetry,
            entries: Mutex::default(),
            open: Arc::default(),
        })
    }

    /// Adds a connection. At the limit, an idle connection is closed to make room, or one whose requests have waited; if there is none, the
    /// new one is refused and `None` returned.
    pub(super) fn open(self: &Arc<Self>, now: Instant) -> Option<Ticket> {
        let mut entries = sync::lock(&self.entries);
        if entries.connections.len() - entries.evicted >= self.limits.max_connections {
            // Those that made room and do not end count again once there are as many of them.
            let most_evicted = self.limits.max_connections.max(LEAST_EVICTED);
            if entries.evicted >= most_evicted || !entries.evict_one(now) {
                drop(entries);
                self.telemetry.refused_connection();
                return None;
            }
            self.telemetry.closed_connection(CloseReason::MakeRoom);
        }
        let id = entries.next_id;
        entries.next_id += 1;
        let state = Arc::new(ConnectionState::new(Arc::clone(&self.open)));
        let entry = Entry {
            state: Arc::clone(&state),
            opened: now,
            idle_since: Some(now),
            waiting_since: None,
            was_answered: false,
            heard_at: now,
            pinged_at: None,
            closing_since: None,
            is_evicted: false,
            is_cut: false,
        };
        entries.connections.insert(id, entry);
        self.open
            .store(entries.connections.len(), Ordering::Relaxed);
        Some(Ticket {
            table: Arc::clone(self),
            id,
            state,
        })
    }

    /// Closes the connections that are idle or too old at `now`.
    pub(super) fn sweep(&self, now: Instant) {
        let mut entries = sync::lock(&self.entries);
        for (id, entry) in &mut entries.connections {
            entry.observe(now);
            match entry.judge(*id, &self.limits, now) {
                Verdict::Keep => {}
                Verdict::Ping => {
                    entry.pinged_at = Some(now);
                    entry.state.order_ping();
                }
                Verdict::Close(reason) => {
                    entry.closing_since = Some(now);
                    entry.state.close(Close::Gracefully);
                    self.telemetry.closed_connection(reason);
                }
                Verdict::Cut(reason) => {
                    entry.is_cut = true;
                    entry.state.close(Close::Now);
                    reason
                        .into_iter()
                        .for_each(|reason| self.telemetry.closed_connection(reason));
                }
            }
        }
    }

    /// Makes all connections close after their last response.
    pub(super) fn close_all(&self) {
        for entry in sync::lock(&self.entries).connections.values() {
            entry.state.close(Close::Gracefully);
        }
    }
}

impl Entries {
    /// Closes a connection to make room, and counts it no longer. Returns whether there was one.
    fn evict_one(&mut self, now: Instant) -> bool {
        let mut unanswered = 0;
        for entry in self.connections.values_mut() {
            entry.observe(now);
            unanswered += usize::from(!entry.was_answered && !entry.is_evicted);
        }
        let places = self.connections.len() - self.evicted;
        let are_answered_kept = unanswered > places / 2;
        let is_long = |since: Instant| now - since >= LONG;
        let candidates = self.connections.iter_mut();
        let candidates = candidates.filter(|(_, entry)| !entry.is_evicted);
        let unused = candidates.filter_map(|(id, entry)| {
            let (rank, since) = match (entry.idle_since, entry.waiting_since) {
                (Some(since), _) if is_long(since) => (0, since),
                (None, Some(since)) if is_long(since) => (1, since),
                (Some(since), _) if !entry.was_answered || !are_answered_kept => (2, since),
                _ => return None,
            };
            let order = (are_answered_kept && entry.was_answered, rank);
            Some(((order, entry.was_answered, since, *id), entry))
        });
        let Some((_, entry)) = unused.min_by_key(|(order, _)| *order) else {
            return false;
        };
        let is_waiting = entry.idle_since.is_none();
        entry.is_evicted = true;
        entry.closing_since.get_or_insert(now);
        entry.is_cut = is_waiting;
        entry.state.close(if is_waiting {
            Close::Now
        } else {
            Close::IfIdle
        });
        self.evicted += 1;
        true
    }
}

/// The place of one connection in the table of its port; given back when dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    table: Arc<ConnectionTable>,
    id: u64,
    state: Arc<ConnectionState>,
}

impl Ticket {
    /// Counts the connection as closed for `reason`.
    pub(super) fn count_closed(&self, reason: CloseReason) {
        self.table.telemetry.closed_connection(reason);
    }

    /// Returns the state of the connection.
    pub(super) fn state(&self) -> &Arc<ConnectionState> {
        &self.state
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut entries = sync::lock(&self.table.entries);
        let removed = entries.connections.remove(&self.id);
        if removed.is_some_and(|entry| entry.is_evicted) {
            entries.evicted -= 1;
        }
        let open = entries.connections.len();
        self.table.open.store(open, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "connection_table/tests.rs"]
mod tests;
