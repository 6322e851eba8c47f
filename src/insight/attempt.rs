//! The record of one attempt of a version to answer a request, as primary, fallback or shadow.
//!
//! An [`Attempt`] belongs to the task that waits for the result. Dropping it writes it to the metrics and the statistics, so
//! that every path records it. If the request was scored and an outcome buffer is set, it is also written to that buffer. If
//! the request was sampled and [`end`](Attempt::end) was called, it is also written to the prediction log.
//!
//! The thread that scored a request writes its inputs and predictions to the statistics, as an [`Observation`]: that takes
//! time for each row, and rows count even if the client has disconnected before they were scored.
//!
//! Not here: comparisons of a shadow with its primary ([`compare`](super::compare)), and requests that were refused before a
//! version was chosen ([`Telemetry`](super::metrics::Telemetry)).

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::outcomes::Outcomes;
use super::prediction_log::{Entry, LoggedOutput, PredictionLog};
use super::stats::{InputObserver, ObservedInputs, Scoring};
use super::version::VersionInsight;
use crate::error::Code;
use crate::ident::{ResponseId, Role};
use crate::model::payload::Payload;
use crate::model::{Scores, TopClass, Value};

/// What a forward pass returned for one request.
#[derive(Clone, Copy, Debug)]
pub struct PassResult<'a> {
    /// Duration of the forward pass, which other requests may have shared.
    pub inference: Duration,
    /// One row per row of the request.
    pub scores: &'a Scores,
    /// The output that is judged, if `scores` only summarise it: labels, or the vectors of an embedding.
    pub summarised: Option<&'a Value>,
    /// The most probable class of each row; empty without classes.
    pub top: &'a [TopClass],
}

/// What the thread that scored a request observed of it. Creating one takes no lock and records nothing.
#[derive(Debug)]
pub struct Observation {
    inputs: ObservedInputs,
    queue_wait: Duration,
    counts_pass: bool,
}

impl Observation {
    /// Creates the observation of a request that was computed `queue_wait` after it arrived. Of several requests in one
    /// forward pass, exactly one has `counts_pass`: the statistics count the pass with it.
    #[must_use]
    pub fn new(inputs: InputObserver<'_>, queue_wait: Duration, counts_pass: bool) -> Self {
        Self {
            inputs: inputs.into_inputs(),
            queue_wait,
            counts_pass,
        }
    }

    /// Records the inputs and the `result` of the request in the statistics of the version that scored it.
    pub fn record(&self, insight: &VersionInsight, role: Role, result: PassResult<'_>) {
        let scoring = Scoring {
            queue: self.queue_wait,
            inference: result.inference,
            scores: result.scores,
            top: result.top,
            is_first: self.counts_pass,
        };
        insight.stats.scored(role, &self.inputs, scoring);
    }
}

/// The record of one attempt of a version to answer a request. Written when dropped.
///
/// Without a call of [`end`](Self::end) the attempt counts as abandoned: as `DEADLINE_EXCEEDED` if its deadline has passed,
/// else as `CANCELLED`.
#[derive(Debug)]
pub struct Attempt<'a> {
    insight: &'a VersionInsight,
    role: Role,
    response_id: &'a ResponseId,
    begin: Instant,
    deadline: Option<Instant>,
    outcome_buffer: Option<&'a Outcomes>,
    /// The prediction log and the inputs, if the request is sampled.
    log: Option<(&'a PredictionLog, Payload)>,
    code: Option<Code>,
    result: Option<PassResult<'a>>,
    /// When the attempt ended, if that was before the record is dropped.
    end: Option<Instant>,
    /// Whether the counter of requests contains the attempt already.
    is_counted: bool,
}

impl<'a> Attempt<'a> {
    /// Starts the record of an attempt, and counts it as in flight.
    ///
    /// Latency is measured from `begin`: for a primary or a fallback, the arrival of the request, so that the latency of a
    /// fallback includes the attempt of the primary; for a shadow, the time at which its forward pass began.
    #[inline]
    #[must_use]
    pub fn start(
        insight: &'a VersionInsight,
        role: Role,
        response_id: &'a ResponseId,
        begin: Instant,
        deadline: Option<Instant>,
    ) -> Self {
        insight.meters.attempt_started();
        Self {
            insight,
            role,
            response_id,
            begin,
            deadline,
            outcome_buffer: None,
            log: None,
            code: None,
            result: None,
            end: None,
            is_counted: false,
        }
    }

    /// Sets the buffer that keeps the predictions until their ground truth is reported.
    pub fn remember_in(&mut self, outcome_buffer: &'a Outcomes) {
        self.outcome_buffer = Some(outcome_buffer);
    }

    /// Sets the log that the attempt is written to. `inputs` are those of the request.
    pub fn log_to(&mut self, log: &'a PredictionLog, inputs: Payload) {
        self.log = Some((log, inputs));
    }

    /// Marks the attempt as already counted by [`shadow_overdue`](super::metrics::VersionMeters::shadow_overdue). Dropping it
    /// does not increment the request counter again.
    pub fn set_counted(&mut self) {
        self.is_counted = true;
    }

    /// Ends the attempt now, and writes its record. `result` is the result of the version; `None` if it did not score the
    /// request.
    #[inline]
    pub fn end(mut self, code: Code, result: Option<PassResult<'a>>) {
        (self.code, self.result) = (Some(code), result);
        // Dropping `self` writes the record.
    }

