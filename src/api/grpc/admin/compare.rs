//! `CompareVersions`: wire to domain and back.

use std::time::Duration;

use super::observed::{Versions, distribution, window, wire_window};
use crate::control::ModelView;
use crate::error::{AdminError, InputFaults};
use crate::insight::compare::numbers::TwoSampleTest;
use crate::insight::compare::rates::Interval;
use crate::insight::drift::{Estimate, TooFewRows};
use crate::insight::query::compare::{
    DEFAULT_WINDOW, DifferentRow, EstimatedRate, PairedComparison, SplitComparison,
    TwoDistributions, TwoRates, compare_versions,
};
use crate::proto::v1;
use crate::serving::live;

/// Answers a request to compare two versions of a model.
///
/// # Errors
/// Returns an error if a version is not given, not known or not READY, or if there is no such window.
pub(super) fn versions(
    live: &live::Snapshot,
    model: &ModelView,
    request: &v1::CompareVersionsRequest,
) -> Result<v1::CompareVersionsResponse, AdminError> {
    let mut faults = InputFaults::default();
    for (field, number) in [
        ("baseline", request.baseline),
        ("candidate", request.candidate),
    ] {
        if number == 0 {
            faults.add(field, "0", "a version of the model");
        }
    }
    let window = window("window", request.window, &mut faults).unwrap_or(DEFAULT_WINDOW);
    faults.into_result().map_err(AdminError::InvalidChange)?;
    let versions = Versions::new(live, model);
    let baseline = versions.one(request.baseline)?;
    let candidate = versions.one(request.candidate)?;
    let comparison = compare_versions(baseline, candidate, window);
    Ok(v1::CompareVersionsResponse {
        model: model.name.to_string(),
        baseline: request.baseline,
        candidate: request.candidate,
        window: wire_window(window).into(),
        paired: comparison.paired.into_iter().map(paired).collect(),
        split: comparison.split.map(split),
    })
}

fn paired(pair: PairedComparison) -> v1::PairedComparison {
    let confusion = pair.confusion.into_iter().map(|cell| v1::ConfusionCell {
        primary: cell.primary,
        shadow: cell.shadow,
        rows: cell.rows,
    });
    v1::PairedComparison {
        primary: pair.primary.get(),
        shadow: pair.shadow.get(),
        length: seconds(pair.length),
        requests: pair.requests,
        rows: pair.rows,
        disagreement: pair.disagreement.map(rate),
        difference: Some(rate(pair.difference)),
        score_difference: pair.score_difference.map(distribution),
        confusion: confusion.collect(),
        primary_inference_seconds: Some(distribution(pair.primary_inference_seconds)),
        shadow_inference_seconds: Some(distribution(pair.shadow_inference_seconds)),
        inference_difference_seconds: Some(distribution(pair.inference_difference_seconds)),
        examples: pair.examples.into_iter().map(different_row).collect(),
        cosine: pair.cosine.map(distribution),
        cosine_threshold: pair.cosine_threshold,
    }
}

fn different_row(row: DifferentRow) -> v1::DifferentRow {
    let [primary_class, shadow_class] = row.classes.unwrap_or_default();
    let example = row.example;
    let inputs = example.inputs.into_iter();
    v1::DifferentRow {
        response_id: example.response_id,
        row: example.row as u64,
        distance: example.distance,
        primary: example.primary,
        shadow: example.shadow,
        primary_class,
        shadow_class,
        inputs: inputs
            .map(|(name, value)| v1::ShownInput { name, value })
            .collect(),
        inputs_left_out: example.left_out as u64,
    }
}

fn split(split: SplitComparison) -> v1::SplitComparison {
    v1::SplitComparison {
        baseline_length: seconds(split.baseline_length),
        candidate_length: seconds(split.candidate_length),
        errors: Some(two_rates(split.errors)),
        classes: split.classes.into_iter().map(two_rates).collect(),
        numbers: split.numbers.into_iter().map(two_distributions).collect(),
    }
}

fn two_rates(both: TwoRates) -> v1::TwoRates {
    v1::TwoRates {
        name: both.name,
        baseline: Some(rate(both.baseline)),
        candidate: Some(rate(both.candidate)),
        difference: both.difference.map(interval),
    }
}

fn two_distributions(both: TwoDistributions) -> v1::TwoDistributions {
    v1::TwoDistributions {
        name: both.name,
        baseline: Some(distribution(both.baseline)),
        candidate: Some(distribution(both.candidate)),
        test: Some(test(both.test)),
    }
}

fn test(tested: Result<TwoSampleTest, TooFewRows>) -> v1::two_distributions::Test {
    use v1::two_distributions::Test;
    match tested {
        Ok(tested) => Test::KolmogorovSmirnov(v1::KolmogorovSmirnov {
            statistic: Some(measured(tested.statistic)),
            p: Some(measured(tested.p)),
        }),
        Err(few) => Test::TooFew(v1::TooFew {
            have: few.have,
            want: few.want,
        }),
    }
}

fn rate(estimated: EstimatedRate) -> v1::Rate {
    let Interval { value, low, high } = estimated.interval;
    v1::Rate {
        count: estimated.rate.count,
        total: estimated.rate.total,
        value,
        low,
        high,
    }
}

fn interval(interval: Interval) -> v1::Interval {
    let Interval { value, low, high } = interval;
    v1::Interval { value, low, high }
}

fn measured(measured: Estimate) -> v1::Interval {
    let Estimate { value, low, high } = measured;
    v1::Interval { value, low, high }
}

fn seconds(length: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(length).ok()
}
