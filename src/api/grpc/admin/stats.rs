//! What versions saw, on its way to the wire.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use crate::api::grpc::convert;
use crate::control::ModelView;
use crate::error::{AdminError, Code, InputFaults};
use crate::ident::{Role, VersionNumber};
use crate::insight::sketch::{RELATIVE_ERROR, Sketch};
use crate::insight::stats::{Feature, Inputs, Snapshot, Values, Window, bars};
use crate::proto::v1;
use crate::serving::live::{self, ServingModel, ServingVersion};

/// Bars of one distribution.
pub(super) const BARS: usize = 40;
/// Roles in the order of the answer.
pub(super) const ROLES: [Role; Role::COUNT] = [Role::Primary, Role::Shadow, Role::Fallback];

/// The statistics of the versions, roles and windows that `request` names, of each where it names none.
///
/// # Errors
/// A version that is not known or not READY, a role or a window that does not exist.
pub(super) fn get(
    live: &live::Snapshot,
    model: &ModelView,
    request: &v1::GetStatsRequest,
) -> Result<v1::GetStatsResponse, AdminError> {
    let mut faults = InputFaults::default();
    let roles = chosen("roles", &request.roles, &ROLES, role, &mut faults);
    let windows = chosen(
        "windows",
        &request.windows,
        &Window::ALL,
        window,
        &mut faults,
    );
    faults.into_result().map_err(AdminError::InvalidChange)?;
    let serving = live.models.get(model.name.as_str());
    let ready = serving.map(|serving| &serving.ready);
    let mut versions = BTreeSet::new();
    for number in &request.versions {
        versions.insert(version(serving, model, *number)?.number());
    }
    let mut stats = Vec::new();
    for (number, version) in ready.into_iter().flatten() {
        if !versions.is_empty() && !versions.contains(number) {
            continue;
        }
        for role in &roles {
            for window in &windows {
                if let Some(read) = version.insight.stats.read(*role, *window) {
                    let told = told(&read, request.features);
                    stats.push(v1::VersionStats {
                        version: number.get(),
                        role: convert::role(*role).into(),
                        window: wire_window(*window).into(),
                        ..told
                    });
                }
            }
        }
    }
    let told = stats.iter().flat_map(distributions);
    let errors = told.map(|one| one.relative_error);
    Ok(v1::GetStatsResponse {
        model: model.name.to_string(),
        relative_error: errors.fold(RELATIVE_ERROR, f64::max),
        stats,
    })
}

/// All that are told of one version.
fn distributions(stats: &v1::VersionStats) -> impl Iterator<Item = &v1::Distribution> {
    let times = [
        &stats.queue_seconds,
        &stats.inference_seconds,
        &stats.total_seconds,
        &stats.confidence,
    ];
    let scores = stats.scores.iter().map(|score| &score.distribution);
    let features = stats.features.iter().map(|feature| &feature.numbers);
    times.into_iter().chain(scores).chain(features).flatten()
}

/// The version of this number.
///
/// # Errors
/// It is not known, or not READY.
pub(super) fn version<'s>(
    serving: Option<&'s Arc<ServingModel>>,
    model: &ModelView,
    number: u64,
) -> Result<&'s Arc<ServingVersion>, AdminError> {
    let known = VersionNumber::try_from(number).ok();
    let known = known.filter(|number| model.versions.contains_key(number));
    let Some(known) = known else {
        return Err(AdminError::UnknownVersion {
            model: model.name.to_string(),
            version: number,
        });
    };
    let ready = serving.and_then(|serving| serving.ready.get(&known));
    ready.ok_or_else(|| {
        let why = "it is not READY, and statistics go with a version".to_owned();
        AdminError::NotReady(vec![(known, why)])
    })
}

/// Those of `all` whose numbers are among `named`; all of them, where it is empty.
fn chosen<T: Copy>(
    field: &str,
    named: &[i32],
    all: &[T],
    wire: impl Fn(T) -> i32,
    faults: &mut InputFaults,
) -> Vec<T> {
    for (at, number) in named.iter().enumerate() {
        if !all.iter().any(|one| wire(*one) == *number) {
            faults.add(
                format!("{field}[{at}]"),
                number.to_string(),
                "one of its names",
            );
        }
    }
    let among = |one: &&T| named.is_empty() || named.contains(&wire(**one));
    all.iter().filter(among).copied().collect()
}

