//! Triton's statistics: the totals of each version since it was loaded.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use crate::api::catalog::Catalog;
use crate::api::read;
use crate::error::PredictError;
use crate::insight::query::stats::read_totals;
use crate::insight::stats::{TimedCount, Totals};
use crate::proto::inference;
use crate::serving::live::ServingModel;
use crate::serving::pinned;
use crate::serving::version::VersionRuntime;

/// Returns the totals of the version or label `version` of `model` since it was loaded, in the roles that answer clients. If
/// `version` is empty, returns those of every READY version; if `model` is empty, those of all models. May wait for a concurrent
/// reader of statistics, so it must not run on a serving thread.
///
/// # Errors
/// Returns an error if there is no such model, version or label, or if the version cannot answer.
pub(in crate::api) fn statistics(
    catalog: &Catalog,
    model: &str,
    version: String,
) -> Result<inference::ModelStatisticsResponse, PredictError> {
    let snapshot = catalog.snapshot();
    let mut models: Vec<_> = if model.is_empty() {
        snapshot.models.values().collect()
    } else {
        vec![snapshot.model(model)?]
    };
    models.sort_by_key(|model| &model.name);
    let pin = read::pin(version).filter(|_| !model.is_empty());
    let mut statistics = Vec::new();
    for model in models {
        match &pin {
            Some(pin) => statistics.push(of_version(model, pinned(model, pin)?)),
            None => statistics.extend(
                model
                    .ready
                    .values()
                    .map(|version| of_version(model, version)),
            ),
        }
    }
    Ok(inference::ModelStatisticsResponse {
        model_stats: statistics,
    })
}

fn of_version(model: &ServingModel, version: &Arc<VersionRuntime>) -> inference::ModelStatistics {
    let totals = read_totals(&version.insight);
    let memory = inference::MemoryUsage {
        r#type: "CPU".to_owned(),
        id: 0,
        byte_size: version.version.weight_bytes(),
    };
    inference::ModelStatistics {
        name: model.name.to_string(),
        version: version.number().to_string(),
        last_inference: last_millis(&totals),
        inference_count: totals.rows,
        execution_count: totals.passes,
        inference_stats: Some(inference::InferStatistics {
            success: duration(totals.answered),
            fail: duration(totals.failed),
            queue: duration(totals.queue),
            compute_infer: duration(totals.inference),
            // Encoding is not measured separately, and there is no cache.
            compute_input: duration(TimedCount::default()),
            compute_output: duration(TimedCount::default()),
            cache_hit: duration(TimedCount::default()),
            cache_miss: duration(TimedCount::default()),
        }),
        batch_stats: Vec::new(),
        memory_usage: vec![memory],
        response_stats: HashMap::new(),
    }
}

fn last_millis(totals: &Totals) -> u64 {
    let since_epoch = totals
        .last
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    u64::try_from(since_epoch.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

fn duration(counted: TimedCount) -> Option<inference::StatisticDuration> {
    Some(inference::StatisticDuration {
        count: counted.count,
        ns: counted.nanos,
    })
}
