//! The series of a version whose requests are batched for the compute pool.

use metrics::{Counter, Gauge, Histogram};

use super::reasons::AbandonReason;
use super::scope::Scope;
use super::table;

/// The series of a version with a queue. They are registered when its first request is queued.
pub(super) struct BatchMeters {
    pub(super) rows: Histogram,
    pub(super) requests: Histogram,
    pub(super) queue: Gauge,
    /// Indexed by `AbandonReason as usize`.
    pub(super) abandoned: [Counter; AbandonReason::REASONS.len()],
}

impl BatchMeters {
    pub(super) fn new(version: &Scope) -> Self {
        let abandoned = |reason| version.counter_with(&table::QUEUE_ABANDONED, [reason]);
        Self {
            rows: version.histogram(&table::BATCH_ROWS),
            requests: version.histogram(&table::BATCH_REQUESTS),
            queue: version.gauge(&table::QUEUE_ROWS),
            abandoned: AbandonReason::REASONS.map(abandoned),
        }
    }
}
