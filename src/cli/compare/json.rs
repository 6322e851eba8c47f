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
