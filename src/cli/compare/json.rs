//! A comparison as JSON, with everything that came.

use serde_json::{Value, json};

use crate::proto::v1;

pub(super) fn comparison(told: &v1::CompareVersionsResponse) -> Value {
    json!({
        "model": told.model,
        "baseline": told.baseline,
        "candidate": told.candidate,
        "window": window(told.window()),
        "paired": told.paired.iter().map(paired).collect::<Vec<_>>(),
        "split": told.split.as_ref().map(split),
    })
}

/// The window's short name.
pub(super) fn window(window: v1::StatsWindow) -> &'static str {
    match window {
        v1::StatsWindow::Minute => "1m",
        v1::StatsWindow::FiveMinutes => "5m",
        v1::StatsWindow::Hour => "1h",
        v1::StatsWindow::SinceLoad => "all",
        v1::StatsWindow::Unspecified => "unknown",
    }
}

fn paired(one: &v1::PairedComparison) -> Value {
    let confusion = one
        .confusion
        .iter()
        .map(|cell| json!({"primary": cell.primary, "shadow": cell.shadow, "rows": cell.rows}));
    json!({
        "primary": one.primary,
        "shadow": one.shadow,
        "length_seconds": seconds(one.length),
        "requests": one.requests,
        "rows": one.rows,
        "disagreement": one.disagreement.as_ref().map(rate),
        "difference": one.difference.as_ref().map(rate),
        "score_difference": one.score_difference.as_ref().map(numbers),
        "confusion": confusion.collect::<Vec<_>>(),
        "primary_inference_seconds": one.primary_inference_seconds.as_ref().map(numbers),
        "shadow_inference_seconds": one.shadow_inference_seconds.as_ref().map(numbers),
        "inference_difference_seconds": one.inference_difference_seconds.as_ref().map(numbers),
        "examples": one.examples.iter().map(example).collect::<Vec<_>>(),
    })
}

fn example(one: &v1::DifferentRow) -> Value {
    let inputs = one.inputs.iter();
    let inputs = inputs.map(|input| json!({"name": input.name, "value": input.value}));
    json!({
        "response_id": one.response_id,
        "row": one.row,
        "distance": one.distance,
        "primary": one.primary,
        "shadow": one.shadow,
        "primary_class": one.primary_class,
        "shadow_class": one.shadow_class,
        "inputs": inputs.collect::<Vec<_>>(),
        "inputs_left_out": one.inputs_left_out,
    })
}

fn split(one: &v1::SplitComparison) -> Value {
    json!({
        "baseline_length_seconds": seconds(one.baseline_length),
        "candidate_length_seconds": seconds(one.candidate_length),
        "errors": one.errors.as_ref().map(two_rates),
        "classes": one.classes.iter().map(two_rates).collect::<Vec<_>>(),
        "numbers": one.numbers.iter().map(two_distributions).collect::<Vec<_>>(),
    })
}

fn two_rates(one: &v1::TwoRates) -> Value {
    json!({
        "name": one.name,
        "baseline": one.baseline.as_ref().map(rate),
        "candidate": one.candidate.as_ref().map(rate),
        "difference": one.difference.as_ref().map(interval),
    })
}

fn two_distributions(one: &v1::TwoDistributions) -> Value {
    use v1::two_distributions::Test;
    let (test, few) = match &one.test {
        Some(Test::KolmogorovSmirnov(test)) => (Some(test), None),
        Some(Test::TooFew(few)) => (None, Some(few)),
        None => (None, None),
    };
    json!({
        "name": one.name,
        "baseline": one.baseline.as_ref().map(numbers),
        "candidate": one.candidate.as_ref().map(numbers),
        "kolmogorov_smirnov": test.map(|test| json!({
            "statistic": test.statistic.as_ref().map(interval),
            "p": test.p.as_ref().map(interval),
        })),
        "too_few": few.map(|few| json!({"have": few.have, "want": few.want})),
    })
}

