//! The path of one request, step by step.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tracing::Span;

use super::admission::RequestPermit;
use super::batch::Pool;
use super::execute::Executor;
use super::fallback;
use super::live::{Live, Routing, Snapshot};
use super::lookup::pinned;
use super::query::{Answer, Query};
use super::route::{self, Choice, ShadowSelection};
use super::shadow::{PrimaryResult, ShadowCopy, ShadowPool};
use super::version::VersionRuntime;
use super::work::{Call, Prediction, Work};
use crate::error::{Code, InputFaults, PredictError};
use crate::ident::{ResponseId, Revision, Role};
use crate::insight::attempt::Attempt;
use crate::insight::metrics::{MessageFault, Telemetry};
use crate::insight::outcomes::{JoinReport, Outcome, Outcomes};
use crate::insight::prediction_log::PredictionLog;
use crate::model::payload::Payload;

/// Answers queries from the current snapshot.
#[derive(Debug)]
pub struct Pipeline {
    live: Arc<Live>,
    telemetry: Arc<Telemetry>,
    executor: Executor,
    outcome_buffer: Option<Arc<Outcomes>>,
    log: Option<PredictionLog>,
    shadow_pool: Option<ShadowPool>,
}

/// Outcomes that are joined before the task yields its thread.
const OUTCOMES_PER_YIELD: usize = 256;

impl Pipeline {
    /// Creates a pipeline that serves the snapshots of `live`. Expensive passes run in `pool`.
    #[must_use]
    pub fn new(live: Arc<Live>, telemetry: Arc<Telemetry>, pool: Pool) -> Self {
        Self {
            live,
            telemetry,
            executor: Executor::new(pool),
            outcome_buffer: None,
            log: None,
            shadow_pool: None,
        }
    }

    /// Sets the pool that scores copies for shadows. Without it, shadows get no copies.
    #[must_use]
    pub fn with_shadows(self, shadow_pool: ShadowPool) -> Self {
        Self {
            shadow_pool: Some(shadow_pool),
            ..self
        }
    }

    /// Sets the buffer that keeps predictions until their ground truth is reported.
    #[must_use]
    pub fn with_outcomes(self, outcome_buffer: Arc<Outcomes>) -> Self {
        Self {
            outcome_buffer: Some(outcome_buffer),
            ..self
        }
    }

    /// Sets the log that a sample of the requests is written to.
    #[must_use]
    pub fn with_log(self, log: Option<PredictionLog>) -> Self {
        Self { log, ..self }
    }

    /// Answers one query under one snapshot: by the version that is pinned or that the policy chooses, or by the fallback if
    /// that version fails.
    ///
    /// # Errors
    /// See [`PredictError`]. Each error is counted: under its version if one was chosen, else by its reason.
    pub async fn predict(&self, query: Query) -> Result<Answer, PredictError> {
        let snapshot = self.live.snapshot();
        let chosen = choose(&snapshot, &query).inspect_err(|error| {
            self.telemetry.rejected(error);
        })?;
        // Only the chosen versions are needed from here on, so a replaced snapshot can be freed while a long batch runs.
        drop(snapshot);
        let Query {
            model,
            response_id,
            payload,
            permit,
            ..
        } = query;
        let ChosenVersion {
            version,
            revision,
            routing,
        } = chosen;
        let response_id =
            response_id.unwrap_or_else(|| ResponseId::from_random(route::random_bits()));
        let request = Request {
            response_id: &response_id,
            revision,
            permit: &permit,
            span: &request_span(&version, revision),
        };
        let shadows = self.select_shadows(routing.as_deref());
        let fallback_and_limit = routing
            .as_ref()
            .and_then(|routing| routing.fallback_for(&version));
        let (work, shared) = Work::of(payload, !shadows.is_empty() || fallback_and_limit.is_some());
        let limit = fallback_and_limit.and_then(|(_, within)| request.time_limit(within));
        let first = self
            .attempt(&version, Role::Primary, request, work, limit)
            .await;
        if let (Some(routing), Some(payload)) = (&routing, &shared) {
            self.offer_to_shadows(shadows, routing, payload, &version, request, &first);
        }
        let (prediction, responder, role, failed) = match (first, fallback_and_limit, shared) {
            (Err(error), Some((fallback_version, _)), Some(payload)) => {
                let Some(reason) = fallback::reason(&error, request.time_left()) else {
                    return Err(error);
                };
                version.insight.meters.count_fallback(reason);
                let work = Work::Shared(payload);
                let second = self.attempt(fallback_version, Role::Fallback, request, work, None);
                let failed = Some(version.number());
                let responder = Arc::clone(fallback_version);
                (second.await?, responder, Role::Fallback, failed)
            }
            (first, ..) => (first?, version, Role::Primary, None),
        };
        Ok(Answer {
            model,
            version: responder,
            role,
            failed,
            response_id,
            revision,
            pass: prediction.pass,
            top: prediction.top,
        })
    }

