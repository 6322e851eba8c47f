//! The series of outcomes: those of a version, and those of truths that meet no version.

use std::fmt;
use std::sync::Arc;

use metrics::{Counter, Gauge, counter, gauge};

use super::scope::Scope;
use crate::ident::Role;
use crate::insight::outcomes::Joined;

/// Handles to the series of truths that are not counted with a version, and of the buffer.
pub struct OutcomeMeters {
    refused: [Counter; Joined::REFUSED.len()],
    /// Evicted, replaced, too large, after the truth.
    lost: [Counter; 4],
    held: Gauge,
}

impl OutcomeMeters {
    pub(super) fn new(process: &Scope) -> Self {
        process.enter(|| Self {
            refused: Joined::REFUSED
                .map(|(_, reason)| counter!("taper_outcomes_unmatched_total", "reason" => reason)),
            lost: ["evicted", "replaced", "too_large", "after_truth"]
                .map(|reason| counter!("taper_outcome_rows_lost_total", "reason" => reason)),
            held: gauge!("taper_outcome_buffer_rows"),
        })
    }

    /// A truth was reported. One that was counted with a version is not counted here.
    pub fn reported(&self, joined: Joined) {
        let refused = Joined::REFUSED.iter().zip(&self.refused);
        for (_, counter) in refused.filter(|((reason, _), _)| *reason == joined) {
            counter.increment(1);
        }
    }

    /// Rows were forgotten without a truth.
    pub fn lost(&self, evicted: u64, replaced: u64, too_large: u64, after_truth: u64) {
        let each = [evicted, replaced, too_large, after_truth];
        for (counter, rows) in self.lost.iter().zip(each) {
            counter.increment(rows);
        }
    }

    /// So many rows are remembered.
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

/// The series of one version. They come with the first truth.
#[derive(Debug)]
pub struct QualityMeters(Arc<Scope>);

impl QualityMeters {
    pub(super) fn new(scope: Arc<Scope>) -> Self {
        Self(scope)
    }

    /// Counts the rows of this role that have a truth.
    pub fn joined(&self, role: Role) -> JoinedCounter {
        let role = role.as_str();
        let register = || counter!("taper_outcomes_total", "role" => role, "result" => "joined");
        JoinedCounter(self.0.enter(register))
    }

    /// A measure by its name, for this role.
    pub fn quality(&self, role: Role, metric: &'static str, value: f64) {
        let role = role.as_str();
        let register = || gauge!("taper_outcome_quality", "role" => role, "metric" => metric);
        self.0.enter(register).set(value);
    }
}

/// Rows of one role that have a truth.
pub struct JoinedCounter(Counter);

impl JoinedCounter {
    /// One more.
    pub fn increment(&self) {
        self.0.increment(1);
    }
}

impl fmt::Debug for JoinedCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinedCounter")
    }
}
