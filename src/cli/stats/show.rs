//! How statistics are shown: as JSON with everything, and as tables for people.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::client::wire;
use crate::proto::v1;
use crate::terminal::table::{part_of, table, thousands};

/// The relative error of quantiles that is usual, and not worth a word.
const FINEST: f64 = 1.0 / 256.0;

/// The statistics of one model.
#[derive(Debug, Serialize)]
pub(super) struct Listing {
    model: String,
    relative_error: f64,
    stats: Vec<Line>,
}

/// One version in one role and window.
#[derive(Debug, Serialize)]
struct Line {
    version: u64,
    role: &'static str,
    window: &'static str,
    /// RFC 3339.
    to: Option<String>,
    length_seconds: f64,
    codes: BTreeMap<String, u64>,
    rows: u64,
    queue_seconds: Option<Numbers>,
    inference_seconds: Option<Numbers>,
    total_seconds: Option<Numbers>,
    scores: Vec<Score>,
    classes: Vec<Count>,
    confidence: Option<Numbers>,
    features: Vec<Feature>,
    features_left_out: u64,
}

#[derive(Debug, Serialize)]
struct Numbers {
    count: u64,
    mean: f64,
    std: f64,
    min: f64,
    max: f64,
    p50: f64,
    p90: f64,
    p95: f64,
    p99: f64,
    p999: f64,
    relative_error: f64,
    beyond: u64,
    bars: Vec<Bar>,
}

#[derive(Debug, Serialize)]
struct Bar {
    low: f64,
    high: f64,
    count: u64,
}

#[derive(Debug, Serialize)]
struct Score {
    output: String,
    distribution: Option<Numbers>,
}

#[derive(Debug, Serialize)]
struct Count {
    name: String,
    count: u64,
}

#[derive(Debug, Serialize)]
struct Feature {
    name: String,
    count: u64,
    missing: u64,
    clipped: u64,
    unknown: u64,
    other: u64,
    numbers: Option<Numbers>,
    categories: Vec<Count>,
}

impl From<v1::GetStatsResponse> for Listing {
    fn from(response: v1::GetStatsResponse) -> Self {
        Self {
            model: response.model,
            relative_error: response.relative_error,
            stats: response.stats.into_iter().map(Line::from).collect(),
        }
    }
}

impl From<v1::VersionStats> for Line {
    fn from(stats: v1::VersionStats) -> Self {
        let role = wire::role(stats.role());
        let length = stats.length.unwrap_or_default();
        let scores = stats.scores.into_iter().map(|score| Score {
            output: score.name,
            distribution: score.distribution.map(Numbers::from),
        });
        Self {
            version: stats.version,
            role,
            window: match v1::StatsWindow::try_from(stats.window) {
                Ok(v1::StatsWindow::Minute) => "1m",
                Ok(v1::StatsWindow::FiveMinutes) => "5m",
                Ok(v1::StatsWindow::Hour) => "1h",
                Ok(v1::StatsWindow::SinceLoad) => "all",
                _ => "unknown",
            },
            to: stats.to.map(|to| to.to_string()),
            length_seconds: length.seconds as f64 + f64::from(length.nanos) / 1e9,
            codes: stats.codes.into_iter().collect(),
            rows: stats.rows,
            queue_seconds: stats.queue_seconds.map(Numbers::from),
            inference_seconds: stats.inference_seconds.map(Numbers::from),
            total_seconds: stats.total_seconds.map(Numbers::from),
            scores: scores.collect(),
            classes: stats.classes.into_iter().map(Count::from).collect(),
            confidence: stats.confidence.map(Numbers::from),
            features: stats.features.into_iter().map(Feature::from).collect(),
            features_left_out: stats.features_left_out,
        }
    }
}

impl From<v1::Distribution> for Numbers {
    fn from(one: v1::Distribution) -> Self {
        let bars = one.bars.into_iter().map(|bar| Bar {
            low: bar.low,
            high: bar.high,
            count: bar.count,
        });
        Self {
            count: one.count,
            mean: one.mean,
            std: one.std,
            min: one.min,
            max: one.max,
            p50: one.p50,
            p90: one.p90,
            p95: one.p95,
            p99: one.p99,
            p999: one.p999,
            relative_error: one.relative_error,
            beyond: one.beyond,
            bars: bars.collect(),
        }
    }
}

impl From<v1::NamedCount> for Count {
    fn from(one: v1::NamedCount) -> Self {
        let (name, count) = (one.name, one.count);
        Self { name, count }
    }
}

impl From<v1::FeatureStats> for Feature {
    fn from(one: v1::FeatureStats) -> Self {
        Self {
            name: one.name,
            count: one.count,
            missing: one.missing,
            clipped: one.clipped,
            unknown: one.unknown,
            other: one.other,
            numbers: one.numbers.map(Numbers::from),
            categories: one.categories.into_iter().map(Count::from).collect(),
        }
    }
}

