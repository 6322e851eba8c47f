//! What is told of a version that gets copies, or that another one had to stand in for.

use metrics::{Counter, Gauge, counter, gauge};

use super::VersionMeters;
use crate::error::Code;
use crate::ident::{Role, VersionNumber};

/// Why a copy was not scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// There was no room for it: in the shadow's queue, in the memory for copies, or among those that are computed.
    QueueFull,
    /// It was older than the shadow's deadline before its turn came.
    Deadline,
    /// Shadows had used their share of the compute time.
    Budget,
    /// All that the shadow may compute at one time is past its deadline and has not come back.
    Stuck,
    /// The shadow was taken away, or the gateway is going down.
    Draining,
}

impl Dropped {
    /// The values of the label `reason`, in the order of `dropped as usize`.
    pub const REASONS: [&str; 5] = ["queue_full", "deadline", "budget", "stuck", "draining"];
}

/// Why another version had to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The forward pass gave an error.
    Error,
    /// It panicked.
    Panic,
    /// Its answer was not finite.
    NotFinite,
    /// It did not answer in time.
    Timeout,
}

impl Failed {
    /// The values of the label `reason`, in the order of `failed as usize`.
    pub const REASONS: [&str; 4] = ["error", "panic", "not_finite", "timeout"];
}

/// The series of a version as a shadow, made when it first is one.
pub(super) struct ShadowMeters {
    dropped: [Counter; Dropped::REASONS.len()],
    queue: Gauge,
}

/// A copy that waits, or is computed; counted until this is dropped.
pub struct Queued(Gauge);

/// What the answers of a shadow are counted into beside those of one primary.
pub struct ComparedMeters {
    rows: Counter,
    disagreed: Counter,
}

impl ComparedMeters {
    /// So many rows were compared, and in so many the most probable classes differ.
    pub fn compared(&self, rows: u64, disagreed: u64) {
        self.rows.increment(rows);
        self.disagreed.increment(disagreed);
    }
}

impl VersionMeters {
    /// A policy names the version as a shadow: its series begin at zero, so that the first drop is seen as one.
    pub fn is_shadow(&self) {
        let _ = self.shadow();
    }

    /// A policy names another version that stands by for this one: the same for its series.
    pub fn has_fallback(&self) {
        let _ = self.fallbacks();
    }

    /// A copy was dropped.
    pub fn shadow_dropped(&self, why: Dropped) {
        self.shadow().dropped[why as usize].increment(1);
    }

    /// A copy waits until what is returned is dropped.
    #[must_use]
    pub fn shadow_queued(&self) -> Queued {
        let queue = self.shadow().queue.clone();
        queue.increment(1.0);
        Queued(queue)
    }

    /// A copy is computed until what is returned is dropped. Takes no lock, as all that a thread of a shadow calls.
    #[must_use]
    pub fn shadow_computes(&self) -> Queued {
        self.in_flight.increment(1.0);
        Queued(self.in_flight.clone())
    }

    /// A copy is being computed past its deadline. Its [`Record`](super::Record) must be told, too.
    pub fn shadow_overdue(&self) {
        let code = Code::DeadlineExceeded;
        self.requests(Role::Shadow, code).increment(1);
    }

    /// The counters of this version as a shadow beside `primary`.
    #[must_use]
    pub fn compared(&self, primary: VersionNumber) -> ComparedMeters {
        let primary = primary.to_string();
        self.scope.enter(|| ComparedMeters {
            rows: counter!("taper_shadow_compared_rows_total", "primary" => primary.clone()),
            disagreed: counter!("taper_shadow_disagreed_rows_total", "primary" => primary),
        })
    }

    /// Another version was asked to answer in the place of this one.
    pub fn fell_back(&self, why: Failed) {
        self.fallbacks()[why as usize].increment(1);
    }

    fn fallbacks(&self) -> &[Counter; Failed::REASONS.len()] {
        self.fallbacks.get_or_init(|| {
            let counter = |reason| counter!("taper_fallbacks_total", "reason" => reason);
            self.scope.enter(|| Failed::REASONS.map(counter))
        })
    }

    fn shadow(&self) -> &ShadowMeters {
        self.shadow.get_or_init(|| {
            let dropped = |reason| counter!("taper_shadow_dropped_total", "reason" => reason);
            self.scope.enter(|| ShadowMeters {
                dropped: Dropped::REASONS.map(dropped),
                queue: gauge!("taper_shadow_queue_requests"),
            })
        })
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl std::fmt::Debug for Queued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queued")
    }
}

impl std::fmt::Debug for ComparedMeters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ComparedMeters")
    }
}
