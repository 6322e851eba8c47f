//! Limits how many requests, and how many bytes of their messages, the gateway holds at one time.
//!
//! A request gets its [`RequestPermit`] before its message is read, so that messages in memory are bounded, not only
//! computations. The permit also contains the arrival and the deadline of the request, and reports when the gateway drains.
//!
//! While permits are scarce, `shares` decides which connection gets one.

mod backoff;
mod shares;

use std::{
    future::pending,
    net::IpAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::error::PredictError;
use crate::insight::metrics::{Telemetry, UnsentReason};
pub use backoff::Backoff;
pub use shares::ConnectionUsage;
use shares::{Connections, Grant, Resource};

/// What an error calls the requests of all connections.
pub const OF_GATEWAY: &str = "requests in flight";
/// What an error calls the requests of a connection that holds its share.
pub const OF_CONNECTION: &str = "requests of this connection among the requests in flight";

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
    connections: Connections,
    backoff: Backoff,
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
            connections: Connections::default(),
            backoff: Backoff::new(limits.max_in_flight),
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

    /// Begins to count what a connection from `address` holds. Connections without an address are not related.
    #[must_use]
    pub fn connect(&self, address: Option<IpAddr>) -> Arc<ConnectionUsage> {
        self.connections.open(address)
    }

    /// Admits a request without a connection that arrived at `arrived` and whose client waits until `deadline`.
    ///
    /// # Errors
    /// Returns [`PredictError::Overloaded`] at the limit on requests.
    pub fn enter(
        self: &Arc<Self>,
        arrived: Instant,
        deadline: Option<Instant>,
    ) -> Result<RequestPermit, PredictError> {
        self.enter_from(None, arrived, deadline)
    }

    /// Admits a request of `connection`, as [`enter`](Self::enter) does. A connection that holds less than its share of the limit is
    /// admitted also at the limit, while another one holds more than its share: that one must end a request, the oldest that waits for
    /// the client if there is one.
    ///
    /// # Errors
    /// Returns [`PredictError::Overloaded`] if the connection gets no permit.
    pub fn enter_from(
        self: &Arc<Self>,
        connection: Option<Arc<ConnectionUsage>>,
        arrived: Instant,
        deadline: Option<Instant>,
    ) -> Result<RequestPermit, PredictError> {
        // Created first: if the request is refused, dropping the permit subtracts it again.
        let permit = RequestPermit {
            admission: Arc::clone(self),
            connection,
            bytes: AtomicUsize::new(0),
            is_read: AtomicBool::new(false),
            is_waiting: AtomicBool::new(false),
            is_evicted: AtomicBool::new(false),
            pays: AtomicBool::new(true),
            is_stream: AtomicBool::new(false),
            is_interrupted: AtomicBool::new(false),
            unsent: AtomicUsize::new(0),
            arrived,
            call_deadline: deadline,
            message_deadline: OnceLock::new(),
        };
        let limit = self.limits.max_in_flight;
        let others = self.requests.fetch_add(1, Ordering::Relaxed);
        let connection = permit.connection.as_ref();
        let own = connection.map_or(0, |connection| connection.add(Resource::Requests, 1));
        if others < limit {
            return Ok(permit);
        }
        let refused = match self.grant(connection, Resource::Requests, own) {
            Grant::Yes => return Ok(permit),
            Grant::ShareHeld => OF_CONNECTION,
            Grant::AllHeld => OF_GATEWAY,
        };
        permit.pays.store(false, Ordering::Relaxed);
        Err(self.refuse(refused, limit))
    }

    /// Decides about more of a resource for a connection that held `before` of it, when all of it is held.
    fn grant(
        &self,
        connection: Option<&Arc<ConnectionUsage>>,
        resource: Resource,
        before: usize,
    ) -> Grant {
        let limit = match resource {
            Resource::Requests => self.limits.max_in_flight,
            Resource::Bytes => self.limits.max_in_flight_bytes,
        };
        connection.map_or(Grant::AllHeld, |connection| {
            let connections = &self.connections;
            connections.grant(connection, resource, before, limit)
        })
    }

    /// Reports the requests in flight and their bytes as metrics.
    pub fn report_occupancy(&self) {
        let bytes = self.bytes.load(Ordering::Relaxed);
        self.telemetry.admitted(self.in_flight(), bytes);
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
            retry_after: self.backoff.next(),
        };
        self.telemetry.rejected(&error);
        error
    }
}

