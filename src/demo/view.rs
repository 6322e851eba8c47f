//! The text that the demo draws. Pure functions.

use std::time::Duration;

use super::quality::{self, QualityFigures};
use super::results::{Results, VersionResults};
use crate::client::v1::GetTrafficPolicyResponse;
use crate::terminal::progress::Screen;
use crate::terminal::table::{or_dash, per_cent, percentage, table, thousands};

/// The state of the demo at one time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    /// The policy in force, and the requests counted under it.
    pub(super) policy: &'a GetTrafficPolicyResponse,
    /// The gateway's figures about the versions.
    pub(super) quality: &'a QualityFigures,
    /// The predictions as the demo received them.
    pub(super) results: &'a Results,
    /// The names of the two classes: on time, late.
    pub(super) classes: &'a [String; 2],
    /// Day of the last flight sent.
    pub(super) date: &'a str,
    /// Since the first flight.
    pub(super) elapsed: Duration,
}

impl Scene<'_> {
    /// Returns the versions with a share, and those that have answered.
    fn versions(&self) -> Vec<u64> {
        let split = self.policy.counted.iter().map(|row| row.version);
        let mut versions: Vec<_> = split.collect();
        versions.extend(self.results.versions.keys());
        versions.sort_unstable();
        versions.dedup();
        versions
    }

    /// Returns the share of `version` in basis points, by its number and by labels.
    fn target(&self, version: u64) -> u32 {
        let split = self.policy.policy.iter().flat_map(|policy| &policy.split);
        let rows = split.zip(&self.policy.counted);
        rows.filter(|(_, row)| row.version == version)
            .map(|(share, _)| share.basis_points)
            .sum()
    }

    fn counted(&self, version: u64) -> String {
        let rows = &self.policy.counted;
        let all = rows.iter().map(|row| row.requests).sum();
        let own = rows.iter().filter(|row| row.version == version);
        percentage(own.map(|row| row.requests).sum(), all)
    }

    fn errors(&self) -> String {
        let errors = &self.results.errors;
        if errors.is_empty() {
            return "no errors".into();
        }
        let each = errors
            .iter()
            .map(|(code, count)| format!("{} {code}", thousands(*count)));
        format!("errors: {}", each.collect::<Vec<_>>().join(", "))
    }
}

/// Returns a table with one row for each version, at most `width` characters wide. The least important columns come last, and are left
/// out if they do not fit.
pub(super) fn live(scene: &Scene<'_>, width: usize) -> String {
    let answers = fitted(columns(scene), width);
    let mut by_outcomes = String::new();
    if !scene.quality.outcomes.is_empty() {
        let table = fitted(quality::columns(scene.quality), width);
        by_outcomes = format!("\nby the outcomes reported since:\n{table}");
    }
    format!(
        "{}   policy revision {}   flights of {}   {} answered, {}\n{answers}{by_outcomes}",
        scene.policy.model,
        scene.policy.revision,
        scene.date,
        thousands(scene.results.answers()),
        scene.errors(),
    )
}

/// Returns a table of the first columns, as many as fit.
fn fitted(mut columns: Vec<Column>, width: usize) -> String {
    let mut text = aligned(&columns);
    while columns.len() > 1 && text.lines().any(|line| line.chars().count() > width) {
        columns.pop();
        text = aligned(&columns);
    }
    text
}

/// A header, and one cell for each row.
pub(super) type Column = (String, Vec<String>);

fn columns(scene: &Scene<'_>) -> Vec<Column> {
    let nothing = VersionResults::default();
    let versions = scene.versions();
    let column = |header: &str, cell: &dyn Fn(u64, &VersionResults) -> String| {
        let cells = versions.iter().map(|version| {
            cell(
                *version,
                scene.results.versions.get(version).unwrap_or(&nothing),
            )
        });
        (header.to_owned(), cells.collect())
    };
    let [on_time, late] = scene.classes;
    let count = |results: &VersionResults, class| {
        thousands(results.classes.get(class).copied().unwrap_or(0))
    };
    vec![
        column("version", &|version, _| version.to_string()),
        column("target", &|version, _| per_cent(scene.target(version))),
        column("counted", &|version, _| scene.counted(version)),
        column("answers", &|_, results| thousands(results.answers)),
        column("per s", &|version, _| {
            or_dash(scene.results.rate(version), |rate| format!("{rate:.0}"))
        }),
        column("p50 ms", &|_, results| {
            or_dash(results.percentile(50), milliseconds)
        }),
        column("p99 ms", &|_, results| {
            or_dash(results.percentile(99), milliseconds)
        }),
        column(&format!("mean P({late})"), &|_, results| {
            or_dash(results.mean_score(), |mean| format!("{mean:.3}"))
        }),
        column("AUC", &|_, results| {
            or_dash(results.auc(), |auc| format!("{auc:.3}"))
        }),
        column("accuracy", &|_, results| {
            or_dash(results.accuracy(), |part| format!("{:.1}%", part * 100.0))
        }),
        column(&format!("{on_time} / {late}"), &|_, results| {
            format!("{} / {}", count(results, on_time), count(results, late))
        }),
    ]
}

fn aligned(columns: &[Column]) -> String {
    let header: Vec<_> = columns.iter().map(|(header, _)| header.as_str()).collect();
    let right: Vec<_> = (0..columns.len()).collect();
    let count = columns.first().map_or(0, |(_, cells)| cells.len());
    let rows = (0..count).map(|at| columns.iter().map(|(_, cells)| cells[at].clone()).collect());
    table(&header, &right, rows)
}

