//! How many requests, and how many bytes of them, are in the house at one time.
//!
//! A request gets its [`Arrival`] before its message is read, so that what waits in memory is bounded, not only what is
//! computed. The arrival also says when the clock began and when it ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::error::PredictError;
use crate::insight::metrics::Telemetry;

/// Who is turned away should not come back before cheap requests have had time to leave.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// What one gateway takes at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests that are read or answered at one time.
    pub max_in_flight: usize,
    /// Bytes of their messages, as they came over the wire.
    pub max_in_flight_bytes: usize,
}

/// Counts who is in.
#[derive(Debug)]
pub struct Gate {
    limits: Limits,
    telemetry: Arc<Telemetry>,
    requests: AtomicUsize,
    bytes: AtomicUsize,
}

impl Gate {
    /// Nobody is in. Refusals are counted in `telemetry`.
    #[must_use]
    pub fn new(limits: Limits, telemetry: Arc<Telemetry>) -> Arc<Self> {
        let (requests, bytes) = Default::default();
        Arc::new(Self {
            limits,
            telemetry,
            requests,
            bytes,
        })
    }

    /// Lets a request in that arrived `at` and whose caller waits until `deadline`.
    ///
    /// # Errors
    /// [`PredictError::Overloaded`] at the limit on requests.
    pub fn enter(
        self: &Arc<Self>,
        at: Instant,
        deadline: Option<Instant>,
    ) -> Result<Arrival, PredictError> {
        let limit = self.limits.max_in_flight;
        // Made first, so that dropping it on the way out gives the place back.
        let arrival = Arrival {
            gate: Arc::clone(self),
            bytes: AtomicUsize::new(0),
            read: AtomicBool::new(false),
            at,
            deadline,
        };
        if self.requests.fetch_add(1, Ordering::Relaxed) < limit {
            Ok(arrival)
        } else {
            Err(self.refuse("requests in flight", limit))
        }
    }

    /// Requests that are in now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
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

/// One request's place; given back when dropped.
#[derive(Debug)]
pub struct Arrival {
    gate: Arc<Gate>,
    bytes: AtomicUsize,
    read: AtomicBool,
    /// When the gateway saw the request.
    pub at: Instant,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
}

impl Arrival {
    /// `more` bytes of the request's message have come.
    ///
    /// # Errors
    /// [`PredictError::Overloaded`] at the limit on bytes.
    pub fn hold(&self, more: usize) -> Result<(), PredictError> {
        let limit = self.gate.limits.max_in_flight_bytes;
        self.bytes.fetch_add(more, Ordering::Relaxed);
        if self
            .gate
            .bytes
            .fetch_add(more, Ordering::Relaxed)
            .saturating_add(more)
            <= limit
        {
            Ok(())
        } else {
            Err(self.gate.refuse("bytes of requests in flight", limit))
        }
    }
}

impl Arrival {
    /// The whole message has come.
    pub fn read(&self) {
        self.read.store(true, Ordering::Relaxed);
    }

    /// Whether the whole message has come.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.read.load(Ordering::Relaxed)
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.gate
            .bytes
            .fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
        self.gate.requests.fetch_sub(1, Ordering::Relaxed);
    }
}
