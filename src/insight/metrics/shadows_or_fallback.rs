//! The series of a version as a shadow, and of the requests that its fallback had to answer.

use std::fmt;

use metrics::{Counter, Gauge};

use super::reasons::{DropReason, FallbackReason};
use super::scope::Scope;
use super::table;
use crate::ident::VersionNumber;

/// The series of a version as a shadow. They are registered when a policy first has it as a shadow.
pub(super) struct ShadowMeters {
    /// Indexed by `DropReason as usize`.
    pub(super) dropped: [Counter; DropReason::REASONS.len()],
    pub(super) queue: Gauge,
}

impl ShadowMeters {
    pub(super) fn new(version: &Scope) -> Self {
        let dropped = |reason| version.counter_with(&table::SHADOW_DROPPED, [reason]);
        Self {
            dropped: DropReason::REASONS.map(dropped),
            queue: version.gauge(&table::SHADOW_QUEUE_REQUESTS),
        }
    }
}

/// The counters of requests that the fallback had to answer, indexed by `FallbackReason as usize`.
pub(super) type FallbackCounters = [Counter; FallbackReason::REASONS.len()];

/// Returns the counters of a version. They are registered when a policy first has a fallback for it.
pub(super) fn fallback_counters(version: &Scope) -> FallbackCounters {
    FallbackReason::REASONS.map(|reason| version.counter_with(&table::FALLBACKS, [reason]))
}

/// The series that compare the answers of a shadow with those of one primary.
pub struct ComparedMeters {
    rows: Counter,
    disagreed: Counter,
}

impl ComparedMeters {
    pub(super) fn new(shadow: &Scope, primary: VersionNumber) -> Self {
        let counter = |row| shadow.counter_with(row, [primary.to_string()]);
        Self {
            rows: counter(&table::SHADOW_COMPARED_ROWS),
            disagreed: counter(&table::SHADOW_DISAGREED_ROWS),
        }
    }

    /// Counts compared rows, and those of them in which the most probable classes differ.
    pub fn compared(&self, rows: u64, disagreed: u64) {
        self.rows.increment(rows);
        self.disagreed.increment(disagreed);
    }
}

impl fmt::Debug for ComparedMeters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ComparedMeters")
    }
}
