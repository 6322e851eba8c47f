//! A drift report as JSON, and as one table for each version with the worst columns first.

use serde::Serialize;

use crate::client::v1::{self, ColumnDrift, ColumnKind, MeasuredStatistic, VersionDrift};
use crate::terminal::table::{or_dash, percentage, table, thousands};

/// The drift of one model, and what it was compared with.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    model: String,
    against: String,
    rule: Option<v1::DriftRule>,
    versions: Vec<VersionDrift>,
}

impl Report {
    /// Returns the report of a response. `against` says in words what the versions are compared with.
    pub(super) fn new(response: v1::GetDriftResponse, against: String) -> Self {
        Self {
            model: response.model,
            against,
            rule: response.rule,
            versions: response.versions,
        }
    }

    /// Returns one table for each version.
    pub(super) fn readable(&self) -> String {
        if self.versions.is_empty() {
            return format!("{}\nno version is READY", self.model);
        }
        let head = format!("{}   against {}", self.model, self.against);
        let rule = self.rule.as_ref();
        let tables = self.versions.iter().map(|one| version_text(one, rule));
        let parts: Vec<String> = std::iter::once(head).chain(tables).collect();
        parts.join("\n")
    }
}

fn version_text(version: &VersionDrift, rule: Option<&v1::DriftRule>) -> String {
    let mut text = format!(
        "\nversion {}   {}   window {}\n",
        version.version,
        version.role().name(),
        version.window().name()
    );
    if !version.not_compared.is_empty() {
        return text + &version.not_compared;
    }
    text.push_str(&column_table(version));
    if let Some(rule) = rule {
        text.push_str(&format!(
            "\ndrift: corrected p below {} and psi from {} or KS from {}, on at least {} rows",
            rule.alpha, rule.psi, rule.ks, rule.min_rows
        ));
    }
    if version.features_sensitive > 0 {
        let sensitive = version.features_sensitive;
        text.push_str(&format!("\n{sensitive} sensitive not compared"));
    }
    if version.features_left_out > 0 {
        let left_out = version.features_left_out;
        text.push_str(&format!(
            "\n{left_out} not compared: not recorded (`insight.features`, `insight.max_features`) or unknown to the other side"
        ));
    }
    text
}

/// Returns all columns, sorted by verdict, then by PSI; the worst first.
fn column_table(version: &VersionDrift) -> String {
    let predictions = version.predictions.iter().map(|one| ("prediction", one));
    let features = version.features.iter().map(|one| ("input", one));
    let mut columns: Vec<(&str, &ColumnDrift)> = predictions.chain(features).collect();
    columns.sort_by(|(_, one), (_, two)| {
        let by_psi = psi(two).total_cmp(&psi(one));
        two.verdict.cmp(&one.verdict).then(by_psi)
    });
    let header = [
        "verdict",
        "what",
        "name",
        "rows",
        "reference",
        "missing",
        "p",
        "psi",
        "KS",
        "JS",
        "moved by",
        "chi2",
    ];
    let rows = columns.into_iter().map(|(what, one)| row(what, one));
    table(&header, &[3, 4, 5, 6, 7, 8, 9, 10, 11], rows)
}

fn psi(column: &ColumnDrift) -> f64 {
    column.psi.as_ref().map_or(0.0, |psi| psi.value)
}

fn row(what: &str, column: &ColumnDrift) -> Vec<String> {
    let value = |one: Option<&MeasuredStatistic>| or_dash(one, |one| short(one.value));
    // The rows of a column of categories include those with a missing value.
    let all = match column.kind() {
        ColumnKind::Numbers => column.rows + column.missing,
        _ => column.rows,
    };
    vec![
        column.verdict().name().to_owned(),
        what.to_owned(),
        column.name.clone(),
        thousands(column.rows),
        thousands(column.reference_rows),
        percentage(column.missing, all),
        or_dash(column.p_corrected, p_value),
        value(column.psi.as_ref()),
        value(column.kolmogorov_smirnov.as_ref()),
        value(column.jensen_shannon.as_ref()),
        value(column.wasserstein.as_ref()),
        or_dash(column.chi_squared.as_ref(), |test| {
            format!("{:.1}", test.statistic)
        }),
    ]
}

/// Returns `0.043`, or `3.2e15` for large values.
fn short(value: f64) -> String {
    if value.abs() < 1e7 {
        format!("{value:.3}")
    } else {
        format!("{value:.1e}")
    }
}

