//! The series of one model.

use std::{fmt, sync::Arc};

use metrics::Gauge;

use super::reasons::STATES;
use super::scope::Scope;
use super::table;
use crate::ident::Revision;

/// The series of one model. They are removed when the last value for the model is dropped.
pub struct ModelMeters {
    revision: Gauge,
    problem: Gauge,
    replaced: Gauge,
    versions: [Gauge; STATES.len()],
    /// Keeps the series.
    _scope: Arc<Scope>,
}

impl ModelMeters {
    pub(super) fn new(scope: Arc<Scope>) -> Self {
        Self {
            revision: scope.gauge(&table::POLICY_REVISION),
            problem: scope.gauge(&table::MODEL_PROBLEM),
            replaced: scope.gauge(&table::REPLACED_VERSIONS),
            versions: STATES.map(|state| scope.gauge_with(&table::VERSIONS, [state])),
            _scope: scope,
        }
    }

    /// Records the revision of the policy in force.
    pub fn revision(&self, revision: Revision) {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 changes")]
        self.revision.set(revision.0 as f64);
    }

    /// Records whether the model has a problem, and how many of its versions in memory were replaced in the registry.
    pub fn health(&self, has_problem: bool, replaced: usize) {
        self.problem.set(f64::from(u8::from(has_problem)));
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 versions")]
        self.replaced.set(replaced as f64);
    }

    /// Records how many versions of the model are in each state, in the order of [`STATES`].
    pub fn versions(&self, counts: &[usize; STATES.len()]) {
        for (gauge, count) in self.versions.iter().zip(counts) {
            #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 versions")]
            gauge.set(*count as f64);
        }
    }
}

impl fmt::Debug for ModelMeters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ModelMeters")
    }
}
