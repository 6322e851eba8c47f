//! Limits how many requests, and how many bytes of their messages, the gateway holds at one time.
//!
//! A request gets its [`RequestPermit`] before its message is read, so that messages in memory are bounded, not only
//! computations. The permit also contains the arrival and the deadline of the request, and reports when the gateway drains.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::error::PredictError;
use crate::insight::metrics::Telemetry;

/// The pause that a refused client is asked to make. Inexpensive requests end within it.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// The limits of one gateway.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests that are read or answered at one time.
    pub max_in_flight: usize,
    /// Bytes of their messages, as they arrived over the wire.
    pub max_in_flight_bytes: usize,
}

/// Counts the requests in flight, and refuses requests above the limits.
#[derive(Debug)]
pub struct AdmissionControl {
    limits: Limits,
    telemetry: Arc<Telemetry>,
    requests: AtomicUsize,
    /// Streams among them, which last as long as their clients like.
    streams: AtomicUsize,
    bytes: AtomicUsize,
    /// Whether requests that end are counted for the drain report.
    draining: AtomicBool,
    /// Requests that ended since the drain began, with their regular answer.
    finished: AtomicUsize,
    /// Requests that ended with [`PredictError::Draining`].
    interrupted: AtomicUsize,
    /// Requests among those whose permit is still held.
    leaving: AtomicUsize,
    /// Wakes streams when the drain begins.
    drain_begins: Notify,
    /// Whether the drain has ended, so that remaining requests are answered with an error.
    drain_ended: AtomicBool,
    drain_ends: Notify,
}

/// What became of the requests that were in flight while the gateway drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainCounts {
    /// Requests that ended with their regular answer.
    pub finished: usize,
    /// Requests that ended with [`PredictError::Draining`].
    pub interrupted: usize,
    /// Requests still in flight that were not answered.
    pub in_flight: usize,
}

impl AdmissionControl {
    /// Creates the admission control of an idle gateway. `telemetry` counts refusals.
    #[must_use]
    pub fn new(limits: Limits, telemetry: Arc<Telemetry>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            telemetry,
            requests: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            finished: AtomicUsize::new(0),
            interrupted: AtomicUsize::new(0),
            leaving: AtomicUsize::new(0),
            drain_begins: Notify::new(),
            drain_ended: AtomicBool::new(false),
            drain_ends: Notify::new(),
        })
    }

    /// Admits a request that arrived at `arrived` and whose client waits until `deadline`.
    ///
    /// # Errors
    /// Returns [`PredictError::Overloaded`] at the limit on requests.
    pub fn enter(
        self: &Arc<Self>,
        arrived: Instant,
        deadline: Option<Instant>,
    ) -> Result<RequestPermit, PredictError> {
        let limit = self.limits.max_in_flight;
        // Created first: if the request is refused, dropping the permit subtracts it again.
        let permit = RequestPermit {
            admission: Arc::clone(self),
            bytes: AtomicUsize::new(0),
            is_read: AtomicBool::new(false),
            is_stream: AtomicBool::new(false),
            is_interrupted: AtomicBool::new(false),
            arrived,
            call_deadline: deadline,
            message_deadline: OnceLock::new(),
        };
        if self.requests.fetch_add(1, Ordering::Relaxed) < limit {
            Ok(permit)
        } else {
            Err(self.refuse("requests in flight", limit))
        }
    }

    /// Returns the number of requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Returns whether the gateway is shutting down, so that clients should use another one.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Begins the drain: counts the requests that end from now on, for [`drain_counts`](Self::drain_counts), and wakes streams
    /// so that they end.
    pub fn begin_drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        self.drain_begins.notify_waiters();
    }

    /// Ends the drain: every request in flight, and every one that still arrives, is answered with [`PredictError::Draining`].
    pub fn cut_off(&self) {
        self.drain_ended.store(true, Ordering::SeqCst);
        self.drain_ends.notify_waiters();
    }

    /// Waits until requests are [cut off](Self::cut_off).
    pub async fn until_cut_off(&self) {
        // Created before the check, so that no call in between is missed.
        let notified = self.drain_ends.notified();
        if !self.drain_ended.load(Ordering::SeqCst) {
            notified.await;
        }
    }

    /// Returns what became of the requests in flight since [`begin_drain`](Self::begin_drain). Each request is counted once.
    /// Exact once no request begins or ends any more.
    #[must_use]
    pub fn drain_counts(&self) -> DrainCounts {
        let leaving = self.leaving.load(Ordering::Relaxed);
        DrainCounts {
            finished: self.finished.load(Ordering::Relaxed),
            interrupted: self.interrupted.load(Ordering::Relaxed),
            in_flight: self.in_flight().saturating_sub(leaving),
        }
    }

    fn refuse(&self, what: &'static str, limit: usize) -> PredictError {
        let error = PredictError::Overloaded {
            what,
            limit,
            retry_after: RETRY_AFTER,
        };
        self.telemetry.rejected(&error);
        error
    }
}

/// The right of one request to be in flight; returned when dropped.
#[derive(Debug)]
pub struct RequestPermit {
    admission: Arc<AdmissionControl>,
    bytes: AtomicUsize,
    is_read: AtomicBool,
    is_stream: AtomicBool,
    is_interrupted: AtomicBool,
    /// When the request arrived.
    pub arrived: Instant,
    /// When the client stops waiting, by the metadata of the call.
    call_deadline: Option<Instant>,
    /// When the client stops waiting, by the message.
    message_deadline: OnceLock<Instant>,
}