/// The right of one request to be in flight; returned when dropped.
#[derive(Debug)]
pub struct RequestPermit {
    admission: Arc<AdmissionControl>,
    /// `None` for a request that came without a connection, as in tests.
    connection: Option<Arc<ConnectionUsage>>,
    bytes: AtomicUsize,
    is_read: AtomicBool,
    /// Whether the request waits for the client, so that it may be evicted.
    is_waiting: AtomicBool,
    is_evicted: AtomicBool,
    /// Whether its end is one that the connection may owe.
    pays: AtomicBool,
    is_stream: AtomicBool,
    is_interrupted: AtomicBool,
    /// Number of the part of the answer that the transport has not sent; 0 if there is none.
    unsent: AtomicUsize,
    /// When the request arrived.
    pub arrived: Instant,
    /// When the client stops waiting, by the metadata of the call.
    call_deadline: Option<Instant>,
    /// When the client stops waiting, by the message.
    message_deadline: OnceLock<Instant>,
}

impl RequestPermit {
    /// Adds `more` bytes of the request's message that have arrived. Past the limit, the connection still gets its share, as with
    /// [requests](AdmissionControl::enter_from).
    ///
    /// # Errors
    /// Returns [`PredictError::Overloaded`] if the connection gets no room for them.
    pub fn hold(&self, more: usize) -> Result<(), PredictError> {
        let limit = self.admission.limits.max_in_flight_bytes;
        if self.hold_unchecked(more) <= limit {
            return Ok(());
        }
        let connection = self.connection.as_ref();
        let own = connection.map_or(0, |connection| connection.held(Resource::Bytes));
        match self.admission.grant(connection, Resource::Bytes, own) {
            Grant::Yes => Ok(()),
            Grant::ShareHeld | Grant::AllHeld => {
                Err(self.admission.refuse("bytes of requests in flight", limit))
            }
        }
    }

    /// Adds `more` bytes without checking the limit, for callers that check [`bytes_exhausted`](Self::bytes_exhausted) first.
    /// Returns the bytes of all requests in flight.
    pub fn hold_unchecked(&self, more: usize) -> usize {
        self.bytes.fetch_add(more, Ordering::Relaxed);
        if let Some(connection) = &self.connection {
            connection.add(Resource::Bytes, more);
        }
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

    /// Returns the connection that the request came from.
    #[must_use]
    pub fn connection(&self) -> Option<&Arc<ConnectionUsage>> {
        self.connection.as_ref()
    }

    /// Marks the message as complete.
    pub fn mark_read(&self) {
        self.is_read.store(true, Ordering::Relaxed);
        self.is_waiting.store(false, Ordering::Relaxed);
    }

    /// Marks part `number` of the answer as handed to the transport, which has not sent it; 0: there is nothing to send.
    pub fn set_unsent(&self, number: usize) {
        self.unsent.store(number, Ordering::Relaxed);
    }

    /// Returns the number of the part of the answer that has not been sent; 0 if there is none.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.unsent.load(Ordering::Relaxed)
    }

    /// Counts an answer that was not sent.
    pub fn count_unsent(&self, reason: UnsentReason) {
        self.admission.telemetry.unsent(reason);
    }

    /// Waits until the request must end because it waits for its client, its connection holds more than its share, and another
    /// connection needs a part of that.
    pub async fn evicted(&self) {
        let waits_for_client = !self.is_read() || self.unsent() > 0;
        let Some(connection) = self.connection.as_ref().filter(|_| waits_for_client) else {
            return pending().await;
        };
        self.is_waiting.store(true, Ordering::Relaxed);
        while !connection.claim_debt() {
            connection.woken().await;
            if !self.is_waiting.load(Ordering::Relaxed) {
                // The message is complete by now.
                connection.wake_next();
                return pending().await;
            }
        }
        self.is_evicted.store(true, Ordering::Relaxed);
        self.pays.store(false, Ordering::Relaxed);
    }

    /// Returns whether the request was [evicted](Self::evicted).
    #[must_use]
    pub fn is_evicted(&self) -> bool {
        self.is_evicted.load(Ordering::Relaxed)
    }

