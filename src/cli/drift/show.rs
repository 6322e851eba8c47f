//! How drift is shown: as JSON with everything, and as a table a version for people, the worst first.

use serde::Serialize;

use crate::proto::v1;
use crate::terminal::table::{part_of, table, thousands};

/// The drift of one model.
#[derive(Debug, Serialize)]
pub(super) struct Listing {
    model: String,
    against: String,
    rule: Option<Rule>,
    versions: Vec<Version>,
}

#[derive(Debug, Serialize)]
struct Rule {
    alpha: f64,
    min_rows: u64,
    psi: f64,
    ks: f64,
}

#[derive(Debug, Serialize)]
struct Version {
    version: u64,
    role: String,
    window: String,
    /// Why there is nothing to compare; `null` where there is.
    not_compared: Option<String>,
    features: Vec<Column>,
    predictions: Vec<Column>,
    features_sensitive: u64,
    features_left_out: u64,
}

#[derive(Debug, Serialize)]
struct Column {
    name: String,
    kind: String,
    verdict: &'static str,
    reference_rows: u64,
    rows: u64,
    reference_missing: u64,
    missing: u64,
    kolmogorov_smirnov: Option<Measured>,
    wasserstein: Option<Measured>,
    chi_squared: Option<ChiSquared>,
    psi: Option<Measured>,
    jensen_shannon: Option<Measured>,
    p: Option<f64>,
    p_corrected: Option<f64>,
    #[serde(skip)]
    severity: i32,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Measured {
    value: f64,
    low: f64,
    high: f64,
}

#[derive(Debug, Serialize)]
struct ChiSquared {
    statistic: f64,
    dof: u64,
    p: f64,
}

impl Listing {
    /// `against` says in words what is compared with.
    pub(super) fn of(response: v1::GetDriftResponse, against: String) -> Self {
        Self {
            model: response.model,
            against,
            rule: response.rule.map(|rule| Rule {
                alpha: rule.alpha,
                min_rows: rule.min_rows,
                psi: rule.psi,
                ks: rule.ks,
            }),
            versions: response.versions.into_iter().map(Version::from).collect(),
        }
    }