    /// Ends the attempt as of `end`, an earlier time, and writes its record. `result` is as in [`end`](Self::end).
    #[inline]
    pub fn end_at(mut self, end: Instant, code: Code, result: Option<PassResult<'a>>) {
        self.end = Some(end);
        self.end(code, result);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let Self { insight, role, .. } = *self;
        let meters = &insight.meters;
        if let Some(result) = self.result {
            meters.scored(role, result.inference, result.scores, result.top);
        }
        let ended_at = self.end.unwrap_or_else(Instant::now);
        let code = self.code.unwrap_or_else(|| {
            // A server drops a request at its deadline, just as it does when the client disconnects.
            let is_expired = self.deadline.is_some_and(|deadline| deadline <= ended_at);
            if is_expired {
                Code::DeadlineExceeded
            } else {
                Code::Cancelled
            }
        });
        let total = ended_at.saturating_duration_since(self.begin);
        let counted_code = (!self.is_counted).then_some(code);
        meters.attempt_ended(role, counted_code, total);
        insight.stats.ended(role, code, total);
        if let (Some((log, inputs)), Some(code)) = (self.log.take(), self.code) {
            log.enqueue(Entry {
                subject: Arc::clone(insight.subject()),
                role,
                request_id: self.response_id.clone(),
                inputs,
                outputs: self.result.map(|result| match result.summarised {
                    Some(output) => LoggedOutput::Tensor(output.clone()),
                    None => LoggedOutput::Scores(result.scores.clone()),
                }),
                code,
                latency: total,
            });
        }
        if let (Some(outcome_buffer), Some(result)) = (self.outcome_buffer, self.result) {
            outcome_buffer.remember(self.response_id, insight.quality(), role, result.scores);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::insight::metrics::Telemetry;
    use crate::insight::outcomes::OutcomeSettings;
    use crate::insight::stats::{self, Window};
    use crate::model::samples;

    struct Fixture {
        telemetry: Arc<Telemetry>,
        insight: VersionInsight,
        response_id: ResponseId,
    }

    impl Fixture {
        fn new() -> Self {
            let telemetry = Telemetry::new().unwrap();
            let manifest = samples::manifest(samples::document("m", 1));
            let insight =
                VersionInsight::new(&telemetry, &manifest, stats::Settings::default()).unwrap();
            Self {
                telemetry,
                insight,
                response_id: ResponseId::from_random(1),
            }
        }

        fn start(&self, deadline: Option<Instant>) -> Attempt<'_> {
            let now = Instant::now();
            Attempt::start(
                &self.insight,
                Role::Primary,
                &self.response_id,
                now,
                deadline,
            )
        }

        /// Returns the requests with this code in the metrics and in the statistics.
        fn ended(&self, code: Code) -> (u64, u64) {
            let name = code.as_str();
            let series = format!(
                r#"taper_requests_total{{model="m",version="1",role="primary",code="{name}"}} "#
            );
            let text = self.telemetry.render();
            let line = text.lines().find_map(|line| line.strip_prefix(&*series));
            let counted = line.map_or(0, |value| value.parse().unwrap());
            let window = Window::SinceLoad;
            let read = self.insight.stats.read(Role::Primary, window).unwrap();
            (counted, read.summary.codes[code as usize])
        }

        fn in_flight(&self) -> bool {
            let idle = r#"taper_in_flight_requests{model="m",version="1"} 0"#;
            !self.telemetry.render().contains(idle)
        }
    }

    #[tokio::test]
    async fn an_attempt_that_never_ends_is_written_when_it_is_dropped() {
        let fixture = Fixture::new();
        let attempt = fixture.start(None);
        assert!(fixture.in_flight());
        drop(attempt);
        assert!(!fixture.in_flight());
        assert_eq!(fixture.ended(Code::Cancelled), (1, 1), "no deadline");
        drop(fixture.start(Some(Instant::now())));
        assert_eq!(
            fixture.ended(Code::DeadlineExceeded),
            (1, 1),
            "the deadline has passed"
        );
    }

    #[tokio::test]
    async fn an_attempt_that_is_counted_already_is_only_added_to_the_statistics() {
        let fixture = Fixture::new();
        let mut attempt = fixture.start(None);
        attempt.set_counted();
        attempt.end(Code::DeadlineExceeded, None);
        assert_eq!(fixture.ended(Code::DeadlineExceeded), (0, 1));
    }

    #[tokio::test]
    async fn predictions_are_remembered_only_if_the_version_scored_the_request() {
        let fixture = Fixture::new();
        let settings = OutcomeSettings::default();
        let outcomes = Outcomes::new(settings, fixture.telemetry.outcomes());
        let remembered = || {
            outcomes.report_rows();
            let text = fixture.telemetry.render();
            let name = "taper_outcome_buffer_rows ";
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.map_or(0, |rows| rows.parse::<u64>().unwrap())
        };
        let mut failed = fixture.start(None);
        failed.remember_in(&outcomes);
        failed.end(Code::Internal, None);
        assert_eq!(remembered(), 0);
        let scores = Scores::new(vec![0.5], 1).unwrap();
        let mut scored = fixture.start(None);
        scored.remember_in(&outcomes);
        let result = PassResult {
            inference: Duration::ZERO,
            scores: &scores,
            summarised: None,
            top: &[],
        };
        scored.end(Code::Ok, Some(result));
        assert_eq!(remembered(), 1);
        assert_eq!(fixture.ended(Code::Ok), (1, 1));
    }
}