impl RequestPermit {
    /// Adds `more` bytes of the request's message that have arrived.
    ///
    /// # Errors
    /// Returns [`PredictError::Overloaded`] at the limit on bytes.
    pub fn hold(&self, more: usize) -> Result<(), PredictError> {
        let limit = self.admission.limits.max_in_flight_bytes;
        if self.hold_unchecked(more) <= limit {
            Ok(())
        } else {
            Err(self.admission.refuse("bytes of requests in flight", limit))
        }
    }

    /// Adds `more` bytes without checking the limit, for callers that check [`bytes_exhausted`](Self::bytes_exhausted) first.
    /// Returns the bytes of all requests in flight.
    pub fn hold_unchecked(&self, more: usize) -> usize {
        self.bytes.fetch_add(more, Ordering::Relaxed);
        let before = self.admission.bytes.fetch_add(more, Ordering::Relaxed);
        before.saturating_add(more)
    }

    /// Returns whether the requests in flight hold as many bytes as the limit.
    #[must_use]
    pub fn bytes_exhausted(&self) -> bool {
        self.admission.bytes.load(Ordering::Relaxed) >= self.admission.limits.max_in_flight_bytes
    }

    /// Marks the request as a stream, which lasts as long as its client likes. At most half of all requests in flight may be
    /// streams.
    ///
    /// # Errors
    /// Returns [`PredictError::Overloaded`] at that limit.
    pub fn begin_stream(&self) -> Result<(), PredictError> {
        let limit = self.admission.limits.max_in_flight.div_ceil(2);
        self.is_stream.store(true, Ordering::Relaxed);
        if self.admission.streams.fetch_add(1, Ordering::Relaxed) < limit {
            Ok(())
        } else {
            Err(self.admission.refuse("open streams", limit))
        }
    }

    /// Returns whether the request is a [stream](Self::begin_stream).
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.is_stream.load(Ordering::Relaxed)
    }

    /// Returns when the client stops waiting: the earlier of the deadlines of the call and of the message.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let deadlines = [self.call_deadline, self.message_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Sets the deadline that the message contains. Only the first call has an effect.
    pub fn set_message_deadline(&self, deadline: Instant) {
        // Fails if it is set already.
        let _ = self.message_deadline.set(deadline);
    }

    /// Returns the deadline that the message contains. The transport does not know it.
    #[must_use]
    pub fn message_deadline(&self) -> Option<Instant> {
        self.message_deadline.get().copied()
    }

    /// Returns the bytes of the message that have arrived.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Marks the message as complete.
    pub fn mark_read(&self) {
        self.is_read.store(true, Ordering::Relaxed);
    }

    /// Returns whether the whole message has arrived.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.is_read.load(Ordering::Relaxed)
    }

    /// Releases the bytes of the message, which another permit counts from now on. Returns how many they were.
    pub fn release_bytes(&self) -> usize {
        let bytes = self.bytes.swap(0, Ordering::Relaxed);
        self.admission.bytes.fetch_sub(bytes, Ordering::Relaxed);
        bytes
    }

    /// Waits until the gateway begins to drain.
    pub async fn draining(&self) {
        // Created before the check, so that no call in between is missed.
        let notified = self.admission.drain_begins.notified();
        if !self.admission.draining.load(Ordering::SeqCst) {
            notified.await;
        }
    }

    /// Waits until requests are [cut off](AdmissionControl::cut_off).
    pub async fn cut_off(&self) {
        self.admission.until_cut_off().await;
    }

    /// Counts the request as ended with [`PredictError::Draining`].
    pub fn mark_interrupted(&self) {
        if !self.is_interrupted.swap(true, Ordering::Relaxed) {
            self.admission.leaving.fetch_add(1, Ordering::Relaxed);
            self.admission.interrupted.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        self.admission
            .bytes
            .fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
        if *self.is_interrupted.get_mut() {
            self.admission.leaving.fetch_sub(1, Ordering::Relaxed);
        } else if self.admission.draining.load(Ordering::Relaxed) {
            self.admission.finished.fetch_add(1, Ordering::Relaxed);
        }
        if *self.is_stream.get_mut() {
            self.admission.streams.fetch_sub(1, Ordering::Relaxed);
        }
        self.admission.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_request_counts_once_before_and_after_it_ends() {
        let limits = Limits {
            max_in_flight: 3,
            max_in_flight_bytes: 1,
        };
        let admission = AdmissionControl::new(limits, Telemetry::new().unwrap());
        let [interrupted, answered, running] =
            [(); 3].map(|()| admission.enter(Instant::now(), None).unwrap());
        admission.begin_drain();
        interrupted.mark_interrupted();
        interrupted.mark_interrupted();
        drop(answered);
        let want = DrainCounts {
            finished: 1,
            interrupted: 1,
            in_flight: 1,
        };
        assert_eq!(admission.drain_counts(), want);
        drop(interrupted);
        assert_eq!(admission.drain_counts(), want);
        drop(running);
        let want = DrainCounts {
            finished: 2,
            in_flight: 0,
            ..want
        };
        assert_eq!(admission.drain_counts(), want);
    }
}