    /// Selects the shadows that get a copy of one request under `routing`.
    fn select_shadows(&self, routing: Option<&Routing>) -> ShadowSelection {
        match (routing, &self.shadow_pool) {
            (Some(routing), Some(_)) => routing.select_shadows(route::random_point),
            _ => ShadowSelection::default(),
        }
    }

    /// Lets a version score a request, for at most `limit`, and records the attempt.
    async fn attempt(
        &self,
        version: &Arc<VersionRuntime>,
        role: Role,
        request: Request<'_>,
        work: Work,
        limit: Option<Duration>,
    ) -> Result<Prediction, PredictError> {
        let call = Call {
            role,
            arrived: request.permit.arrived,
            deadline: request.permit.deadline(),
            span: request.span.clone(),
        };
        let mut attempt = Attempt::start(
            &version.insight,
            role,
            request.response_id,
            call.arrived,
            call.deadline,
        );
        if let Some(outcome_buffer) = &self.outcome_buffer {
            attempt.remember_in(outcome_buffer);
        }
        if let Some(log) = &self.log
            && log.samples(random_word())
            && log.has_room()
        {
            attempt.log_to(log, Payload::clone(&work));
        }
        let result = match limit {
            None => self.executor.run(version, work, call).await,
            Some(limit) => self.executor.run_within(version, work, call, limit).await,
        };
        match &result {
            Ok(prediction) => attempt.end(Code::Ok, Some(prediction.pass_result())),
            Err(error) => {
                request.span.in_scope(|| log_failed_pass(version, error));
                attempt.end(error.code(), None);
            }
        }
        result
    }

    /// Offers a copy of a request to each of `shadows`, if the `result` of the primary, `version`, allows a comparison; see
    /// [`shadows_get_copy`].
    fn offer_to_shadows(
        &self,
        shadows: ShadowSelection,
        routing: &Routing,
        payload: &Arc<Payload>,
        version: &VersionRuntime,
        request: Request<'_>,
        result: &Result<Prediction, PredictError>,
    ) {
        let Some(shadow_pool) = &self.shadow_pool else {
            return;
        };
        // Checked before anything is copied.
        if shadows.is_empty() || !shadows_get_copy(result) {
            return;
        }
        let primary = PrimaryResult {
            version: version.number(),
            info: Arc::clone(version.insight.comparisons.info()),
            response_id: request.response_id.clone(),
            revision: request.revision,
            answer: result.as_ref().ok().map(Prediction::judged),
        };
        let answer_bytes = primary.answer.as_ref().map_or(0, Prediction::bytes);
        let copy = ShadowCopy {
            payload: Arc::clone(payload),
            primary: Arc::new(primary),
            bytes: request.permit.bytes() + answer_bytes,
        };
        for index in shadows.indices() {
            shadow_pool.offer(routing.shadow_queue(index), copy.clone());
        }
    }

    /// Joins outcomes to earlier predictions. The report counts unmatched and malformed outcomes, and describes the faults of
    /// the first few invalid ones.
    ///
    /// # Errors
    /// Returns an error if `outcomes` is empty or longer than [`Outcomes::MAX_PER_REPORT`], or if every outcome is malformed.
    pub async fn join_outcomes(&self, outcomes: &[Outcome]) -> Result<JoinReport, PredictError> {
        let most = Outcomes::MAX_PER_REPORT;
        if outcomes.is_empty() || outcomes.len() > most {
            let (got, wanted) = (outcomes.len(), format!("1 to {most} outcomes"));
            let faults = InputFaults::one("outcomes", got.to_string(), wanted);
            return Err(self.reject_invalid(faults));
        }
        let mut report = JoinReport::default();
        for (index, chunk) in outcomes.chunks(OUTCOMES_PER_YIELD).enumerate() {
            if index > 0 {
                tokio::task::yield_now().await;
            }
            let Some(outcome_buffer) = &self.outcome_buffer else {
                report.unmatched += chunk.len() as u64;
                continue;
            };
            outcome_buffer.join(index * OUTCOMES_PER_YIELD, chunk, &mut report);
        }
        if report.malformed == outcomes.len() as u64 {
            return Err(self.reject_invalid(report.faults));
        }
        Ok(report)
    }

