//! Encodes payloads and scores them on the calling thread: one request, or several in one forward pass.

use std::time::Duration;

use tokio::time::Instant;

use super::version::VersionRuntime;
use super::work::{Call, Prediction, Work};
use crate::error::{ForwardError, InputFaults, PredictError};
use crate::ident::Role;
use crate::insight::attempt::Observation;
use crate::insight::stats::InputObserver;
use crate::model::payload::Payload;
use crate::model::{Batch, Input, Pass};

/// The scores of one request, before its statistics are recorded.
#[derive(Debug)]
pub(super) struct UnrecordedPrediction {
    observation: Observation,
    prediction: Prediction,
}

/// Encodes and scores one request, and records its statistics if it was scored.
pub(super) fn score_one(
    version: &VersionRuntime,
    payload: &Payload,
    call: &Call,
) -> Result<Prediction, PredictError> {
    score_unrecorded(version, payload, call).map(|unrecorded| unrecorded.record(version, call.role))
}

/// Encodes and scores one request. Takes no lock and records nothing, so a thread that may be preempted at any time can call
/// it.
pub(super) fn score_unrecorded(
    version: &VersionRuntime,
    payload: &Payload,
    call: &Call,
) -> Result<UnrecordedPrediction, PredictError> {
    let _entered = call.span.enter();
    let begin = Instant::now();
    let (inputs, rows) = encode(version, payload, call, begin)?;
    let pass = run_pass(version, &rows, call.role)?;
    Ok(UnrecordedPrediction::new(
        version, call, begin, inputs, pass, true,
    ))
}

/// Encodes and scores several requests in one forward pass, and records their statistics. The results are in the order of the
/// requests. If one request is invalid, only that request fails; if the pass fails, each request gets a pass of its own. The
/// joint pass runs in the span of the first request.
pub(super) fn score_batch(
    version: &VersionRuntime,
    requests: &[(Work, Call)],
) -> Vec<Result<Prediction, PredictError>> {
    let begin = Instant::now();
    let encoded: Vec<_> = requests
        .iter()
        .map(|(work, call)| call.span.in_scope(|| encode(version, work, call, begin)))
        .collect();
    let valid: Vec<&Batch> = encoded
        .iter()
        .filter_map(|one| one.as_ref().ok().map(|(_, rows)| rows))
        .collect();
    let rows: usize = valid.iter().map(|rows| rows.len()).sum();
    if !valid.is_empty() {
        version.insight.meters.batch(valid.len(), rows);
    }
    let joint_pass = match (&valid[..], requests.first()) {
        ([_, _, ..], Some((_, call)))
            if version.version.model().joins_requests() && Batch::can_join(&valid) =>
        {
            let _entered = call.span.enter();
            run_pass(version, &Batch::joined(&valid), call.role).ok()
        }
        _ => None,
    };
    let mut parts = joint_pass.map(|(pass, inference)| {
        let lengths: Vec<usize> = valid.iter().map(|batch| batch.len()).collect();
        (pass.split(&lengths).into_iter(), inference)
    });
    let mut is_first = true;
    let results = encoded.into_iter().zip(requests).map(|(one, (_, call))| {
        let _entered = call.span.enter();
        let (inputs, rows) = one?;
        let part = parts.as_mut().and_then(|(parts, inference)| {
            let pass = parts.next()?;
            Some((pass, *inference))
        });
        let unrecorded = match part {
            Some(part) => {
                let counts_pass = std::mem::take(&mut is_first);
                UnrecordedPrediction::new(version, call, begin, inputs, part, counts_pass)
            }
            None => {
                let own = run_pass(version, &rows, call.role)?;
                UnrecordedPrediction::new(version, call, begin, inputs, own, true)
            }
        };
        Ok(unrecorded.record(version, call.role))
    });
    results.collect()
}

/// Encodes the rows of a request. Returns an error if its deadline has passed or its input is invalid.
fn encode<'a>(
    version: &'a VersionRuntime,
    payload: &Payload,
    call: &Call,
    now: Instant,
) -> Result<(InputObserver<'a>, Batch), PredictError> {
    if call.deadline.is_some_and(|deadline| deadline <= now) {
        return Err(PredictError::DeadlineExceeded);
    }
    let mut inputs = version.insight.stats.observe_inputs();
    let rows = version.signature().encode_with(payload, &mut inputs)?;
    Ok((inputs, rows))
}

/// Runs one forward pass. Returns its result and how long it took.
fn run_pass(
    version: &VersionRuntime,
    batch: &Batch,
    role: Role,
) -> Result<(Pass, Duration), PredictError> {
    let start = Instant::now();
    let pass = version.version.model().forward(batch);
    let pass = pass.map_err(|source| match source {
        ForwardError::Unsuited(value) => {
            let is_hidden = version.signature().inputs().iter().any(Input::is_sensitive);
            let got = match is_hidden {
                true => "a value that the model refuses".to_owned(),
                false => format!("a value that the model refuses ({value})"),
            };
            let wanted = "values that it was trained for";
            PredictError::InvalidInput(InputFaults::one(InputFaults::TENSORS, got, wanted))
        }
        source => forward_error(version, source),
    })?;
    let took = start.elapsed();
    // The threads of shadows run only on spare CPU, so their times do not show the cost of the network.
    if role != Role::Shadow {
        version.queue.costs().learn(batch.len(), took);
    }
    Ok((pass, took))
}

impl UnrecordedPrediction {
    fn new(
        version: &VersionRuntime,
        call: &Call,
        begin: Instant,
        inputs: InputObserver<'_>,
        (pass, inference): (Pass, Duration),
        counts_pass: bool,
    ) -> Self {
        let model = version.version.model();
        let top = pass.scores.rows().filter_map(|row| model.top_class(row));
        let top = top.collect();
        let queue_wait = begin.saturating_duration_since(call.arrived);
        Self {
            observation: Observation::new(inputs, queue_wait, counts_pass),
            prediction: Prediction {
                pass,
                top,
                inference,
            },
        }
    }

    /// Records the request in the statistics of `version`, which scored it.
    pub(super) fn record(self, version: &VersionRuntime, role: Role) -> Prediction {
        let result = self.prediction.pass_result();
        self.observation.record(&version.insight, role, result);
        self.prediction
    }
}

/// Returns the error of a request whose forward pass failed.
pub(super) fn forward_error(version: &VersionRuntime, source: ForwardError) -> PredictError {
    PredictError::Forward {
        version: version.number(),
        source,
    }
}
