//! The series of drift against the reference profile.
//!
//! A version has a gauge for each statistic of each column that can be compared: at most `insight.max_features` inputs, none
//! of them sensitive, and ten outputs. While there are too few rows they are NaN, which satisfies no comparison in an alert.
//! The statistics are best estimates. The verdict also considers their lower bounds, so an alert should use the verdict.

use std::fmt;

use metrics::Gauge;

use super::labels::DRIFT_STATISTICS;
use super::metric::GaugeMetric;
use super::scope::Scope;
use super::table;
use crate::insight::drift::{
    ColumnPair, ColumnResult, Columns, DriftReport, Estimate, Finding, Pair, Severity,
};

/// Statistics of numbers that columns of texts do not have.
const OF_NUMBERS_ONLY: [&str; 2] = ["ks", "wasserstein"];

/// The gauges of one version, with the columns in the order of the reports.
pub(super) struct DriftMeters {
    features: Vec<ColumnGauges>,
    predictions: Vec<ColumnGauges>,
}

/// The gauges of one column, in the order of [`DRIFT_STATISTICS`].
type ColumnGauges = [Gauge; DRIFT_STATISTICS.len()];

impl DriftMeters {
    pub(super) fn new(version: &Scope, columns: &Columns) -> Self {
        let register = |row: &GaugeMetric, pairs: &[ColumnPair]| {
            let pairs = pairs.iter();
            pairs.map(|pair| gauges(version, row, pair)).collect()
        };
        Self {
            features: register(&table::FEATURE_DRIFT, &columns.features),
            predictions: register(&table::PREDICTION_DRIFT, &columns.predictions),
        }
    }

    /// Sets the gauges to the statistics of `report`.
    pub(super) fn set(&self, report: &DriftReport) {
        let features = self.features.iter().zip(&report.features);
        let predictions = self.predictions.iter().zip(&report.predictions);
        for (gauges, finding) in features.chain(predictions) {
            for (gauge, value) in gauges.iter().zip(values(finding)) {
                gauge.set(value);
            }
        }
    }
}

fn gauges(version: &Scope, row: &GaugeMetric, column: &ColumnPair) -> ColumnGauges {
    let has_numbers = matches!(column.pair, Pair::Numbers { .. });
    DRIFT_STATISTICS.map(|statistic| {
        if has_numbers || !OF_NUMBERS_ONLY.contains(&statistic) {
            version.gauge_with(row, [column.name.clone(), statistic.to_owned()])
        } else {
            Gauge::noop()
        }
    })
}

/// Returns the statistics of one column, in the order of [`DRIFT_STATISTICS`].
fn values(finding: &Finding) -> [f64; DRIFT_STATISTICS.len()] {
    let ColumnResult::Compared(statistics) = &finding.result else {
        return [f64::NAN; DRIFT_STATISTICS.len()];
    };
    let value = |one: Option<Estimate>| one.map_or(f64::NAN, |one| one.value);
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
