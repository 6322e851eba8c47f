//! `GetDrift`: wire to domain and back.

use super::observed::{Versions, role, window, wire_window};
use crate::api::grpc::convert;
use crate::control::ModelView;
use crate::error::{AdminError, InputFaults};
use crate::insight::drift::{
    ColumnPair, ColumnResult, Estimate, Finding, Pair, Rule, Severity, Statistics,
};
use crate::insight::query::Sample;
use crate::insight::query::drift::{Assessment, DriftQuery, VersionDrift, assess_versions};
use crate::proto::v1;
use crate::proto::v1::get_drift_request::Against;
use crate::serving::live;

/// Answers a request for the drift of a model's versions.
///
/// # Errors
/// Returns an error if a version is not known or not READY, if there is no such role or window, or if the earlier window
/// is not longer.
pub(super) fn get(
    live: &live::Snapshot,
    model: &ModelView,
    request: &v1::GetDriftRequest,
) -> Result<v1::GetDriftResponse, AdminError> {
    let versions = Versions::new(live, model);
    let mut faults = InputFaults::default();
    let sample = DriftQuery::sample(
        role("role", request.role, &mut faults),
        window("window", request.window, &mut faults),
    );
    let query = query(sample, request.against.as_ref(), versions, &mut faults)?;
    faults.into_result().map_err(AdminError::InvalidChange)?;
    let answer = assess_versions(&versions.chosen(&request.versions)?, &query);
    Ok(v1::GetDriftResponse {
        model: model.name.to_string(),
        versions: answer.versions.into_iter().map(version).collect(),
        rule: Some(rule(answer.rule)),
    })
}

/// Reads the baseline of the comparison. If it adds a fault, its result is not used.
fn query<'a>(
    sample: Sample,
    against: Option<&Against>,
    versions: Versions<'a>,
    faults: &mut InputFaults,
) -> Result<DriftQuery<'a>, AdminError> {
    match against {
        None => Ok(DriftQuery::against_profile(sample)),
        Some(Against::Other(other)) => {
            let role = role("other.role", other.role, faults);
            let window = window("other.window", other.window, faults);
            let other = versions.one(other.version)?;
            Ok(DriftQuery::against_version(sample, other, role, window))
        }
        Some(Against::Earlier(longer)) => {
            let longer = window("earlier", *longer, faults);
            let query = DriftQuery::against_earlier(sample, longer);
            Ok(query.unwrap_or_else(|error| {
                if faults.is_empty() {
                    let got = wire_window(error.longer).as_str_name();
                    faults.add("earlier", got, "a longer window than `window`");
                }
                DriftQuery::against_profile(sample)
            }))
        }
    }
}

fn version(drift: VersionDrift) -> v1::VersionDrift {
    let compared = match &drift.outcome {
        Ok(assessment) => columns(assessment),
        Err(why) => v1::VersionDrift {
            not_compared: why.to_string(),
            ..Default::default()
        },
    };
    v1::VersionDrift {
        version: drift.version.get(),
        role: convert::role(drift.sample.role).into(),
        window: wire_window(drift.sample.window).into(),
        ..compared
    }
}

fn rule(rule: Rule) -> v1::DriftRule {
    v1::DriftRule {
        alpha: rule.alpha,
        min_rows: rule.min_rows,
        psi: rule.psi,
        ks: rule.ks,
    }
}

fn columns(assessment: &Assessment) -> v1::VersionDrift {
    v1::VersionDrift {
        features: assessment.features().map(column).collect(),
        predictions: assessment.predictions().map(column).collect(),
        features_sensitive: assessment.columns.sensitive as u64,
        features_left_out: assessment.columns.left_out as u64,
        ..Default::default()
    }
}

fn column((column, finding): (&ColumnPair, &Finding)) -> v1::ColumnDrift {
    let kind = match &column.pair {
        Pair::Numbers { .. } => v1::ColumnKind::Numbers,
        Pair::Categories { .. } => v1::ColumnKind::Categories,
    };
    let [reference_rows, rows] = finding.rows;
    let [reference_missing, missing] = finding.missing;
    let counts = v1::ColumnDrift {
        name: finding.name.clone(),
        kind: kind.into(),
        reference_rows,
        rows,
        reference_missing,
        missing,
        ..Default::default()
    };
    match &finding.result {
        ColumnResult::TooFew(_) => v1::ColumnDrift {
            verdict: v1::DriftVerdict::TooFewRows.into(),
            ..counts
        },
        ColumnResult::Compared(statistics) => measured(statistics, counts),
    }
}

fn measured(statistics: &Statistics, counts: v1::ColumnDrift) -> v1::ColumnDrift {
    let range = |one: Estimate| v1::MeasuredStatistic {
        value: one.value,
        low: one.low,
        high: one.high,
    };
    let verdict = match statistics.severity {
        Severity::None => v1::DriftVerdict::Stable,
        Severity::Moderate => v1::DriftVerdict::Moderate,
        Severity::Severe => v1::DriftVerdict::Severe,
    };
    v1::ColumnDrift {
        verdict: verdict.into(),
        kolmogorov_smirnov: statistics.ks.map(range),
        wasserstein: statistics.wasserstein.map(range),
        chi_squared: statistics.chi_squared.map(|test| v1::ChiSquaredTest {
            statistic: test.statistic,
            dof: test.dof,
            p: test.p,
        }),
        psi: Some(range(statistics.psi)),
        jensen_shannon: Some(range(statistics.js)),
        p: Some(statistics.p),
        p_corrected: Some(statistics.p_corrected),
        ..counts
    }
}
