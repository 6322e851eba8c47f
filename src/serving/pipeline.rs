//! The request path, step by step.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::admission::RequestPermit;
use super::batch::Pool;
use super::execute::{Call, Executor, Work};
use super::fallback;
use super::live::{Live, Routing, ServingVersion, Snapshot};
use super::lookup::pinned;
use super::query::{Answer, Query};
use super::route::{self, Choice, Copies};
use super::score::Scored;
use super::shadow::{Copied, Primary, ShadowPool};
use crate::error::{Code, InputFaults, PredictError};
use crate::ident::{ResponseId, Revision, Role};
use crate::insight::metrics::{MessageFault, Record, Telemetry};
use crate::insight::outcomes::{Outcome, Outcomes, Report};
use crate::insight::prediction_log::{Entry, PredictionLog};
use crate::model::payload::Payload;

/// Answers queries from what is live.
#[derive(Debug)]
pub struct Pipeline {
    live: Arc<Live>,
    telemetry: Arc<Telemetry>,
    executor: Executor,
    outcomes: Option<Arc<Outcomes>>,
    log: Option<PredictionLog>,
    crew: Option<ShadowPool>,
}

/// Truths that are joined before the thread is left to others for a moment.
const TRUTHS_AT_ONCE: usize = 256;

impl Pipeline {
    /// Serves what `live` holds; what is dear is computed in `pool`.
    #[must_use]
    pub fn new(live: Arc<Live>, telemetry: Arc<Telemetry>, pool: Pool) -> Self {
        Self {
            live,
            telemetry,
            executor: Executor::new(pool),
            outcomes: None,
            log: None,
            crew: None,
        }
    }