/// Returns the scene as one line, for files and pipes.
pub(super) fn line(scene: &Scene<'_>) -> String {
    let nothing = VersionResults::default();
    let versions = scene.versions().into_iter().map(|version| {
        let results = scene.results.versions.get(&version).unwrap_or(&nothing);
        format!(
            "version {version}: {} (counted {}), {}/s, p99 {}, mean {}",
            per_cent(scene.target(version)),
            scene.counted(version),
            or_dash(scene.results.rate(version), |rate| format!("{rate:.0}")),
            or_dash(results.percentile(99), |p99| format!(
                "{} ms",
                milliseconds(p99)
            )),
            or_dash(results.mean_score(), |mean| format!("{mean:.3}")),
        )
    });
    let by_outcomes = match quality::line(scene.quality) {
        line if line.is_empty() => line,
        line => format!(" | by outcomes: {line}"),
    };
    format!(
        "{:5.1}s {} {} answered, {} | {}{by_outcomes}",
        scene.elapsed.as_secs_f64(),
        scene.date,
        thousands(scene.results.answers()),
        scene.errors(),
        versions.collect::<Vec<_>>().join(" | ")
    )
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1_000.0)
}

/// Returns how often to draw: more often on a terminal than line by line.
pub(super) fn period(screen: &Screen) -> Duration {
    match screen {
        Screen::Terminal(_) => Duration::from_millis(500),
        Screen::Lines => Duration::from_secs(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::message;
    use crate::client::v1::{CountedShare, TrafficPolicy};
    use crate::demo::results::Prediction;

    #[test]
    fn the_table_and_the_line_show_versions_with_a_share_and_versions_that_answered() {
        let mut results = Results::default();
        let classes = ["on time".to_owned(), "late".to_owned()];
        results.tick(Duration::ZERO);
        for (version, score, late) in [
            (1, 0.25, false),
            (1, 0.75, true),
            (1, 0.75, false),
            (2, 0.125, false),
        ] {
            results.record(Prediction {
                version,
                latency: Duration::from_micros(1_250),
                class: classes[usize::from(score > 0.5)].clone(),
                score,
                correct: (score > 0.5) == late,
                late,
            });
        }
        results.tick(Duration::from_secs(2));
        results.fail("UNAVAILABLE");
        let policy = GetTrafficPolicyResponse {
            model: "flight-delay".into(),
            revision: 3,
            policy: Some(TrafficPolicy {
                split: [("1", 9_000), ("stable", 950), ("3", 50)]
                    .map(|(target, points)| message::share(&target.parse().unwrap(), points))
                    .to_vec(),
                ..TrafficPolicy::default()
            }),
            counted: vec![
                CountedShare {
                    version: 1,
                    requests: 2,
                },
                CountedShare {
                    version: 1,
                    requests: 1,
                },
                CountedShare {
                    version: 3,
                    requests: 0,
                },
            ],
        };
        let scene = Scene {
            policy: &policy,
            quality: &QualityFigures::default(),
            results: &results,
            classes: &classes,
            date: "2013-07-01",
            elapsed: Duration::from_millis(2_040),
        };
        insta::assert_snapshot!(live(&scene, usize::MAX), @r"
        flight-delay   policy revision 3   flights of 2013-07-01   4 answered, errors: 1 UNAVAILABLE
        ┌─────────┬────────┬─────────┬─────────┬───────┬────────┬────────┬──────────────┬───────┬──────────┬────────────────┐
        │ version ┆ target ┆ counted ┆ answers ┆ per s ┆ p50 ms ┆ p99 ms ┆ mean P(late) ┆   AUC ┆ accuracy ┆ on time / late │
        ╞═════════╪════════╪═════════╪═════════╪═══════╪════════╪════════╪══════════════╪═══════╪══════════╪════════════════╡
        │       1 ┆  99.5% ┆ 100.00% ┆       3 ┆     2 ┆   1.25 ┆   1.25 ┆        0.583 ┆ 0.750 ┆    66.7% ┆          1 / 2 │
        │       2 ┆     0% ┆   0.00% ┆       1 ┆     0 ┆   1.25 ┆   1.25 ┆        0.125 ┆     - ┆   100.0% ┆          1 / 0 │
        │       3 ┆   0.5% ┆   0.00% ┆       0 ┆     0 ┆      - ┆      - ┆            - ┆     - ┆        - ┆          0 / 0 │
        └─────────┴────────┴─────────┴─────────┴───────┴────────┴────────┴──────────────┴───────┴──────────┴────────────────┘
        ");
        insta::assert_snapshot!(line(&scene), @"  2.0s 2013-07-01 4 answered, errors: 1 UNAVAILABLE | version 1: 99.5% (counted 100.00%), 2/s, p99 1.25 ms, mean 0.583 | version 2: 0% (counted 0.00%), 0/s, p99 1.25 ms, mean 0.125 | version 3: 0.5% (counted 0.00%), 0/s, p99 -, mean -");
        let narrow = live(&scene, 60);
        assert!(
            narrow
                .lines()
                .skip(1)
                .all(|line| line.chars().count() <= 60),
            "{narrow}"
        );
        assert!(
            narrow.contains("counted") && !narrow.contains("accuracy"),
            "{narrow}"
        );
    }
}
