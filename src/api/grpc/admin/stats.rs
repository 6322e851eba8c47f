//! `GetStats`: wire to domain and back.

use std::time::SystemTime;

use super::observed::{Versions, distribution, roles, windows, wire_window};
use crate::api::grpc::convert;
use crate::control::ModelView;
use crate::error::{AdminError, InputFaults};
use crate::insight::query::stats::{
    FeatureStats, FeatureValues, SampleStats, StatsQuery, read_stats,
};
use crate::proto::v1;
use crate::serving::live;

/// Answers a request for the statistics of a model's versions, by role and window.
///
/// # Errors
/// Returns an error if a version is not known or not READY, or if there is no such role or window.
pub(super) fn get(
    live: &live::Snapshot,
    model: &ModelView,
    request: &v1::GetStatsRequest,
) -> Result<v1::GetStatsResponse, AdminError> {
    let mut faults = InputFaults::default();
    let roles = roles("roles", &request.roles, &mut faults);
    let windows = windows("windows", &request.windows, &mut faults);
    faults.into_result().map_err(AdminError::InvalidChange)?;
    let versions = Versions::new(live, model).chosen(&request.versions)?;
    let query = StatsQuery {
        roles: &roles,
        windows: &windows,
        features: request.features,
    };
    let answer = read_stats(&versions, query);
    Ok(v1::GetStatsResponse {
        model: model.name.to_string(),
        relative_error: answer.relative_error,
        stats: answer.samples.into_iter().map(sample).collect(),
    })
}

fn sample(stats: SampleStats) -> v1::VersionStats {
    let codes = stats.codes.into_iter();
    let scores = stats.scores.into_iter();
    v1::VersionStats {
        version: stats.version.get(),
        role: convert::role(stats.sample.role).into(),
        window: wire_window(stats.sample.window).into(),
        to: Some(SystemTime::now().into()),
        length: prost_types::Duration::try_from(stats.length).ok(),
        codes: codes
            .map(|(code, count)| (code.as_str().to_owned(), count))
            .collect(),
        rows: stats.rows,
        queue_seconds: Some(distribution(stats.queue_seconds)),
        inference_seconds: Some(distribution(stats.inference_seconds)),
        total_seconds: Some(distribution(stats.total_seconds)),
        scores: scores
            .map(|(name, summary)| v1::NamedDistribution {
                name,
                distribution: Some(distribution(summary)),
            })
            .collect(),
        classes: named(stats.classes),
        confidence: stats.confidence.map(distribution),
        features: stats.features.into_iter().map(feature).collect(),
        features_left_out: stats.features_left_out as u64,
    }
}

fn feature(stats: FeatureStats) -> v1::FeatureStats {
    let counts = v1::FeatureStats {
        name: stats.name,
        count: stats.count,
        missing: stats.missing,
        clipped: stats.clipped,
        ..v1::FeatureStats::default()
    };
    match stats.values {
        FeatureValues::Numbers(summary) => v1::FeatureStats {
            numbers: Some(distribution(summary)),
            ..counts
        },
        FeatureValues::Categories {
            counts: categories,
            other,
            unknown,
        } => v1::FeatureStats {
            categories: named(categories),
            other,
            unknown,
            ..counts
        },
    }
}

fn named(counts: Vec<(String, u64)>) -> Vec<v1::NamedCount> {
    let named = counts.into_iter();
    named
        .map(|(name, count)| v1::NamedCount { name, count })
        .collect()
}