    /// The same, with copies for shadows, which `crew` scores. Without it, shadows get none.
    #[must_use]
    pub fn with_shadows(self, crew: ShadowPool) -> Self {
        Self {
            crew: Some(crew),
            ..self
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

    /// Answers one query under one snapshot: by the version that is pinned or routed to, or where that one cannot, by the
    /// fallback.
    ///
    /// # Errors
    /// See [`PredictError`]. Each is counted: under the version where one was chosen, else by its reason.
    pub async fn predict(&self, query: Query) -> Result<Answer, PredictError> {
        let snapshot = self.live.snapshot();
        let chosen = choose(&snapshot, &query).inspect_err(|error| {
            self.telemetry.rejected(error);
        })?;
        // Only what was chosen is needed from here on; a replaced snapshot can go while a long batch is computed.
        drop(snapshot);
        let Query {
            model,
            response_id,
            payload,
            permit,
            ..
        } = query;
        let Chosen {
            by,
            revision,
            helpers,
        } = chosen;
        let response_id =
            response_id.unwrap_or_else(|| ResponseId::from_random(route::random_bits()));
        let copies = match (&helpers, &self.crew) {
            (Some(routing), Some(_)) => routing.copies(route::random_point),
            _ => Copies::default(),
        };
        let fallback_for = helpers
            .as_ref()
            .and_then(|routing| routing.fallback_for(&by));
        let (work, shared) = if copies.is_empty() && fallback_for.is_none() {
            (Work::Own(payload), None)
        } else {
            let shared = Arc::new(payload);
            (Work::Shared(Arc::clone(&shared)), Some(shared))
        };
        let limit = fallback_for.and_then(|(_, within)| fallback::patience(within, left(&permit)));
        let first = Attempt {
            by: &by,
            role: Role::Primary,
            permit: &permit,
            limit,
            response_id: &response_id,
        };
        let first = self.attempt(first, work).await;
        // Asked before anything is copied.
        if let (false, Some(payload), Some(routing)) = (copies.is_empty(), &shared, &helpers)
            && is_worth_copying(&first)
        {
            let primary = Primary {
                version: by.number(),
                about: Arc::clone(by.insight.comparisons.info()),
                response_id: response_id.clone(),
                revision,
                answer: first.as_ref().ok().cloned(),
            };
            self.copy(copies, routing, payload, primary, &permit);
        }
        let (answered, by, role, failed) = match (first, fallback_for, shared) {
            (Err(error), Some((other, _)), Some(payload)) => {
                let Some(why) = fallback::reason(&error, left(&permit)) else {
                    return Err(error);
                };
                by.insight.meters.fell_back(why);
                let work = Work::Shared(payload);
                let second = Attempt {
                    by: other,
                    role: Role::Fallback,
                    permit: &permit,
                    limit: None,
                    response_id: &response_id,
                };
                let answered = self.attempt(second, work).await?;
                let failed = Some(by.number());
                (answered, Arc::clone(other), Role::Fallback, failed)
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

    /// Lets a version answer, for as long as it may, and records how it went.
    async fn attempt(&self, attempt: Attempt<'_>, work: Work) -> Result<Scored, PredictError> {
        let Attempt {
            by,
            role,
            permit,
            limit,
            response_id,
        } = attempt;
        let log = self.log.as_ref();
        let sampled = log.filter(|log| log.samples(random_word()) && log.has_room());
        let logged = sampled.map(|log| (log, Payload::clone(&work)));
        let mut record = Record::start(&by.insight, role, permit.at, permit.deadline());
        let call = Call {
            role,
            at: permit.at,
            deadline: permit.deadline(),
        };
        let scored = match limit {
            None => self.executor.run(by, work, call).await,
            Some(limit) => self.executor.run_within(by, work, call, limit).await,
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
        let code = scored
            .as_ref()
            .map_or_else(PredictError::code, |_| Code::Ok);
        record.ended(code);
        drop(record);
        if let Some((log, inputs)) = logged {
            log.leave(Entry {
                subject: Arc::clone(by.insight.subject()),
                role,
                request_id: response_id.clone(),
                inputs,
                outputs: scored.as_ref().ok().map(|scored| scored.scores.clone()),
                code,
                latency: permit.at.elapsed(),
            });
        }
        if let (Some(outcomes), Ok(scored)) = (&self.outcomes, &scored) {
            outcomes.remember(response_id, by.insight.quality(), role, &scored.scores);
        }
        scored
    }

    /// Offers a request to the shadows in `copies`.
    fn copy(
        &self,
        copies: Copies,
        routing: &Routing,
        payload: &Arc<Payload>,
        primary: Primary,
        permit: &RequestPermit,
    ) {
        let Some(crew) = &self.crew else { return };
        let copied = Copied {
            payload: Arc::clone(payload),
            primary: Arc::new(primary),
            bytes: permit.bytes(),
        };
        for at in copies.places() {
            crew.offer(routing.lane(at), copied.clone());
        }
    }

    /// Joins truths to what was answered. Some may not fit; the report says what became of each.
    ///
    /// # Errors
    /// There are none, or more than [`Outcomes::MAX_PER_REPORT`], or not one of them can be read.
    pub async fn report(&self, truths: &[Outcome]) -> Result<Report, PredictError> {
        let most = Outcomes::MAX_PER_REPORT;
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

    /// Counts a message that no door could read.
    pub fn unreadable(&self, why: MessageFault) {
        self.telemetry.unreadable(why);
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

/// How long the caller still waits; `None`: for ever.
fn left(permit: &RequestPermit) -> Option<Duration> {
    let deadline = permit.deadline()?;
    Some(deadline.saturating_duration_since(Instant::now()))
}

/// Whether a shadow can learn from a request that ended like this: not where the caller was wrong or there was no time.
fn is_worth_copying(ended: &Result<Scored, PredictError>) -> bool {
    matches!(ended, Ok(_) | Err(PredictError::Forward { .. }))
}

/// One version that is to answer one request.
struct Attempt<'a> {
    by: &'a Arc<ServingVersion>,
    role: Role,
    permit: &'a RequestPermit,
    /// How long it gets; `None`: as long as the caller waits.
    limit: Option<Duration>,
    response_id: &'a ResponseId,
}

/// Who answers.
struct Chosen {
    by: Arc<ServingVersion>,
    revision: Revision,
    /// The policy, where it has shadows or a fallback and the request is its business: a pin is not.
    helpers: Option<Arc<Routing>>,
}

/// Who answers, and under which revision. Order: pin, header rule, sticky key, random draw.
fn choose(snapshot: &Snapshot, query: &Query) -> Result<Chosen, PredictError> {
    let model = snapshot.model(&query.model)?;
    let by = match &query.pin {
        Some(pin) => pinned(model, pin)?,
        None => routed(model.routing()?, query),
    };
    let routing = model.routing.as_ref();
    let helpers =
        routing.filter(|routing| query.pin.is_none() && routing.has_shadows_or_fallback());
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
