//! Two versions beside each other, on their way to the wire.

use std::time::Duration;

use super::stats::{BARS, distribution, version, wire_window};
use crate::control::ModelView;
use crate::error::{AdminError, Code, InputFaults};
use crate::ident::Role;
use crate::insight::compare::examples::Example;
use crate::insight::compare::{
    MOST_CLASSES, Told, numbers,
    rates::{self, Rate},
};
use crate::insight::drift::Measured;
use crate::insight::sketch::Sketch;
use crate::insight::stats::{Snapshot, Summary, Window};
use crate::proto::v1;
use crate::serving::live::{self, ServingVersion};

/// What a version is to blame for, as in the recording rule `taper:errors:ratio5m`.
const BLAMED: [Code; 4] = [
    Code::Internal,
    Code::DeadlineExceeded,
    Code::ResourceExhausted,
    Code::Unavailable,
];

/// The two versions that `request` names, beside each other.
///
/// # Errors
/// A version is not given, not known or not READY; there is no such window.
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
    let given = match v1::StatsWindow::try_from(request.window) {
        Ok(v1::StatsWindow::Unspecified) => Some(Window::FiveMinutes),
        Ok(named) => Window::ALL
            .into_iter()
            .find(|window| wire_window(*window) == named),
        Err(_) => None,
    };
    if given.is_none() {
        faults.add("window", request.window.to_string(), "one of its names");
    }
    faults.into_result().map_err(AdminError::InvalidChange)?;
    let window = given.unwrap_or(Window::FiveMinutes);
    let serving = live.models.get(model.name.as_str());
    let baseline = version(serving, model, request.baseline)?;
    let candidate = version(serving, model, request.candidate)?;
    let mut paired = vec![beside(baseline, candidate)];
    let mut split = None;
    if baseline.number() != candidate.number() {
        paired.push(beside(candidate, baseline));
        let read = |version: &ServingVersion| version.insight.stats.read(Role::Primary, window);
        split = read(baseline).zip(read(candidate));
    }
    Ok(v1::CompareVersionsResponse {
        model: model.name.to_string(),
        baseline: request.baseline,
        candidate: request.candidate,
        window: wire_window(window).into(),
        paired: paired.into_iter().flatten().collect(),
        split: split
            .filter(|(one, two)| one.summary.requests() > 0 && two.summary.requests() > 0)
            .map(|(one, two)| split_traffic(&one, &two)),
    })
}

fn beside(primary: &ServingVersion, shadow: &ServingVersion) -> Option<v1::PairedComparison> {
    let told = shadow.insight.comparisons.beside(primary.number())?;
    let classes = &shadow.version.signature().classes;
    Some(pair(&told, shadow.number().get(), classes))
}

fn pair(told: &Told, shadow: u64, classes: &[String]) -> v1::PairedComparison {
    let seen = &told.seen;
    let of_rows = |count| Rate {
        count,
        total: seen.rows,
    };
    let cells = seen.confusion.iter().enumerate();
    let confusion = cells
        .filter(|(_, rows)| **rows > 0)
        .map(|(at, rows)| v1::ConfusionCell {
            primary: in_table(classes, at / seen.side),
            shadow: in_table(classes, at % seen.side),
            rows: *rows,
        });
    let examples = seen.examples.iter();
    v1::PairedComparison {
        primary: told.primary.get(),
        shadow,
        length: seconds(told.length),
        requests: seen.requests,
        rows: seen.rows,
        disagreement: (!classes.is_empty()).then(|| rate(of_rows(seen.disagreed))),
        difference: Some(rate(of_rows(seen.differed))),
        score_difference: Some(distribution(&seen.difference, BARS)),
        confusion: confusion.collect(),
        primary_inference_seconds: Some(distribution(&seen.primary_inference, 0)),
        shadow_inference_seconds: Some(distribution(&seen.shadow_inference, 0)),
        inference_difference_seconds: Some(distribution(&seen.slower, 0)),
        examples: examples.map(|one| example(one, classes)).collect(),
    }
}

/// The class of a row or column of a confusion table.
fn in_table(classes: &[String], at: usize) -> String {
    let named = classes.get(at).filter(|_| at < MOST_CLASSES);
    named.map_or_else(|| "other classes".to_owned(), Clone::clone)
}