fn role(role: Role) -> i32 {
    convert::role(role).into()
}

fn window(window: Window) -> i32 {
    wire_window(window).into()
}

pub(super) fn wire_window(window: Window) -> v1::StatsWindow {
    match window {
        Window::Minute => v1::StatsWindow::Minute,
        Window::FiveMinutes => v1::StatsWindow::FiveMinutes,
        Window::Hour => v1::StatsWindow::Hour,
        Window::SinceLoad => v1::StatsWindow::SinceLoad,
    }
}

fn told(read: &Snapshot, features: bool) -> v1::VersionStats {
    let (layout, summary) = (&read.layout, &read.summary);
    let codes = Code::PREDICTION.into_iter().filter_map(|code| {
        let count = summary.codes[code as usize];
        (count > 0).then(|| (code.as_str().to_owned(), count))
    });
    let scores = layout.outputs.iter().zip(&summary.scores);
    let classes = layout.classes.iter().zip(&summary.classes);
    let shown = if features { &layout.features[..] } else { &[] };
    let shown = shown.iter().zip(&summary.features);
    v1::VersionStats {
        to: Some(SystemTime::now().into()),
        length: prost_types::Duration::try_from(read.length).ok(),
        codes: codes.collect(),
        rows: summary.rows,
        queue_seconds: Some(distribution(&summary.queue, 0)),
        inference_seconds: Some(distribution(&summary.inference, 0)),
        total_seconds: Some(distribution(&summary.total, 0)),
        scores: scores
            .map(|(name, sketch)| v1::NamedDistribution {
                name: name.clone(),
                distribution: Some(distribution(sketch, BARS)),
            })
            .collect(),
        classes: classes.map(|(name, count)| named(name, *count)).collect(),
        confidence: (!layout.classes.is_empty()).then(|| distribution(&summary.confidence, BARS)),
        features: shown
            .map(|(about, inputs)| feature(about, inputs))
            .collect(),
        features_left_out: layout.left_out as u64,
        ..v1::VersionStats::default()
    }
}

fn feature(about: &Feature, inputs: &Inputs) -> v1::FeatureStats {
    let told = v1::FeatureStats {
        name: about.name.clone(),
        count: inputs.count(),
        missing: inputs.missing,
        clipped: inputs.clipped,
        ..v1::FeatureStats::default()
    };
    match &inputs.values {
        Values::Numbers(sketch) => v1::FeatureStats {
            numbers: Some(distribution(sketch, BARS)),
            ..told
        },
        Values::Categories {
            counts,
            other,
            unknown,
        } => {
            let names = about.categories.iter().flatten().zip(counts);
            let came = names.filter(|(_, count)| **count > 0);
            v1::FeatureStats {
                categories: came.map(|(name, count)| named(name, *count)).collect(),
                other: *other,
                unknown: *unknown,
                ..told
            }
        }
    }
}

fn named(name: &str, count: u64) -> v1::NamedCount {
    let name = name.to_owned();
    v1::NamedCount { name, count }
}

pub(super) fn distribution(sketch: &Sketch, most_bars: usize) -> v1::Distribution {
    let at = |q| sketch.quantile(q).unwrap_or_default();
    let shown = if most_bars > 0 {
        bars(sketch, most_bars)
    } else {
        Vec::new()
    };
    let shown = shown.into_iter().map(|bar| v1::Bar {
        low: bar.low,
        high: bar.high,
        count: bar.count,
    });
    v1::Distribution {
        count: sketch.count(),
        mean: sketch.mean().unwrap_or_default(),
        std: sketch.variance().unwrap_or_default().sqrt(),
        min: sketch.min().unwrap_or_default(),
        max: sketch.max().unwrap_or_default(),
        p50: at(0.5),
        p90: at(0.9),
        p95: at(0.95),
        p99: at(0.99),
        p999: at(0.999),
        bars: shown.collect(),
        relative_error: sketch.relative_error(),
        beyond: sketch.beyond(),
    }
}