impl Listing {
    /// A table of the versions, and one for the inputs of each that tells any.
    pub(super) fn readable(&self) -> String {
        let Some(first) = self.stats.first() else {
            return format!(
                "{}\nno requests: no version has answered in this role",
                self.model
            );
        };
        let header = [
            "version",
            "role",
            "requests",
            "per s",
            "errors",
            "queue p50",
            "p99",
            "inference p50",
            "p99",
            "total p50",
            "p99",
            "mean score",
            "confidence",
            "classes",
        ];
        let right = [0, 2, 3, 4, 5, 6, 7, 8, 9, 10];
        let rows = self.stats.iter().map(Line::row);
        let mut text = format!("{}   window {}\n", self.model, first.window);
        text.push_str(&table(&header, &right, rows));
        for line in self.stats.iter().filter(|line| !line.features.is_empty()) {
            text.push_str(&line.inputs());
        }
        text
    }
}

impl Line {
    fn row(&self) -> Vec<String> {
        let requests = self.codes.values().sum::<u64>();
        let good = self.codes.get("OK").copied().unwrap_or_default();
        let rate = requests as f64 / self.length_seconds.max(1.0);
        let times = [
            &self.queue_seconds,
            &self.inference_seconds,
            &self.total_seconds,
        ];
        let times = times.into_iter().flat_map(|numbers| {
            let at = |read: fn(&Numbers) -> f64| told(numbers.as_ref(), |one| seconds(read(one)));
            [at(|one| one.p50), at(|one| one.p99)]
        });
        let mean = |one: &Numbers| format!("{:.4}", one.mean);
        let scores = self.scores.iter().map(|score| {
            let mean = told(score.distribution.as_ref(), mean);
            format!("{} {mean}", score.output)
        });
        let all = self.classes.iter().map(|class| class.count).sum();
        let classes = self.classes.iter().filter(|class| class.count > 0);
        let classes = classes.map(|one| format!("{} {}", one.name, part_of(one.count, all)));
        let mut row = vec![
            self.version.to_string(),
            self.role.to_owned(),
            thousands(requests),
            format!("{rate:.1}"),
            part_of(requests - good, requests),
        ];
        row.extend(times);
        row.push(scores.collect::<Vec<_>>().join("\n"));
        row.push(told(self.confidence.as_ref(), mean));
        row.push(classes.collect::<Vec<_>>().join("\n"));
        row
    }

    fn inputs(&self) -> String {
        let header = [
            "input",
            "values",
            "missing",
            "clipped",
            "unknown",
            "mean",
            "p50",
            "p99",
            "distribution",
        ];
        let rows = self.features.iter().map(Feature::row);
        let mut text = format!("\n\nversion {}   {}\n", self.version, self.role);
        text.push_str(&table(&header, &[1, 2, 3, 4, 5, 6, 7], rows));
        let is_coarse = |one: &&Feature| {
            let numbers = one.numbers.as_ref();
            numbers.is_some_and(|one| one.relative_error > FINEST)
        };
        for one in self.features.iter().filter(is_coarse) {
            let error = told(one.numbers.as_ref(), |one| short(one.relative_error));
            text.push_str(&format!(
                "\n{}: quantiles within {error} only, values of too many sizes for `insight.max_bytes_per_version`",
                one.name
            ));
        }
        if self.features_left_out > 0 {
            let more = self.features_left_out;
            text.push_str(&format!(
                "\n{more} more are not recorded: `insight.max_features`, `insight.max_bytes_per_version`"
            ));
        }
        text
    }
}

impl Feature {
    fn row(&self) -> Vec<String> {
        let numbers = self.numbers.as_ref();
        let at = |read: fn(&Numbers) -> f64| told(numbers, |one| short(read(one)));
        vec![
            self.name.clone(),
            thousands(self.count),
            part_of(self.missing, self.count),
            part_of(self.clipped, self.count),
            part_of(self.unknown, self.count),
            at(|one| one.mean),
            at(|one| one.p50),
            at(|one| one.p99),
            match numbers {
                Some(numbers) => spark(numbers),
                None => self.most(),
            },
        ]
    }

    /// The three most frequent categories.
    fn most(&self) -> String {
        let mut counts: Vec<_> = self.categories.iter().collect();
        counts.sort_by_key(|one| std::cmp::Reverse(one.count));
        let told = counts.iter().take(3);
        let told = told.map(|one| format!("{} {}", one.name, part_of(one.count, self.count)));
        told.collect::<Vec<_>>().join(", ")
    }
}