fn example(one: &Example, classes: &[String]) -> v1::DifferentRow {
    let class = |at: usize| classes.get(at).cloned().unwrap_or_default();
    let named = one.classes.map(|both| both.map(class));
    let [primary_class, shadow_class] = named.unwrap_or_default();
    let inputs = one.inputs.iter().map(|(name, value)| v1::ShownInput {
        name: name.clone(),
        value: value.clone(),
    });
    v1::DifferentRow {
        response_id: one.response_id.clone(),
        row: one.row as u64,
        distance: one.distance,
        primary: one.primary.clone(),
        shadow: one.shadow.clone(),
        primary_class,
        shadow_class,
        inputs: inputs.collect(),
        inputs_left_out: one.left_out as u64,
    }
}

fn split_traffic(baseline: &Snapshot, candidate: &Snapshot) -> v1::SplitComparison {
    let (one, two) = (&baseline.summary, &candidate.summary);
    let failed = |summary: &Summary| Rate {
        count: BLAMED
            .iter()
            .map(|code| summary.codes[*code as usize])
            .sum(),
        total: summary.requests(),
    };
    let names = baseline.layout.classes.iter().enumerate();
    let classes = names.filter_map(|(at, name)| {
        let of = |summary: &Summary| {
            Some(Rate {
                count: *summary.classes.get(at)?,
                total: summary.classes.iter().sum(),
            })
        };
        Some(two_rates(name, of(one)?, of(two)?))
    });
    let mut compared = vec![
        two_distributions(
            "inference_seconds".into(),
            [&one.inference, &two.inference],
            0,
        ),
        two_distributions("total_seconds".into(), [&one.total, &two.total], 0),
    ];
    if !baseline.layout.classes.is_empty() {
        let both = [&one.confidence, &two.confidence];
        compared.push(two_distributions("confidence".into(), both, BARS));
    }
    let scores = one.scores.iter().zip(&two.scores);
    for (name, (one, two)) in baseline.layout.outputs.iter().zip(scores) {
        compared.push(two_distributions(format!("score:{name}"), [one, two], BARS));
    }
    v1::SplitComparison {
        baseline_length: seconds(baseline.length),
        candidate_length: seconds(candidate.length),
        errors: Some(two_rates("errors", failed(one), failed(two))),
        classes: classes.collect(),
        numbers: compared,
    }
}

fn two_rates(name: &str, one: Rate, two: Rate) -> v1::TwoRates {
    v1::TwoRates {
        name: name.to_owned(),
        baseline: Some(rate(one)),
        candidate: Some(rate(two)),
        difference: one.to(two).map(interval),
    }
}

fn two_distributions(name: String, both: [&Sketch; 2], bars: usize) -> v1::TwoDistributions {
    use v1::two_distributions::Test;
    let [one, two] = both;
    let test = match numbers::tested(one, two) {
        Ok(tested) => Test::KolmogorovSmirnov(v1::KolmogorovSmirnov {
            statistic: Some(measured(tested.statistic)),
            p: Some(measured(tested.p)),
        }),
        Err(few) => Test::TooFew(v1::TooFew {
            have: few.have,
            want: few.want,
        }),
    };
    v1::TwoDistributions {
        name,
        baseline: Some(distribution(one, bars)),
        candidate: Some(distribution(two, bars)),
        test: Some(test),
    }
}

/// Of nothing, anything may be true.
fn rate(rate: Rate) -> v1::Rate {
    let unknown = rates::Interval {
        value: 0.0,
        low: 0.0,
        high: 1.0,
    };
    let rates::Interval { value, low, high } = rate.wilson().unwrap_or(unknown);
    v1::Rate {
        count: rate.count,
        total: rate.total,
        value,
        low,
        high,
    }
}

fn interval(interval: rates::Interval) -> v1::Interval {
    let rates::Interval { value, low, high } = interval;
    v1::Interval { value, low, high }
}

fn measured(measured: Measured) -> v1::Interval {
    let Measured { value, low, high } = measured;
    v1::Interval { value, low, high }
}

fn seconds(length: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(length).ok()
}
