//! What versions did since they were loaded.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use crate::api::catalog::Catalog;
use crate::api::read;
use crate::error::PredictError;
use crate::insight::query::stats::read_totals;
use crate::insight::stats::{Counted, Totals};
use crate::proto::inference;
use crate::serving::live::ServingModel;
use crate::serving::pinned;
use crate::serving::version::VersionRuntime;

/// What the version or label `version` of `model` did since it was loaded, as primary and as fallback. Where `version` is empty,
/// every version that is READY; where `model` is empty, those of all models. May wait a moment for who reads statistics, so it is
/// not for a thread that serves.
///
/// # Errors
/// There is no such model, version or label, or the version cannot answer.
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
    let mut told = Vec::new();
    for model in models {
        match &pin {
            Some(pin) => told.push(of(model, pinned(model, pin)?)),
            None => told.extend(model.ready.values().map(|version| of(model, version))),
        }
    }
    Ok(inference::ModelStatisticsResponse { model_stats: told })
}

fn of(model: &ServingModel, version: &Arc<VersionRuntime>) -> inference::ModelStatistics {
    let totals = read_totals(&version.insight);
    let memory = inference::MemoryUsage {
        r#type: "CPU".to_owned(),
        id: 0,
        byte_size: version.version.weight_bytes(),
    };
    inference::ModelStatistics {
        name: model.name.to_string(),
        version: version.number().to_string(),
        last_inference: last(&totals),
        inference_count: totals.rows,
        execution_count: totals.passes,
        inference_stats: Some(inference::InferStatistics {
            success: duration(totals.answered),
            fail: duration(totals.failed),
            queue: duration(totals.queue),
            compute_infer: duration(totals.inference),
            // Encoding is no step of its own, and there is no cache.
            compute_input: duration(Counted::default()),
            compute_output: duration(Counted::default()),
            cache_hit: duration(Counted::default()),
            cache_miss: duration(Counted::default()),
        }),
        batch_stats: Vec::new(),
        memory_usage: vec![memory],
        response_stats: HashMap::new(),
    }
}

fn last(totals: &Totals) -> u64 {
    let since = totals.last.map(|at| at.duration_since(UNIX_EPOCH));
    let since = since.and_then(Result::ok).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn duration(counted: Counted) -> Option<inference::StatisticDuration> {
    Some(inference::StatisticDuration {
        count: counted.count,
        ns: counted.nanos,
    })
}