    /// A table for each version.
    pub(super) fn readable(&self) -> String {
        if self.versions.is_empty() {
            return format!("{}\nno version is READY", self.model);
        }
        let head = format!("{}   against {}", self.model, self.against);
        let tables = self.versions.iter().map(|one| one.readable(self));
        let parts: Vec<String> = std::iter::once(head).chain(tables).collect();
        parts.join("\n")
    }
}

impl From<v1::VersionDrift> for Version {
    fn from(one: v1::VersionDrift) -> Self {
        let columns = |columns: Vec<v1::ColumnDrift>| -> Vec<Column> {
            columns.into_iter().map(Column::from).collect()
        };
        Self {
            version: one.version,
            role: word(one.role().as_str_name(), "ROLE_"),
            window: match one.window() {
                v1::StatsWindow::Minute => "1m",
                v1::StatsWindow::FiveMinutes => "5m",
                v1::StatsWindow::Hour => "1h",
                v1::StatsWindow::SinceLoad => "all",
                v1::StatsWindow::Unspecified => "unknown",
            }
            .to_owned(),
            not_compared: (!one.not_compared.is_empty()).then_some(one.not_compared),
            features: columns(one.features),
            predictions: columns(one.predictions),
            features_sensitive: one.features_sensitive,
            features_left_out: one.features_left_out,
        }
    }
}

impl From<v1::ColumnDrift> for Column {
    fn from(one: v1::ColumnDrift) -> Self {
        let verdict = match one.verdict() {
            v1::DriftVerdict::TooFewRows => "too few rows",
            v1::DriftVerdict::Stable => "stable",
            v1::DriftVerdict::Moderate => "moderate",
            v1::DriftVerdict::Severe => "severe",
            v1::DriftVerdict::Unspecified => "unknown",
        };
        let measured = |one: Option<v1::MeasuredStatistic>| {
            one.map(|one| Measured {
                value: one.value,
                low: one.low,
                high: one.high,
            })
        };
        Self {
            kind: word(one.kind().as_str_name(), "COLUMN_KIND_"),
            verdict,
            severity: one.verdict,
            name: one.name,
            reference_rows: one.reference_rows,
            rows: one.rows,
            reference_missing: one.reference_missing,
            missing: one.missing,
            kolmogorov_smirnov: measured(one.kolmogorov_smirnov),
            wasserstein: measured(one.wasserstein),
            chi_squared: one.chi_squared.map(|test| ChiSquared {
                statistic: test.statistic,
                dof: test.dof,
                p: test.p,
            }),
            psi: measured(one.psi),
            jensen_shannon: measured(one.jensen_shannon),
            p: one.p,
            p_corrected: one.p_corrected,
        }
    }
}

/// `ROLE_PRIMARY` as `primary`.
fn word(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_lowercase()
}

impl Version {
    fn readable(&self, listing: &Listing) -> String {
        let mut text = format!(
            "\nversion {}   {}   window {}\n",
            self.version, self.role, self.window
        );
        if let Some(why) = &self.not_compared {
            return text + why;
        }
        let mut columns: Vec<(&str, &Column)> = self
            .predictions
            .iter()
            .map(|column| ("prediction", column))
            .chain(self.features.iter().map(|column| ("input", column)))
            .collect();
        // The worst first, then what has moved furthest.
        columns.sort_by(|(_, one), (_, two)| {
            let by_size = two.size().total_cmp(&one.size());
            two.severity.cmp(&one.severity).then(by_size)
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
        let rows = columns.into_iter().map(|(what, column)| column.row(what));
        text.push_str(&table(&header, &[3, 4, 5, 6, 7, 8, 9, 10, 11], rows));
        if let Some(rule) = &listing.rule {
            text.push_str(&format!(
                "\ndrift: corrected p below {} and psi from {} or KS from {}, on at least {} rows",
                rule.alpha, rule.psi, rule.ks, rule.min_rows
            ));
        }
        if self.features_sensitive > 0 {
            let some = self.features_sensitive;
            text.push_str(&format!("\n{some} sensitive not compared"));
        }
        if self.features_left_out > 0 {
            let some = self.features_left_out;
            text.push_str(&format!(
                "\n{some} not compared: not recorded (`insight.features`, `insight.max_features`) or not known to the other side"
            ));
        }
        text
    }
}

impl Column {
    fn size(&self) -> f64 {
        self.psi.map_or(0.0, |psi| psi.value)
    }

    fn row(&self, what: &str) -> Vec<String> {
        let value = |one: Option<Measured>| one.map_or_else(|| "-".into(), |one| short(one.value));
        // Of texts, rows without one are among the rows.
        let all = match self.kind.as_str() {
            "numbers" => self.rows + self.missing,
            _ => self.rows,
        };
        vec![
            self.verdict.to_owned(),
            what.to_owned(),
            self.name.clone(),
            thousands(self.rows),
            thousands(self.reference_rows),
            part_of(self.missing, all),
            self.p_corrected.map_or_else(|| "-".into(), chance),
            value(self.psi),
            value(self.kolmogorov_smirnov),
            value(self.jensen_shannon),
            value(self.wasserstein),
            self.chi_squared
                .as_ref()
                .map_or_else(|| "-".into(), |test| format!("{:.1}", test.statistic)),
        ]
    }
}

/// `0.043`, `3.2e15`.
fn short(value: f64) -> String {
    if value.abs() < 1e7 {
        format!("{value:.3}")
    } else {
        format!("{value:.1e}")
    }
}

/// `0.043`, `<0.001`.
fn chance(p: f64) -> String {
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
        let listing = Listing::of(response, "the reference profile".into());
        insta::assert_snapshot!(listing.readable());
        let json = serde_json::to_value(&listing).unwrap();
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
        let listing = Listing::of(response, "version 3".into());
        insta::assert_snapshot!(serde_json::to_string_pretty(&listing).unwrap());
    }
}