/// Returns `0.043`, or `<0.001` for small values.
fn p_value(p: f64) -> String {
    if p < 0.001 {
        "<0.001".into()
    } else {
        format!("{p:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, verdict: v1::DriftVerdict, psi: f64) -> v1::ColumnDrift {
        let at = |value| {
            Some(v1::MeasuredStatistic {
                value,
                low: value,
                high: value,
            })
        };
        let measured = verdict != v1::DriftVerdict::TooFewRows;
        v1::ColumnDrift {
            name: name.into(),
            kind: v1::ColumnKind::Numbers.into(),
            verdict: verdict.into(),
            reference_rows: 20_400,
            rows: if measured { 1_000 } else { 20 },
            psi: measured.then(|| at(psi)).flatten(),
            kolmogorov_smirnov: measured.then(|| at(psi / 2.0)).flatten(),
            wasserstein: measured.then(|| at(psi * 1e300)).flatten(),
            missing: 50,
            p_corrected: measured.then_some(1e-9),
            ..Default::default()
        }
    }

    #[test]
    fn the_worst_comes_first() {
        let response = v1::GetDriftResponse {
            model: "m".into(),
            versions: vec![
                v1::VersionDrift {
                    version: 1,
                    role: v1::Role::Primary.into(),
                    window: v1::StatsWindow::Hour.into(),
                    not_compared: "its manifest has no reference profile".into(),
                    ..Default::default()
                },
                v1::VersionDrift {
                    version: 2,
                    role: v1::Role::Primary.into(),
                    window: v1::StatsWindow::Hour.into(),
                    features: vec![
                        column("day", v1::DriftVerdict::Stable, 0.01),
                        column("humid", v1::DriftVerdict::Moderate, 0.2),
                        column("temp", v1::DriftVerdict::Severe, 0.5),
                    ],
                    predictions: vec![column("late", v1::DriftVerdict::TooFewRows, 0.0)],
                    features_sensitive: 1,
                    ..Default::default()
                },
            ],
            rule: None,
        };
        let report = Report::new(response, "the reference profile".into());
        insta::assert_snapshot!(report.readable());
        let json = serde_json::to_value(&report).unwrap();
        let first = &json["versions"][1]["features"][0];
        assert_eq!(
            (&first["kind"], &first["verdict"]),
            (&"numbers".into(), &"stable".into())
        );
    }

    #[test]
    fn json_has_every_measure() {
        let at = |value| {
            Some(v1::MeasuredStatistic {
                value,
                low: value / 2.0,
                high: value * 2.0,
            })
        };
        let full = v1::ColumnDrift {
            name: "carrier".into(),
            kind: v1::ColumnKind::Categories.into(),
            verdict: v1::DriftVerdict::TooFewRows.into(),
            reference_rows: 100,
            rows: 50,
            kolmogorov_smirnov: at(0.125),
            wasserstein: at(0.25),
            chi_squared: Some(v1::ChiSquaredTest {
                statistic: 3.5,
                dof: 2,
                p: 0.25,
            }),
            psi: at(0.5),
            jensen_shannon: at(1.0),
            p: Some(0.25),
            p_corrected: Some(0.5),
            reference_missing: 3,
            missing: 4,
        };
        let response = v1::GetDriftResponse {
            model: "m".into(),
            versions: vec![
                v1::VersionDrift {
                    version: 1,
                    role: v1::Role::Fallback.into(),
                    window: v1::StatsWindow::SinceLoad.into(),
                    not_compared: "its manifest has no reference profile".into(),
                    ..Default::default()
                },
                v1::VersionDrift {
                    version: 2,
                    role: v1::Role::Primary.into(),
                    window: v1::StatsWindow::Minute.into(),
                    not_compared: String::new(),
                    features: vec![full],
                    predictions: vec![column("late", v1::DriftVerdict::TooFewRows, 0.0)],
                    features_sensitive: 1,
                    features_left_out: 2,
                },
            ],
            rule: Some(v1::DriftRule {
                alpha: 0.05,
                min_rows: 500,
                psi: 0.1,
                ks: 0.2,
            }),
        };
        let report = Report::new(response, "version 3".into());
        insta::assert_snapshot!(serde_json::to_string_pretty(&report).unwrap());
    }
}