    /// Creates and counts the error of a request that was [evicted](Self::evicted).
    #[must_use]
    pub fn eviction(&self) -> PredictError {
        let limit = self.admission.limits.max_in_flight;
        self.admission.refuse(OF_CONNECTION, limit)
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
        if let Some(connection) = &self.connection {
            connection.subtract(Resource::Bytes, bytes);
        }
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
        self.release_bytes();
        if let Some(connection) = &self.connection {
            connection.subtract(Resource::Requests, 1);
            if *self.pays.get_mut() {
                connection.claim_debt();
            }
        }
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
    use futures_util::FutureExt as _;

    use super::*;

    /// An admission control, and two connections from different addresses.
    fn two_connections(max_in_flight: usize) -> (Arc<AdmissionControl>, [Arc<ConnectionUsage>; 2]) {
        let limits = Limits {
            max_in_flight,
            max_in_flight_bytes: 100,
        };
        let admission = AdmissionControl::new(limits, Telemetry::new().unwrap());
        let connections = [1, 2].map(|last| admission.connect(Some([192, 0, 2, last].into())));
        (admission, connections)
    }

    fn enter(
        admission: &Arc<AdmissionControl>,
        connection: &Arc<ConnectionUsage>,
    ) -> Result<RequestPermit, PredictError> {
        admission.enter_from(Some(Arc::clone(connection)), Instant::now(), None)
    }

    /// Returns what an error says there is too much of.
    fn what(refused: Result<RequestPermit, PredictError>) -> &'static str {
        match refused {
            Err(PredictError::Overloaded { what, .. }) => what,
            other => panic!("overloaded, got {other:?}"),
        }
    }

    #[test]
    fn permits_are_shared_once_all_are_held() {
        let (admission, [first, second]) = two_connections(8);
        let mut permits: Vec<_> = (0..5).map(|_| enter(&admission, &first).unwrap()).collect();
        permits.extend((0..4).map(|_| enter(&admission, &second).unwrap()));
        assert_eq!(admission.in_flight(), 9, "the first connection owes one");
        for connection in [&first, &second] {
            assert_eq!(what(enter(&admission, connection)), OF_CONNECTION);
        }
        permits.remove(0);
        assert!(!first.claim_debt(), "it has paid");
        assert_eq!(what(enter(&admission, &first)), OF_CONNECTION);
        drop(permits);
        assert_eq!(admission.in_flight(), 0);
        assert_eq!(first.held(Resource::Requests), 0);
    }

    #[test]
    fn a_newcomer_gets_the_permit_of_the_oldest_request_that_waits() {
        let (admission, [first, second]) = two_connections(2);
        let [oldest, newest] = [(); 2].map(|()| enter(&admission, &first).unwrap());
        let mut evicted = [&oldest, &newest].map(|permit| Box::pin(permit.evicted()));
        evicted
            .iter_mut()
            .for_each(|evicted| assert!(evicted.now_or_never().is_none()));
        let newcomer = enter(&admission, &second).unwrap();
        let [of_oldest, of_newest] = &mut evicted;
        assert!(of_newest.now_or_never().is_none());
        assert!(of_oldest.now_or_never().is_some() && oldest.is_evicted());
        drop(evicted);
        drop((oldest, newest, newcomer));
        assert_eq!(admission.in_flight(), 0);
    }

    #[test]
    fn a_newcomer_does_not_wait_for_requests_that_are_computed() {
        let (admission, [first, second]) = two_connections(2);
        let [one, other] = [(); 2].map(|()| enter(&admission, &first).unwrap());
        let newcomer = enter(&admission, &second).unwrap();
        assert_eq!(what(enter(&admission, &second)), OF_CONNECTION);
        let unread = one.evicted().now_or_never();
        assert!(unread.is_some(), "the first that waits pays");
        drop((one, other, newcomer));
        assert_eq!(admission.in_flight(), 0);
    }

    #[test]
    fn a_request_whose_message_is_complete_is_not_evicted() {
        let (admission, [first, second]) = two_connections(2);
        let [read, unread] = [(); 2].map(|()| enter(&admission, &first).unwrap());
        let mut evicted = [&read, &unread].map(|permit| Box::pin(permit.evicted()));
        evicted
            .iter_mut()
            .for_each(|evicted| assert!(evicted.now_or_never().is_none()));
        read.mark_read();
        let _newcomer = enter(&admission, &second).unwrap();
        let [of_read, of_unread] = &mut evicted;
        assert!(of_read.now_or_never().is_none(), "it passes the signal on");
        assert!(of_unread.now_or_never().is_some());
        assert_eq!(what(enter(&admission, &second)), OF_CONNECTION);
    }

    #[test]
    fn bytes_are_shared_as_requests_are() {
        let (admission, [first, second]) = two_connections(8);
        let large = enter(&admission, &first).unwrap();
        large.hold(100).unwrap();
        let mut evicted = Box::pin(large.evicted());
        assert!((&mut evicted).now_or_never().is_none());
        let small = enter(&admission, &second).unwrap();
        small.hold(10).unwrap();
        assert!(evicted.now_or_never().is_some());
        drop(large);
        assert!(small.hold(91).is_err(), "more than the limit");
        drop(small);
        assert_eq!(
            first.held(Resource::Bytes) + second.held(Resource::Bytes),
            0
        );
    }

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
