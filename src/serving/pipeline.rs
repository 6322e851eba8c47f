//! The request path, step by step.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::execute::Executor;
use super::live::{Live, Routing, ServingModel, ServingVersion};
use super::query::{Answer, Pin, Query};
use super::route::{self, Choice};
use crate::error::{Code, InputFaults, PredictError};
use crate::ident::{ModelName, ResponseId, Revision, Role, VersionNumber};
use crate::insight::metrics::{Record, Telemetry};
use crate::model::{Scores, TopClass};

/// A caller that is turned away should not come back before a queue of cheap requests has had time to move.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// What one gateway takes at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests that are being answered at one time.
    pub max_in_flight: usize,
}

/// Answers queries from what is live.
#[derive(Debug)]
pub struct Pipeline {
    live: Arc<Live>,
    telemetry: Arc<Telemetry>,
    executor: Executor,
    limits: Limits,
    in_flight: AtomicUsize,
}

impl Pipeline {
    /// Serves what `live` holds.
    #[must_use]
    pub fn new(live: Arc<Live>, telemetry: Arc<Telemetry>, limits: Limits) -> Self {
        let executor = Executor::default();
        Self {
            live,
            telemetry,
            executor,
            limits,
            in_flight: AtomicUsize::new(0),
        }
    }

    /// Answers one query by one version, under one snapshot.
    ///
    /// # Errors
    /// See [`PredictError`]. Each is counted: under the version where one was chosen, else by its reason.
    pub async fn predict(&self, query: Query) -> Result<Answer, PredictError> {
        let _place = self.admit()?;
        let snapshot = self.live.snapshot();
        let (by, revision) = match choose(&snapshot.models, &query) {
            Ok(chosen) => chosen,
            Err(error) => {
                self.telemetry.rejected(&error);
                return Err(error);
            }
        };
        // Only the version is needed from here on; a replaced snapshot can go while a long batch is computed.
        drop(snapshot);
        let mut record = Record::start(&by.meters, Role::Primary, query.arrived, query.deadline);
        let scored = self.score(&by, &query, &record).await;
        record.ended(
            scored
                .as_ref()
                .map_or_else(PredictError::code, |_| Code::Ok),
        );
        drop(record);
        let (scores, top) = scored?;
        let response_id = query
            .response_id
            .unwrap_or_else(|| ResponseId::from_random(route::random_bits()));
        Ok(Answer {
            model: query.model,
            by,
            role: Role::Primary,
            response_id,
            revision,
            scores,
            top,
        })
    }

    /// Counts a query that could not even be read, and gives the error to answer with.
    #[must_use]
    pub fn refuse(&self, faults: InputFaults) -> PredictError {
        let error = PredictError::InvalidInput(faults);
        self.telemetry.rejected(&error);
        error
    }

    /// Requests that are being answered now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    async fn score(
        &self,
        by: &Arc<ServingVersion>,
        query: &Query,
        record: &Record<'_>,
    ) -> Result<(Scores, Vec<TopClass>), PredictError> {
        let rows = by.version.signature().encode(&query.payload)?;
        let (scores, elapsed) = self.executor.forward(by, rows, query.deadline).await?;
        let top: Vec<_> = scores
            .rows()
            .filter_map(|row| by.version.top_class(row))
            .collect();
        record.scored(elapsed, &scores, &top);
        Ok((scores, top))
    }

    fn admit(&self) -> Result<Place<'_>, PredictError> {
        let place = Place(&self.in_flight);
        if self.in_flight.fetch_add(1, Ordering::Relaxed) < self.limits.max_in_flight {
            return Ok(place);
        }
        let error = PredictError::Overloaded {
            what: "requests in flight",
            limit: self.limits.max_in_flight,
            retry_after: RETRY_AFTER,
        };
        self.telemetry.rejected(&error);
        Err(error)
    }
}

/// One of the places in flight, given back when dropped.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Who answers, and under which revision. Order: pin, header rule, sticky key, random draw.
fn choose(
    models: &HashMap<ModelName, Arc<ServingModel>>,
    query: &Query,
) -> Result<(Arc<ServingVersion>, Revision), PredictError> {
    let model = models
        .get(query.model.as_str())
        .ok_or_else(|| PredictError::UnknownModel(query.model.chars().take(128).collect()))?;
    let routing = model
        .routing
        .as_ref()
        .ok_or_else(|| PredictError::NotReady {
            model: query.model.clone(),
            why: "no version is READY".into(),
        })?;
    let by = match &query.pin {
        Some(pin) => pinned(model, pin)?,
        None => routed(model, routing, query)?,
    };
    Ok((Arc::clone(by), routing.revision))
}

fn routed<'a>(
    model: &'a ServingModel,
    routing: &'a Routing,
    query: &Query,
) -> Result<&'a Arc<ServingVersion>, PredictError> {
    let key = query.routing_key.as_bytes();
    match route::route(&routing.policy, &query.headers, key, route::random_point) {
        Choice::Sticky(at) | Choice::Drawn(at) => Ok(routing.take(at)),
        Choice::HeaderRule(version) => ready(model, version),
    }
}

fn pinned<'a>(model: &'a ServingModel, pin: &Pin) -> Result<&'a Arc<ServingVersion>, PredictError> {
    let version = match pin {
        Pin::Version(number) => {
            VersionNumber::try_from(*number).map_err(|_| PredictError::UnknownVersion {
                model: model.name.to_string(),
                version: *number,
            })?
        }
        Pin::Label(label) => *model.labels.get(label.as_str()).ok_or_else(|| {
            let label = label.chars().take(64).collect();
            PredictError::UnknownLabel {
                model: model.name.to_string(),
                label,
            }
        })?,
    };
    ready(model, version)
}

fn ready(
    model: &ServingModel,
    version: VersionNumber,
) -> Result<&Arc<ServingVersion>, PredictError> {
    model.ready.get(&version).ok_or_else(|| {
        let name = model.name.to_string();
        match model.failed.get(&version) {
            Some(faults) => PredictError::NotReady {
                model: name,
                why: format!(
                    "version {version} failed to load: {}",
                    faults
                        .iter()
                        .next()
                        .map(|fault| fault.message.clone())
                        .unwrap_or_default()
                ),
            },
            None => PredictError::UnknownVersion {
                model: name,
                version: version.get(),
            },
        }
    })
}