    /// Counts a message that the transport refused.
    pub fn unreadable(&self, why: MessageFault) {
        self.telemetry.unreadable(why);
    }

    /// Counts an invalid request and returns its error.
    #[must_use]
    pub fn reject_invalid(&self, faults: InputFaults) -> PredictError {
        let error = PredictError::InvalidInput(faults);
        self.telemetry.rejected(&error);
        error
    }
}

/// Creates the span of a request. Every log line about the request is inside it, also those of the threads that compute.
///
/// Its level is disabled by the default filter of `taper serve`. Creating it then costs one comparison, and formats and
/// allocates nothing; so log lines of higher levels name model and version themselves.
fn request_span(version: &VersionRuntime, revision: Revision) -> Span {
    tracing::debug_span!(
        "request",
        model = %version.version.manifest().model,
        version = %version.number(),
        revision = revision.0,
    )
}

/// Logs the cause of a failed forward pass, which no client sees.
fn log_failed_pass(version: &VersionRuntime, error: &PredictError) {
    if let PredictError::Forward { source, .. } = error {
        let model = &version.version.manifest().model;
        let version = version.number();
        tracing::error!(%model, %version, error = %source, "forward pass failed");
    }
}

/// Returns a random number that decides whether a request is sampled.
#[expect(clippy::cast_possible_truncation, reason = "any 32 of the bits")]
fn random_word() -> u32 {
    route::random_bits() as u32
}

/// Returns whether shadows get a copy: only if the primary scored the request or its forward pass failed.
fn shadows_get_copy(result: &Result<Prediction, PredictError>) -> bool {
    matches!(result, Ok(_) | Err(PredictError::Forward { .. }))
}

/// The properties of a request that every attempt to answer it needs.
#[derive(Clone, Copy)]
struct Request<'a> {
    response_id: &'a ResponseId,
    revision: Revision,
    permit: &'a RequestPermit,
    span: &'a Span,
}

impl Request<'_> {
    /// Returns the time limit of the chosen version if a fallback is ready; see [`fallback::time_limit`].
    fn time_limit(&self, within: Option<Duration>) -> Option<Duration> {
        fallback::time_limit(within, self.time_left())
    }

    /// Returns the time until the deadline; `None` without one.
    fn time_left(&self) -> Option<Duration> {
        let deadline = self.permit.deadline()?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }
}

/// The version that is to answer.
struct ChosenVersion {
    version: Arc<VersionRuntime>,
    revision: Revision,
    /// The policy, if it has shadows or a fallback and applies to the request: it does not apply to a pin.
    routing: Option<Arc<Routing>>,
}

/// Chooses the version that is to answer. Order: pin, header rule, sticky key, random draw.
fn choose(snapshot: &Snapshot, query: &Query) -> Result<ChosenVersion, PredictError> {
    let model = snapshot.model(&query.model)?;
    let version = match &query.pin {
        Some(pin) => pinned(model, pin)?,
        None => routed(model.routing()?, query),
    };
    let in_force = model.routing.as_ref();
    let routing =
        in_force.filter(|routing| query.pin.is_none() && routing.has_shadows_or_fallback());
    Ok(ChosenVersion {
        version: Arc::clone(version),
        revision: in_force.map_or(Revision::default(), |routing| routing.revision),
        routing: routing.cloned(),
    })
}

/// Returns the version that the policy chooses for a query.
fn routed<'a>(routing: &'a Routing, query: &Query) -> &'a Arc<VersionRuntime> {
    let key = query.routing_key.as_bytes();
    match route::route(&routing.policy, &query.headers, key, route::random_point) {
        Choice::Sticky(row) | Choice::Drawn(row) => routing.split_target(row),
        Choice::HeaderRule(rule) => routing.rule_target(rule),
    }
}

#[cfg(test)]
mod tests;
