//! The request path, step by step.

use std::{collections::HashMap, sync::Arc};

use super::execute::{Call, Executor, Scored};
use super::live::{Live, Routing, ServingModel, ServingVersion};
use super::query::{Answer, Pin, Query};
use super::route::{self, Choice};
use crate::error::{Code, InputFaults, PredictError};
use crate::ident::{ModelName, ResponseId, Revision, Role, VersionNumber};
use crate::insight::metrics::{Record, Telemetry};
use crate::insight::outcomes::{Outcome, Outcomes, Report};
use crate::insight::prediction_log::{Entry, PredictionLog};

/// Answers queries from what is live.
#[derive(Debug)]
pub struct Pipeline {
    live: Arc<Live>,
    telemetry: Arc<Telemetry>,
    executor: Executor,
    outcomes: Option<Arc<Outcomes>>,
    log: Option<PredictionLog>,
}

/// Truths that are joined before the thread is left to others for a moment.
const TRUTHS_AT_ONCE: usize = 256;

impl Pipeline {
    /// Serves what `live` holds.
    #[must_use]
    pub fn new(live: Arc<Live>, telemetry: Arc<Telemetry>) -> Self {
        Self {
            live,
            telemetry,
            executor: Executor::default(),
            outcomes: None,
            log: None,
        }
    }

    /// Has what is answered remembered in `outcomes`, until its truth is reported.
    #[must_use]
    pub fn with_outcomes(self, outcomes: Arc<Outcomes>) -> Self {
        Self {
            outcomes: Some(outcomes),
            ..self
        }
    }

    /// Has a sample of the requests written to `log`.
    #[must_use]
    pub fn with_log(self, log: Option<PredictionLog>) -> Self {
        Self { log, ..self }
    }

    /// Answers one query by one version, under one snapshot.
    ///
    /// # Errors
    /// See [`PredictError`]. Each is counted: under the version where one was chosen, else by its reason.
    pub async fn predict(&self, query: Query) -> Result<Answer, PredictError> {
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
        let Query {
            model,
            response_id,
            payload,
            arrival,
            ..
        } = query;
        let response_id =
            response_id.unwrap_or_else(|| ResponseId::from_random(route::random_bits()));
        let sampled = self.log.as_ref().filter(|log| log.samples(random_word()));
        let logged = sampled.map(|log| (log, payload.clone()));
        let mut record = Record::start(&by.meters, Role::Primary, arrival.at, arrival.deadline);
        let call = Call {
            role: Role::Primary,
            at: arrival.at,
            deadline: arrival.deadline,
        };
        let scored = self.executor.run(&by, payload, call).await;
        match &scored {
            Ok(Scored {
                scores,
                top,
                inference,
            }) => record.scored(*inference, scores, top),
            Err(PredictError::Forward { version, source }) => {
                tracing::error!(%model, %version, error = %source, "forward pass failed");
            }
            Err(_) => {}
        }
        let code = scored
            .as_ref()
            .map_or_else(PredictError::code, |_| Code::Ok);
        record.ended(code);
        drop(record);
        if let Some((log, inputs)) = logged {
            log.leave(Entry {
                subject: Arc::clone(by.meters.subject()),
                role: Role::Primary,
                request_id: response_id.clone(),
                inputs,
                outputs: scored.as_ref().ok().map(|scored| scored.scores.clone()),
                code,
                latency: arrival.at.elapsed(),
            });
        }
        let Scored { scores, top, .. } = scored?;
        if let Some(outcomes) = &self.outcomes {
            outcomes.remember(&response_id, by.meters.quality(), Role::Primary, &scores);
        }
        Ok(Answer {
            model,
            by,
            role: Role::Primary,
            response_id,
            revision,
            scores,
            top,
        })
    }

