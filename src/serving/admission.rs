//! How many requests, and how many bytes of them, are in the house at one time.
//!
//! A request gets its [`RequestPermit`] before its message is read, so that what waits in memory is bounded, not only what is
//! computed. The arrival also says when the clock began and when it ends, and hears when the gateway waits no longer.

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
pub struct AdmissionControl {
    limits: Limits,
    telemetry: Arc<Telemetry>,
    requests: AtomicUsize,
    /// Those of them that stay for as long as their callers like.
    staying: AtomicUsize,
    bytes: AtomicUsize,
    /// Whether those who leave are counted.
    draining: AtomicBool,
    /// Who left since then, answered as at any other time.
    finished: AtomicUsize,
    /// Who was told to go.
    told: AtomicUsize,
    /// Who of them is still in, on the way out.
    leaving: AtomicUsize,
    /// Wakes who must end because the gateway drains.
    drain: Notify,
    /// Whether nobody is waited for any longer, and whom to wake then.
    cut: AtomicBool,
    cut_off: Notify,
}

/// Who was in while the gateway went down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Answered as at any other time.
    pub finished: usize,
    /// Told that the gateway goes down.
    pub told: usize,
    /// Still in, and not told.
    pub inside: usize,
}

impl AdmissionControl {
    /// Nobody is in. Refusals are counted in `telemetry`.
    #[must_use]
    pub fn new(limits: Limits, telemetry: Arc<Telemetry>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            telemetry,
            requests: AtomicUsize::new(0),
            staying: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            finished: AtomicUsize::new(0),
            told: AtomicUsize::new(0),
            leaving: AtomicUsize::new(0),
            drain: Notify::new(),
            cut: AtomicBool::new(false),
            cut_off: Notify::new(),
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
    ) -> Result<RequestPermit, PredictError> {
        let limit = self.limits.max_in_flight;
        // Made first, so that dropping it on the way out gives the place back.
        let permit = RequestPermit {
            admission: Arc::clone(self),
            bytes: AtomicUsize::new(0),
            read: AtomicBool::new(false),
            stays: AtomicBool::new(false),
            told: AtomicBool::new(false),
            at,
            deadline,
            sooner: OnceLock::new(),
        };
        if self.requests.fetch_add(1, Ordering::Relaxed) < limit {
            Ok(permit)
        } else {
            Err(self.refuse("requests in flight", limit))
        }
    }

