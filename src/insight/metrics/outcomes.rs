//! The series of outcomes: those of one version, and those of outcomes and rows that belong to no version.

use std::fmt;
use std::sync::Arc;

use metrics::{Counter, Gauge};

use super::labels::{JOINED, LOST_REASONS};
use super::scope::Scope;
use super::table;
use crate::ident::Role;
use crate::insight::outcomes::JoinStatus;

/// Handles to the series of outcomes that are not counted with a version, and of the outcome buffer.
pub struct OutcomeMeters {
    refused: [Counter; JoinStatus::REFUSED.len()],
    /// In the order of [`LOST_REASONS`].
    lost: [Counter; LOST_REASONS.len()],
    held: Gauge,
}

impl OutcomeMeters {
    pub(super) fn new(process: &Scope) -> Self {
        let refused = |(_, reason)| process.counter_with(&table::OUTCOMES_UNMATCHED, [reason]);
        let lost = |reason| process.counter_with(&table::OUTCOME_ROWS_LOST, [reason]);
        Self {
            refused: JoinStatus::REFUSED.map(refused),
            lost: LOST_REASONS.map(lost),
            held: process.gauge(&table::OUTCOME_BUFFER_ROWS),
        }
    }

    /// Counts a reported outcome, unless it was counted with a version.
    pub fn reported(&self, joined: JoinStatus) {
        let refused = JoinStatus::REFUSED.iter().zip(&self.refused);
        for (_, counter) in refused.filter(|((reason, _), _)| *reason == joined) {
            counter.increment(1);
        }
    }

    /// Counts rows that were removed from the buffer before an outcome was reported for them.
    pub fn lost(&self, evicted: u64, replaced: u64, too_large: u64, after_truth: u64) {
        let each = [evicted, replaced, too_large, after_truth];
        for (counter, rows) in self.lost.iter().zip(each) {
            counter.increment(rows);
        }
    }

    /// Records how many rows the buffer holds.
    pub fn held(&self, rows: usize) {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        self.held.set(rows as f64);
    }
}

impl fmt::Debug for OutcomeMeters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OutcomeMeters")
    }
}

/// The series of one version's outcomes. They are registered with its first outcome.
#[derive(Debug)]
pub struct QualityMeters(Arc<Scope>);

impl QualityMeters {
    pub(super) fn new(scope: Arc<Scope>) -> Self {
        Self(scope)
    }

    /// Returns the counter of rows in this role that have an outcome.
    pub fn joined(&self, role: Role) -> JoinedCounter {
        JoinedCounter(
            self.0
                .counter_with(&table::OUTCOMES, [role.as_str(), JOINED]),
        )
    }

    /// Records the value of a quality measure in this role.
    pub fn quality(&self, role: Role, measure: &'static str, value: f64) {
        self.0
            .gauge_with(&table::OUTCOME_QUALITY, [role.as_str(), measure])
            .set(value);
    }
}

/// Counts rows of one role that have an outcome.
pub struct JoinedCounter(Counter);

impl JoinedCounter {
    /// Adds one row.
    pub fn increment(&self) {
        self.0.increment(1);
    }
}

impl fmt::Debug for JoinedCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinedCounter")
    }
}