    /// Joins truths to what was answered. Some may not fit; the report says what became of each.
    ///
    /// # Errors
    /// There are none, or more than [`Outcomes::MOST`], or not one of them can be read.
    pub async fn report(&self, truths: &[Outcome]) -> Result<Report, PredictError> {
        let most = Outcomes::MOST;
        if truths.is_empty() || truths.len() > most {
            let (got, wanted) = (truths.len(), format!("1 to {most} outcomes"));
            let faults = InputFaults::one("outcomes", got.to_string(), wanted);
            return Err(self.refuse(faults));
        }
        let mut report = Report::default();
        for (at, some) in truths.chunks(TRUTHS_AT_ONCE).enumerate() {
            if at > 0 {
                tokio::task::yield_now().await;
            }
            let Some(outcomes) = &self.outcomes else {
                report.unmatched += some.len() as u64;
                continue;
            };
            outcomes.report(at * TRUTHS_AT_ONCE, some, &mut report);
        }
        if report.malformed == truths.len() as u64 {
            return Err(self.refuse(report.faults));
        }
        Ok(report)
    }

    /// Counts a query that could not even be read, and gives the error to answer with.
    #[must_use]
    pub fn refuse(&self, faults: InputFaults) -> PredictError {
        let error = PredictError::InvalidInput(faults);
        self.telemetry.rejected(&error);
        error
    }
}

/// A number for drawing a sample.
#[expect(clippy::cast_possible_truncation, reason = "any 32 of the bits")]
fn random_word() -> u32 {
    route::random_bits() as u32
}

/// Who answers, and under which revision. Order: pin, header rule, sticky key, random draw.
fn choose(
    models: &HashMap<ModelName, Arc<ServingModel>>,
    query: &Query,
) -> Result<(Arc<ServingVersion>, Revision), PredictError> {
    let model = models
        .get(query.model.as_str())
        .ok_or_else(|| PredictError::UnknownModel(query.model.chars().take(128).collect()))?;
    let by = match (&query.pin, &model.routing) {
        (Some(pin), _) => pinned(model, pin)?,
        (None, Some(routing)) => routed(routing, query),
        (None, None) => {
            let why = "no version is READY".into();
            return Err(PredictError::NotReady {
                model: model.name.to_string(),
                why,
            });
        }
    };
    let revision = model
        .routing
        .as_ref()
        .map_or(Revision::default(), |routing| routing.revision);
    Ok((Arc::clone(by), revision))
}

fn routed<'a>(routing: &'a Routing, query: &Query) -> &'a Arc<ServingVersion> {
    let key = query.routing_key.as_bytes();
    match route::route(&routing.policy, &query.headers, key, route::random_point) {
        Choice::Sticky(at) | Choice::Drawn(at) => routing.take(at),
        Choice::HeaderRule(at) => routing.rule(at),
    }
}

fn pinned<'a>(model: &'a ServingModel, pin: &Pin) -> Result<&'a Arc<ServingVersion>, PredictError> {
    let name = || model.name.to_string();
    let version = match pin {
        Pin::Version(number) => {
            let unknown = |_| PredictError::UnknownVersion {
                model: name(),
                version: *number,
            };
            VersionNumber::try_from(*number).map_err(unknown)?
        }
        Pin::Label(label) => {
            let known = model.labels.get(label.as_str()).copied();
            known.ok_or_else(|| {
                let label = label.chars().take(64).collect();
                PredictError::UnknownLabel {
                    model: name(),
                    label,
                }
            })?
        }
    };
    ready(model, version)
}

fn ready(
    model: &ServingModel,
    version: VersionNumber,
) -> Result<&Arc<ServingVersion>, PredictError> {
    model.ready.get(&version).ok_or_else(|| {
        let name = model.name.to_string();
        if let Some(state) = model.others.get(&version) {
            let why = format!("version {version} is {state}; `GetModel` says why");
            PredictError::NotReady { model: name, why }
        } else {
            PredictError::UnknownVersion {
                model: name,
                version: version.get(),
            }
        }
    })
}