    /// Requests that are in now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Whether the gateway goes down: who can choose should go elsewhere.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Counts those who leave from now on, for [`left`](Self::left), and tells who would stay for long.
    pub fn begin_drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        self.drain.notify_waiters();
    }

    /// Has every request that is in, and every one that still comes, answered with [`PredictError::Draining`].
    pub fn cut_off(&self) {
        self.cut.store(true, Ordering::SeqCst);
        self.cut_off.notify_waiters();
    }

    /// Waits until it is [cut off](Self::cut_off).
    pub async fn until_cut_off(&self) {
        // Made before the question, so that no call in between is missed.
        let notified = self.cut_off.notified();
        if !self.cut.load(Ordering::SeqCst) {
            notified.await;
        }
    }

    /// How those have fared who were in since [`begin_drain`](Self::begin_drain): each is counted once. Exact once nobody moves any
    /// more.
    #[must_use]
    pub fn left(&self) -> Left {
        let leaving = self.leaving.load(Ordering::Relaxed);
        Left {
            finished: self.finished.load(Ordering::Relaxed),
            told: self.told.load(Ordering::Relaxed),
            inside: self.in_flight().saturating_sub(leaving),
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

/// One request's place; given back when dropped.
#[derive(Debug)]
pub struct RequestPermit {
    admission: Arc<AdmissionControl>,
    bytes: AtomicUsize,
    read: AtomicBool,
    stays: AtomicBool,
    told: AtomicBool,
    /// When the gateway saw the request.
    pub at: Instant,
    /// When the caller stops waiting, as the call itself says.
    deadline: Option<Instant>,
    /// The same, as its message says.
    sooner: OnceLock<Instant>,
}

impl RequestPermit {
    /// `more` bytes of the request's message have come.
    ///
    /// # Errors
    /// [`PredictError::Overloaded`] at the limit on bytes.
    pub fn hold(&self, more: usize) -> Result<(), PredictError> {
        let limit = self.admission.limits.max_in_flight_bytes;
        if self.count(more) <= limit {
            Ok(())
        } else {
            Err(self.admission.refuse("bytes of requests in flight", limit))
        }
    }

    /// The same without a limit, for who looks at [`is_full`](Self::is_full) first. Tells what all hold then.
    pub fn count(&self, more: usize) -> usize {
        self.bytes.fetch_add(more, Ordering::Relaxed);
        let before = self.admission.bytes.fetch_add(more, Ordering::Relaxed);
        before.saturating_add(more)
    }

    /// Whether all that are in hold as many bytes as they may.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.admission.bytes.load(Ordering::Relaxed) >= self.admission.limits.max_in_flight_bytes
    }

    /// It stays for as long as its caller likes, as a stream does. Half of the places are for those who do not.
    ///
    /// # Errors
    /// [`PredictError::Overloaded`] where the other half is taken.
    pub fn stay(&self) -> Result<(), PredictError> {
        let limit = self.admission.limits.max_in_flight.div_ceil(2);
        self.stays.store(true, Ordering::Relaxed);
        if self.admission.staying.fetch_add(1, Ordering::Relaxed) < limit {
            Ok(())
        } else {
            Err(self.admission.refuse("open streams", limit))
        }
    }

    /// Whether it [stays](Self::stay).
    #[must_use]
    pub fn stays(&self) -> bool {
        self.stays.load(Ordering::Relaxed)
    }
}

impl RequestPermit {
    /// When the caller stops waiting.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let deadlines = [self.deadline, self.sooner()];
        deadlines.into_iter().flatten().min()
    }

    /// The message says when its caller stops waiting. Only the first time counts.
    pub fn ends_by(&self, deadline: Instant) {
        // A message that said it twice would not be read twice.
        let _ = self.sooner.set(deadline);
    }

    /// What the message said about it; the clock of the call may not know.
    #[must_use]
    pub fn sooner(&self) -> Option<Instant> {
        self.sooner.get().copied()
    }

    /// Bytes of the message that have come.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The whole message has come.
    pub fn read(&self) {
        self.read.store(true, Ordering::Relaxed);
    }

    /// Whether the whole message has come.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.read.load(Ordering::Relaxed)
    }

    /// What has come and is not counted with this any more, since it goes on under a place of its own.
    pub fn hand_over(&self) -> usize {
        let bytes = self.bytes.swap(0, Ordering::Relaxed);
        self.admission.bytes.fetch_sub(bytes, Ordering::Relaxed);
        bytes
    }

    /// Waits until the gateway begins to go down.
    pub async fn draining(&self) {
        // Made before the question, so that no call in between is missed.
        let notified = self.admission.drain.notified();
        if !self.admission.draining.load(Ordering::SeqCst) {
            notified.await;
        }
    }

    /// Waits until the gate is [cut off](AdmissionControl::cut_off).
    pub async fn cut_off(&self) {
        self.admission.until_cut_off().await;
    }

    /// It was told that the gateway goes down.
    pub fn told(&self) {
        if !self.told.swap(true, Ordering::Relaxed) {
            self.admission.leaving.fetch_add(1, Ordering::Relaxed);
            self.admission.told.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        self.admission
            .bytes
            .fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
        if *self.told.get_mut() {
            self.admission.leaving.fetch_sub(1, Ordering::Relaxed);
        } else if self.admission.draining.load(Ordering::Relaxed) {
            self.admission.finished.fetch_add(1, Ordering::Relaxed);
        }
        if *self.stays.get_mut() {
            self.admission.staying.fetch_sub(1, Ordering::Relaxed);
        }
        self.admission.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_told_is_counted_once_before_and_after_it_has_left() {
        let limits = Limits {
            max_in_flight: 3,
            max_in_flight_bytes: 1,
        };
        let admission = AdmissionControl::new(limits, Telemetry::new().unwrap());
        let [told, answered, inside] =
            [(); 3].map(|()| admission.enter(Instant::now(), None).unwrap());
        admission.begin_drain();
        told.told();
        told.told();
        drop(answered);
        let want = Left {
            finished: 1,
            told: 1,
            inside: 1,
        };
        assert_eq!(admission.left(), want);
        drop(told);
        assert_eq!(admission.left(), want);
        drop(inside);
        let want = Left {
            finished: 2,
            inside: 0,
            ..want
        };
        assert_eq!(admission.left(), want);
    }
}