/// `of` the numbers, or `-` where there are none.
fn told(numbers: Option<&Numbers>, of: impl Fn(&Numbers) -> String) -> String {
    numbers
        .filter(|one| one.count > 0)
        .map_or_else(|| "-".into(), of)
}

/// `950ns`, `12.3µs`, `4.56ms`, `1.20s`.
fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 1e-6 => format!("{:.0}ns", s * 1e9),
        s if s < 1e-3 => format!("{:.1}µs", s * 1e6),
        s if s < 1.0 => format!("{:.2}ms", s * 1e3),
        s => format!("{s:.2}s"),
    }
}

/// Four digits, or with an exponent where they would not do.
fn short(x: f64) -> String {
    if x == 0.0 || (1e-3..1e6).contains(&x.abs()) {
        let digits = if x.abs() < 10.0 { 3 } else { 1 };
        format!("{x:.digits$}")
    } else {
        format!("{x:.2e}")
    }
}

/// Twenty blocks from the smallest to the largest value, the tallest for the most frequent.
fn spark(numbers: &Numbers) -> String {
    const WIDTH: usize = 20;
    const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let ends = numbers.bars.first().zip(numbers.bars.last());
    let (low, high) = ends.map_or((0.0, 0.0), |(first, last)| (first.low, last.high));
    let span = high - low;
    let mut heights = [0_u64; WIDTH];
    for bar in &numbers.bars {
        let middle = (bar.low + bar.high) / 2.0 - low;
        let at = if span > 0.0 {
            middle / span * WIDTH as f64
        } else {
            0.0
        };
        heights[(at as usize).min(WIDTH - 1)] += bar.count;
    }
    let most = heights.iter().copied().max().unwrap_or_default().max(1);
    // What is there is seen, however little it is.
    let blocks = heights.map(|height| BLOCKS[(height * 8).div_ceil(most).min(8) as usize]);
    blocks.iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_numbers_are_short() {
        let told: Vec<_> = [2e-8, 1.23e-5, 0.00456, 1.2].map(seconds).into();
        assert_eq!(told, ["20ns", "12.3µs", "4.56ms", "1.20s"]);
        let told: Vec<_> = [0.0, 1.5, -273.15, 1.2e9].map(short).into();
        assert_eq!(told, ["0.000", "1.500", "-273.1", "1.20e9"]);
    }

    #[test]
    fn a_histogram_shows_what_is_rare_too() {
        let bar = |low: f64, count| v1::Bar {
            low,
            high: low + 1.0,
            count,
        };
        let numbers = Numbers::from(v1::Distribution {
            min: 0.0,
            max: 20.0,
            bars: vec![bar(0.0, 1_000), bar(10.0, 500), bar(19.0, 1)],
            ..v1::Distribution::default()
        });
        assert_eq!(spark(&numbers), "█         ▄        ▁");
    }

    #[test]
    fn json_has_every_figure() {
        let distribution = || {
            Some(v1::Distribution {
                count: 3,
                mean: 0.5,
                std: 0.25,
                min: 0.1,
                max: 0.9,
                p50: 0.5,
                p90: 0.8,
                p95: 0.85,
                p99: 0.9,
                p999: 0.9,
                bars: vec![v1::Bar {
                    low: 0.0,
                    high: 1.0,
                    count: 3,
                }],
                relative_error: FINEST,
                beyond: 1,
            })
        };
        let count = |name: &str, count| v1::NamedCount {
            name: name.into(),
            count,
        };
        let full = v1::VersionStats {
            version: 2,
            role: v1::Role::Shadow.into(),
            window: v1::StatsWindow::FiveMinutes.into(),
            to: Some(prost_types::Timestamp {
                seconds: 60,
                nanos: 500_000_000,
            }),
            length: Some(prost_types::Duration {
                seconds: 299,
                nanos: 250_000_000,
            }),
            codes: [("OK".into(), 7), ("INTERNAL".into(), 1)].into(),
            rows: 9,
            queue_seconds: None,
            inference_seconds: distribution(),
            total_seconds: distribution(),
            scores: vec![v1::NamedDistribution {
                name: "late".into(),
                distribution: distribution(),
            }],
            classes: vec![count("late", 4)],
            confidence: distribution(),
            features: vec![v1::FeatureStats {
                name: "carrier".into(),
                count: 9,
                missing: 1,
                clipped: 2,
                numbers: None,
                categories: vec![count("UA", 8)],
                other: 3,
                unknown: 4,
            }],
            features_left_out: 5,
        };
        let listing = Listing::from(v1::GetStatsResponse {
            model: "m".into(),
            stats: vec![full, v1::VersionStats::default()],
            relative_error: FINEST,
        });
        insta::assert_snapshot!(serde_json::to_string_pretty(&listing).unwrap());
    }
}