fn rate(one: &v1::Rate) -> Value {
    let (count, total) = (one.count, one.total);
    json!({"count": count, "total": total, "value": one.value, "low": one.low, "high": one.high})
}

fn interval(one: &v1::Interval) -> Value {
    json!({"value": one.value, "low": one.low, "high": one.high})
}

fn numbers(one: &v1::Distribution) -> Value {
    let bars = one.bars.iter();
    let bars = bars.map(|bar| json!({"low": bar.low, "high": bar.high, "count": bar.count}));
    json!({
        "count": one.count, "mean": one.mean, "std": one.std, "min": one.min, "max": one.max,
        "p50": one.p50, "p90": one.p90, "p95": one.p95, "p99": one.p99, "p999": one.p999,
        "bars": bars.collect::<Vec<_>>(),
    })
}

/// A length of time in seconds.
pub(super) fn seconds(length: Option<prost_types::Duration>) -> f64 {
    let length = length.unwrap_or_default();
    length.seconds as f64 + f64::from(length.nanos) / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers() -> Option<v1::Distribution> {
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
            relative_error: 1.0 / 256.0,
            beyond: 1,
        })
    }

    fn rate() -> Option<v1::Rate> {
        Some(v1::Rate {
            count: 1,
            total: 4,
            value: 0.25,
            low: 0.125,
            high: 0.5,
        })
    }

    fn interval() -> Option<v1::Interval> {
        Some(v1::Interval {
            value: 0.25,
            low: 0.125,
            high: 0.5,
        })
    }

    fn pair() -> v1::PairedComparison {
        v1::PairedComparison {
            primary: 1,
            shadow: 2,
            length: Some(prost_types::Duration {
                seconds: 90,
                nanos: 500_000_000,
            }),
            requests: 3,
            rows: 4,
            disagreement: rate(),
            difference: rate(),
            score_difference: numbers(),
            confusion: vec![v1::ConfusionCell {
                primary: "late".into(),
                shadow: "on time".into(),
                rows: 1,
            }],
            primary_inference_seconds: numbers(),
            shadow_inference_seconds: numbers(),
            inference_difference_seconds: None,
            examples: vec![v1::DifferentRow {
                response_id: "abc".into(),
                row: 1,
                distance: 0.5,
                primary: vec![0.3],
                shadow: vec![0.8],
                primary_class: "on time".into(),
                shadow_class: "late".into(),
                inputs: vec![v1::ShownInput {
                    name: "carrier".into(),
                    value: "UA".into(),
                }],
                inputs_left_out: 2,
            }],
        }
    }

    #[test]
    fn json_has_everything_that_was_compared() {
        use v1::two_distributions::Test;
        let two = |name: &str, test| v1::TwoDistributions {
            name: name.into(),
            baseline: numbers(),
            candidate: numbers(),
            test,
        };
        let tested = Test::KolmogorovSmirnov(v1::KolmogorovSmirnov {
            statistic: interval(),
            p: None,
        });
        let rates = |name: &str| v1::TwoRates {
            name: name.into(),
            baseline: rate(),
            candidate: None,
            difference: interval(),
        };
        let answer = v1::CompareVersionsResponse {
            model: "m".into(),
            baseline: 1,
            candidate: 2,
            window: v1::StatsWindow::Hour.into(),
            paired: vec![pair(), v1::PairedComparison::default()],
            split: Some(v1::SplitComparison {
                baseline_length: None,
                candidate_length: Some(prost_types::Duration {
                    seconds: 60,
                    nanos: 0,
                }),
                errors: Some(rates("errors")),
                classes: vec![rates("late")],
                numbers: vec![
                    two("score", Some(tested)),
                    two("rest", Some(Test::TooFew(v1::TooFew { have: 3, want: 20 }))),
                    two("none", None),
                ],
            }),
        };
        insta::assert_snapshot!(serde_json::to_string_pretty(&comparison(&answer)).unwrap());
    }
}
