//! The request path, step by step.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::execute::{Executor, Scored, Work};
use super::fallback;
use super::gate::Arrival;
use super::live::{Live, Routing, ServingModel, ServingVersion};
use super::query::{Answer, Pin, Query};
use super::route::{self, Choice, Copies};
use super::shadow::{Copied, Crew, Primary};
use crate::error::{Code, InputFaults, PredictError};
use crate::ident::{ModelName, ResponseId, Revision, Role, VersionNumber};
use crate::insight::metrics::{Record, Telemetry};
use crate::model::payload::Payload;

/// Answers queries from what is live.
#[derive(Debug)]
pub struct Pipeline {
    live: Arc<Live>,
    telemetry: Arc<Telemetry>,
    executor: Executor,
    crew: Option<Crew>,
}

impl Pipeline {
    /// Serves what `live` holds.
    #[must_use]
    pub fn new(live: Arc<Live>, telemetry: Arc<Telemetry>) -> Self {
        Self {
            live,
            telemetry,
            executor: Executor::default(),
            crew: None,
        }
    }

    /// The same, with copies for shadows, which `crew` scores. Without it, shadows get none.
    #[must_use]
    pub fn with_shadows(self, crew: Crew) -> Self {
        Self {
            crew: Some(crew),
            ..self
        }
    }

    /// Answers one query under one snapshot: by the version that is pinned or routed to, or where that one cannot, by the
    /// fallback.
    ///
    /// # Errors
    /// See [`PredictError`]. Each is counted: under the version where one was chosen, else by its reason.
    pub async fn predict(&self, query: Query) -> Result<Answer, PredictError> {
        let snapshot = self.live.snapshot();
        let chosen = choose(&snapshot.models, &query).inspect_err(|error| {
            self.telemetry.rejected(error);
        })?;
        // Only what was chosen is needed from here on; a replaced snapshot can go while a long batch is computed.
        drop(snapshot);
        let Query {
            model,
            response_id,
            payload,
            arrival,
            ..
        } = query;
        let Chosen {
            by,
            revision,
            helpers,
        } = chosen;
        let copies = match (&helpers, &self.crew) {
            (Some(routing), Some(_)) => routing.copies(route::random_point),
            _ => Copies::default(),
        };
        let stand_in = helpers.as_ref().and_then(|routing| routing.stand_in(&by));
        let (work, shared) = if copies.is_empty() && stand_in.is_none() {
            (Work::Own(payload), None)
        } else {
            let shared = Arc::new(payload);
            (Work::Shared(Arc::clone(&shared)), Some(shared))
        };
        let limit = stand_in.and_then(|(_, within)| fallback::patience(within, left(&arrival)));
        let first = self
            .attempt(&by, Role::Primary, work, &arrival, limit)
            .await;
        let response_id =
            response_id.unwrap_or_else(|| ResponseId::from_random(route::random_bits()));
        if let (false, Some(payload), Some(routing)) = (copies.is_empty(), &shared, &helpers) {
            let primary = Primary {
                version: by.number(),
                response_id: response_id.clone(),
                revision,
                answer: first
                    .as_ref()
                    .ok()
                    .map(|scored| (scored.scores.clone(), scored.top.clone())),
            };
            if is_worth_copying(&first) {
                self.copy(copies, routing, payload, primary, &arrival);
            }
        }
        let (answered, by, role, failed) = match (first, stand_in, shared) {
            (Err(error), Some((other, _)), Some(payload)) => {
                let Some(why) = fallback::reason(&error, left(&arrival)) else {
                    return Err(error);
                };
                by.meters.fell_back(why);
                let work = Work::Shared(payload);
                let second = self.attempt(other, Role::Fallback, work, &arrival, None);
                let failed = Some(by.number());
                (second.await?, Arc::clone(other), Role::Fallback, failed)
            }
            (first, ..) => (first?, by, Role::Primary, None),
        };
        Ok(Answer {
            model,
            by,
            role,
            failed,
            response_id,
            revision,
            scores: answered.scores,
            top: answered.top,
        })
    }

    /// Lets `by` answer, for at most `limit`, and records how it went.
    async fn attempt(
        &self,
        by: &Arc<ServingVersion>,
        role: Role,
        work: Work,
        arrival: &Arrival,
        limit: Option<Duration>,
    ) -> Result<Scored, PredictError> {
        let deadline = arrival.deadline;
        let mut record = Record::start(&by.meters, role, arrival.at, deadline);
        let scored = match limit {
            None => self.executor.run(by, work, deadline).await,
            Some(limit) => self.executor.run_within(by, work, deadline, limit).await,
        };
        match &scored {
            Ok(Scored {
                scores,
                top,
                inference,
            }) => record.scored(*inference, scores, top),
            Err(PredictError::Forward { version, source }) => {
                let model = &by.version.manifest().model;
                tracing::error!(%model, %version, error = %source, "forward pass failed");
            }
            Err(_) => {}
        }
        record.ended(
            scored
                .as_ref()
                .map_or_else(PredictError::code, |_| Code::Ok),
        );
        scored
    }

    /// Offers a request to the shadows in `copies`.
    fn copy(
        &self,
        copies: Copies,
        routing: &Routing,
        payload: &Arc<Payload>,
        primary: Primary,
        arrival: &Arrival,
    ) {
        let Some(crew) = &self.crew else { return };
        let copied = Copied {
            payload: Arc::clone(payload),
            primary: Arc::new(primary),
            bytes: arrival.bytes(),
        };
        for at in copies.places() {
            crew.offer(routing.lane(at), copied.clone());
        }
    }

    /// Counts a query that could not even be read, and gives the error to answer with.
    #[must_use]
    pub fn refuse(&self, faults: InputFaults) -> PredictError {
        let error = PredictError::InvalidInput(faults);
        self.telemetry.rejected(&error);
        error
    }
}

/// How long the caller still waits; `None`: for ever.
fn left(arrival: &Arrival) -> Option<Duration> {
    let deadline = arrival.deadline?;
    Some(deadline.saturating_duration_since(Instant::now()))
}

/// Whether a shadow can learn from a request that ended like this: not where the caller was wrong or there was no time.
fn is_worth_copying(ended: &Result<Scored, PredictError>) -> bool {
    matches!(ended, Ok(_) | Err(PredictError::Forward { .. }))
}

/// Who answers.
struct Chosen {
    by: Arc<ServingVersion>,
    revision: Revision,
    /// The policy, where it has shadows or a fallback and the request is its business: a pin is not.
    helpers: Option<Arc<Routing>>,
}

/// Who answers, and under which revision. Order: pin, header rule, sticky key, random draw.
fn choose(
    models: &HashMap<ModelName, Arc<ServingModel>>,
    query: &Query,
) -> Result<Chosen, PredictError> {
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
    let routing = model.routing.as_ref();
    let helpers = routing.filter(|routing| query.pin.is_none() && routing.has_helpers());
    Ok(Chosen {
        by: Arc::clone(by),
        revision: routing.map_or(Revision::default(), |routing| routing.revision),
        helpers: helpers.cloned(),
    })
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
