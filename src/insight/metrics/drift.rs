//! The series of drift against the reference profile.
//!
//! There are as many as the version has columns that can be compared, [`STATISTICS`] each: at most `insight.max_features` inputs, none of
//! them sensitive, and ten outputs. Where too few rows came they are NaN, with which no comparison of an alert holds. Statistics are
//! best guesses; the verdict looks at their low ends too, so an alert should read the verdict.

use std::fmt;

use metrics::{Gauge, gauge};

use super::VersionMeters;
use crate::insight::drift::{
    Columns, DriftReport, FeaturePair, Finding, Measured, Outcome, Pair, Severity,
};

/// The values of the label `statistic`, and whether it is one of numbers and one of texts.
const STATISTICS: [(&str, bool, bool); 7] = [
    ("verdict", true, true),
    ("corrected_p", true, true),
    ("psi", true, true),
    ("jensen_shannon", true, true),
    ("ks", true, false),
    ("wasserstein", true, false),
    ("chi_squared", true, true),
];

/// The gauges of each column, in the order of the reports.
pub(super) struct DriftMeters {
    features: Vec<Column>,
    predictions: Vec<Column>,
}

type Column = [Gauge; STATISTICS.len()];

impl VersionMeters {
    /// Sets the gauges of drift to `report`, which is about `columns`. The first call registers them.
    pub fn drift(&self, columns: &Columns, report: &DriftReport) {
        let meters = self.drift.get_or_init(|| self.register(columns));
        meters.tell(report);
    }

    fn register(&self, columns: &Columns) -> DriftMeters {
        let each = |column: &FeaturePair, metric: &'static str, label: &'static str| {
            let numbers = matches!(column.pair, Pair::Numbers { .. });
            STATISTICS.map(|(statistic, of_numbers, of_texts)| {
                if if numbers { of_numbers } else { of_texts } {
                    gauge!(metric, label => column.name.clone(), "statistic" => statistic)
                } else {
                    Gauge::noop()
                }
            })
        };
        self.scope.enter(|| DriftMeters {
            features: columns
                .features
                .iter()
                .map(|column| each(column, "taper_feature_drift", "feature"))
                .collect(),
            predictions: columns
                .predictions
                .iter()
                .map(|column| each(column, "taper_prediction_drift", "output"))
                .collect(),
        })
    }
}

impl DriftMeters {
    fn tell(&self, report: &DriftReport) {
        let features = self.features.iter().zip(&report.features);
        let predictions = self.predictions.iter().zip(&report.predictions);
        for (gauges, finding) in features.chain(predictions) {
            for (gauge, value) in gauges.iter().zip(values(finding)) {
                gauge.set(value);
            }
        }
    }
}

/// In the order of [`STATISTICS`].
fn values(finding: &Finding) -> [f64; STATISTICS.len()] {
    let Outcome::Measured(statistics) = &finding.outcome else {
        return [f64::NAN; STATISTICS.len()];
    };
    let value = |one: Option<Measured>| one.map_or(f64::NAN, |one| one.value);
    [
        match statistics.severity {
            Severity::None => 0.0,
            Severity::Moderate => 1.0,
            Severity::Severe => 2.0,
        },
        statistics.p_corrected,
        statistics.psi.value,
        statistics.js.value,
        value(statistics.ks),
        value(statistics.wasserstein),
        statistics
            .chi_squared
            .map_or(f64::NAN, |test| test.statistic),
    ]
}

impl fmt::Debug for DriftMeters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DriftMeters")
    }
}
