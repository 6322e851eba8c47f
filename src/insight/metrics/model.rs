//! The series of one model.

use std::{fmt, sync::Arc};

use metrics::{Gauge, gauge};

use super::scope::Scope;
use crate::ident::Revision;

/// The states of a version, as the label `state` has them, in the order in which a version goes through them.
pub const STATES: [&str; 8] = [
    "DISCOVERED",
    "LOADING",
    "VERIFYING",
    "WARMING",
    "READY",
    "DRAINING",
    "RETIRED",
    "FAILED",
];

/// What is told of one model. Its series go when it is dropped.
pub struct ModelMeters {
    revision: Gauge,
    versions: [Gauge; STATES.len()],
    /// Keeps the series.
    _scope: Arc<Scope>,
}

impl ModelMeters {
    pub(super) fn new(scope: Arc<Scope>) -> Self {
        let (revision, versions) = scope.enter(|| {
            (
                gauge!("taper_policy_revision"),
                STATES.map(|state| gauge!("taper_versions", "state" => state)),
            )
        });
        Self {
            revision,
            versions,
            _scope: scope,
        }
    }

    /// A revision of the policy came into force.
    pub fn revision(&self, revision: Revision) {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 changes")]
        self.revision.set(revision.0 as f64);
    }

    /// How many of the model's versions are in each state, in the order of [`STATES`].
    pub fn versions(&self, counts: &[usize; STATES.len()]) {
        for (gauge, count) in self.versions.iter().zip(counts) {
            #[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 versions")]
            gauge.set(*count as f64);
        }
    }
}

impl fmt::Debug for ModelMeters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ModelMeters")
    }
}

#[cfg(test)]
mod tests {
    use super::super::Telemetry;
    use super::*;

    fn series(telemetry: &Telemetry) -> Vec<String> {
        let text = telemetry.render();
        let of_models = text.lines().filter(|line| line.contains("model="));
        of_models.map(str::to_owned).collect()
    }

    #[test]
    fn the_series_of_a_model_come_and_go_with_it() {
        let telemetry = Telemetry::new().unwrap();
        let meters = telemetry.model(&"m".parse().unwrap()).unwrap();
        meters.revision(Revision(7));
        meters.versions(&[0, 1, 0, 0, 2, 0, 0, 3]);
        let told = series(&telemetry);
        assert_eq!(told.len(), 9, "{told:?}");
        for line in [
            r#"taper_policy_revision{model="m"} 7"#,
            r#"taper_versions{model="m",state="LOADING"} 1"#,
            r#"taper_versions{model="m",state="READY"} 2"#,
            r#"taper_versions{model="m",state="FAILED"} 3"#,
            r#"taper_versions{model="m",state="DRAINING"} 0"#,
        ] {
            assert!(told.iter().any(|have| have == line), "{line} in {told:?}");
        }
        drop(meters);
        assert_eq!(series(&telemetry), [""; 0]);
    }

    #[test]
    fn two_holders_of_a_model_share_its_series() {
        let telemetry = Telemetry::new().unwrap();
        let of_m = || telemetry.model(&"m".parse().unwrap()).unwrap();
        let (old, new) = (of_m(), of_m());
        old.revision(Revision(1));
        new.revision(Revision(2));
        drop(old);
        let told = series(&telemetry);
        assert_eq!(told.len(), 9, "none twice: {told:?}");
        assert!(told.contains(&r#"taper_policy_revision{model="m"} 2"#.to_owned()));
    }
}
