//! Statistics as tables.

use crate::client::{names, v1};
use crate::terminal::table::{or_dash, percentage, table, thousands};

/// The usual relative error of quantiles. Only larger errors are shown.
const USUAL_ERROR: f64 = 1.0 / 256.0;

/// Returns a table of the versions, and a table of the inputs of each version that has any.
pub(super) fn readable(response: &v1::GetStatsResponse) -> String {
    let Some(first) = response.stats.first() else {
        return format!(
            "{}\nno requests: no version has answered in this role",
            response.model
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
    let rows = response.stats.iter().map(version_row);
    let mut text = format!("{}   window {}\n", response.model, first.window().name());
    text.push_str(&table(&header, &right, rows));
    let with_inputs = response.stats.iter().filter(|one| !one.features.is_empty());
    with_inputs.for_each(|one| text.push_str(&inputs(one)));
    text
}

fn version_row(stats: &v1::VersionStats) -> Vec<String> {
    let requests = stats.codes.values().sum::<u64>();
    let succeeded = stats.codes.get("OK").copied().unwrap_or_default();
    let length = names::seconds(stats.length.as_ref());
    let rate = requests as f64 / length.max(1.0);
    let times = [
        &stats.queue_seconds,
        &stats.inference_seconds,
        &stats.total_seconds,
    ];
    let times = times.into_iter().flat_map(|distribution| {
        let quantile = |read: fn(&v1::Distribution) -> f64| {
            figure(distribution.as_ref(), |one| seconds(read(one)))
        };
        [quantile(|one| one.p50), quantile(|one| one.p99)]
    });
    let mean = |one: &v1::Distribution| format!("{:.4}", one.mean);
    let scores = stats.scores.iter().map(|score| {
        let mean = figure(score.distribution.as_ref(), mean);
        format!("{} {mean}", score.name)
    });
    let rows = stats.classes.iter().map(|class| class.count).sum();
    let classes = stats.classes.iter().filter(|class| class.count > 0);
    let classes = classes.map(|one| format!("{} {}", one.name, percentage(one.count, rows)));
    let mut row = vec![
        stats.version.to_string(),
        stats.role().name().to_owned(),
        thousands(requests),
        format!("{rate:.1}"),
        percentage(requests - succeeded, requests),
    ];
    row.extend(times);
    let scores = scores.collect::<Vec<_>>().join("\n");
    row.push(or_dash(
        Some(scores).filter(|text| !text.is_empty()),
        |text| text,
    ));
    row.push(figure(stats.confidence.as_ref(), mean));
    row.push(classes.collect::<Vec<_>>().join("\n"));
    row
}

fn inputs(stats: &v1::VersionStats) -> String {
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
    let rows = stats.features.iter().map(feature_row);
    let mut text = format!("\n\nversion {}   {}\n", stats.version, stats.role().name());
    text.push_str(&table(&header, &[1, 2, 3, 4, 5, 6, 7], rows));
    for one in &stats.features {
        let numbers = one.numbers.as_ref();
        let Some(numbers) = numbers.filter(|one| one.relative_error > USUAL_ERROR) else {
            continue;
        };
        let error = figure(Some(numbers), |one| short(one.relative_error));
        text.push_str(&format!(
            "\n{}: quantiles are accurate to {error} only, because the sizes of the values differ too much for \
             `insight.max_bytes_per_version`",
            one.name
        ));
    }
    if stats.features_left_out > 0 {
        let left_out = stats.features_left_out;
        text.push_str(&format!(
            "\n{left_out} more are not recorded: `insight.max_features`, `insight.max_bytes_per_version`"
        ));
    }
    text
}

fn feature_row(feature: &v1::FeatureStats) -> Vec<String> {
    let numbers = feature.numbers.as_ref();
    let text = |read: fn(&v1::Distribution) -> f64| figure(numbers, |one| short(read(one)));
    vec![
        feature.name.clone(),
        thousands(feature.count),
        percentage(feature.missing, feature.count),
        percentage(feature.clipped, feature.count),
        percentage(feature.unknown, feature.count),
        text(|one| one.mean),
        text(|one| one.p50),
        text(|one| one.p99),
        numbers.map_or_else(|| most_frequent(feature), histogram),
    ]
}

/// Returns the three most frequent categories with their shares.
fn most_frequent(feature: &v1::FeatureStats) -> String {
    let mut counts: Vec<_> = feature.categories.iter().collect();
    counts.sort_by_key(|one| std::cmp::Reverse(one.count));
    let shown = counts.iter().take(3);
    let shown = shown.map(|one| format!("{} {}", one.name, percentage(one.count, feature.count)));
    shown.collect::<Vec<_>>().join(", ")
}

/// Returns a figure of a distribution as text; `-` if there are no values.
fn figure(
    distribution: Option<&v1::Distribution>,
    text: impl Fn(&v1::Distribution) -> String,
) -> String {
    or_dash(distribution.filter(|one| one.count > 0), text)
}

/// Returns a time in one unit: `950ns`, `12.3µs`, `4.56ms`, `1.20s`.
fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 1e-6 => format!("{:.0}ns", s * 1e9),
        s if s < 1e-3 => format!("{:.1}µs", s * 1e6),
        s if s < 1.0 => format!("{:.2}ms", s * 1e3),
        s => format!("{s:.2}s"),
    }
}

/// Returns a number with about four digits; with an exponent if it is very small or very large.
fn short(x: f64) -> String {
    if x == 0.0 || (1e-3..1e6).contains(&x.abs()) {
        let digits = if x.abs() < 10.0 { 3 } else { 1 };
        format!("{x:.digits$}")
    } else {
        format!("{x:.2e}")
    }
}

/// Returns a histogram of twenty blocks from the smallest to the largest value. The most frequent values have the tallest block.
fn histogram(numbers: &v1::Distribution) -> String {
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
    // Rounded up, so that rare values are visible.
    let blocks = heights.map(|height| BLOCKS[(height * 8).div_ceil(most).min(8) as usize]);
    blocks.iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::well_known::{Duration, Timestamp};

    #[test]
    fn times_and_numbers_are_short() {
        let texts: Vec<_> = [2e-8, 1.23e-5, 0.00456, 1.2].map(seconds).into();
        assert_eq!(texts, ["20ns", "12.3µs", "4.56ms", "1.20s"]);
        let texts: Vec<_> = [0.0, 1.5, -273.15, 1.2e9].map(short).into();
        assert_eq!(texts, ["0.000", "1.500", "-273.1", "1.20e9"]);
    }

    #[test]
    fn a_histogram_shows_rare_values() {
        let bar = |low: f64, count| v1::Bar {
            low,
            high: low + 1.0,
            count,
        };
        let numbers = v1::Distribution {
            min: 0.0,
            max: 20.0,
            bars: vec![bar(0.0, 1_000), bar(10.0, 500), bar(19.0, 1)],
            ..v1::Distribution::default()
        };
        assert_eq!(histogram(&numbers), "█         ▄        ▁");
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
                relative_error: USUAL_ERROR,
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
            to: Some(Timestamp {
                seconds: 60,
                nanos: 500_000_000,
            }),
            length: Some(Duration {
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
        let stats = v1::GetStatsResponse {
            model: "m".into(),
            stats: vec![full, v1::VersionStats::default()],
            relative_error: USUAL_ERROR,
        };
        insta::assert_snapshot!(serde_json::to_string_pretty(&stats).unwrap());
    }
}
