//! From payloads to scores, on this thread: one request, or several in one forward pass.

use std::time::Duration;

use tokio::time::Instant;

use super::execute::{Call, Work};
use super::live::ServingVersion;
use crate::error::{ForwardError, PredictError};
use crate::ident::Role;
use crate::insight::stats::{InputObserver, ObservedInputs, Scoring};
use crate::model::payload::Payload;
use crate::model::{Rows, Scores, TopClass, Version};

/// What a request gets from its version.
#[derive(Clone, Debug)]
pub struct Scored {
    /// One row per row of the request.
    pub scores: Scores,
    /// The most probable class of each row; empty without classes.
    pub top: Vec<TopClass>,
    /// How long the forward pass itself took, with all that were in it.
    pub inference: Duration,
}

/// What the scoring of one request gave, before any of it is recorded.
#[derive(Debug)]
pub(super) struct Passed {
    seen: ObservedInputs,
    queue: Duration,
    /// Whether its forward pass is counted with it.
    is_first: bool,
    scored: Scored,
}

/// Encodes and scores one request, and records what was seen where that went well.
pub(super) fn alone(
    by: &ServingVersion,
    payload: &Payload,
    call: Call,
) -> Result<Scored, PredictError> {
    passed(by, payload, call).map(|passed| passed.recorded(by, call.role))
}

/// Encodes and scores one request. Takes no lock and records nothing, so a thread that may be put aside at any time can do it.
pub(super) fn passed(
    by: &ServingVersion,
    payload: &Payload,
    call: Call,
) -> Result<Passed, PredictError> {
    let begin = Instant::now();
    let (seen, rows) = encoded(by, payload, call, begin)?;
    let scored = pass(by, &rows, call.role)?;
    Ok(Passed::of(by, call, begin, seen, scored, true))
}

/// The same for several requests in one forward pass; the answers come in their order. What is wrong with one is its own: where
/// the pass fails, each goes through one of its own.
pub(super) fn together(
    by: &ServingVersion,
    asked: &[(Work, Call)],
) -> Vec<Result<Scored, PredictError>> {
    let begin = Instant::now();
    let encoded: Vec<_> = asked
        .iter()
        .map(|(work, call)| encoded(by, work, *call, begin))
        .collect();
    let good: Vec<&Rows> = encoded
        .iter()
        .filter_map(|one| one.as_ref().ok().map(|(_, rows)| rows))
        .collect();
    let rows: usize = good.iter().map(|rows| rows.len()).sum();
    if !good.is_empty() {
        by.insight.meters.batch(good.len(), rows);
    }
    let mut passed = match (&good[..], asked.first()) {
        ([_, _, ..], Some((_, call))) => pass(by, &Rows::joined(&good), call.role).ok(),
        _ => None,
    };
    let mut parts = passed.take().map(|(scores, inference)| {
        let lengths: Vec<usize> = good.iter().map(|rows| rows.len()).collect();
        (scores.split(&lengths).into_iter(), inference)
    });
    let mut is_first = true;
    let answers = encoded.into_iter().zip(asked).map(|(one, (_, call))| {
        let (seen, rows) = one?;
        let part = parts.as_mut().and_then(|(parts, inference)| {
            let scores = parts.next()?;
            Some((scores, *inference))
        });
        let passed = match part {
            Some(part) => {
                let is_first = std::mem::take(&mut is_first);
                Passed::of(by, *call, begin, seen, part, is_first)
            }
            None => {
                let own = pass(by, &rows, call.role)?;
                Passed::of(by, *call, begin, seen, own, true)
            }
        };
        Ok(passed.recorded(by, call.role))
    });
    answers.collect()
}

/// The rows of a request, unless it is too late or something is wrong with it.
fn encoded<'a>(
    by: &'a ServingVersion,
    payload: &Payload,
    call: Call,
    now: Instant,
) -> Result<(InputObserver<'a>, Rows), PredictError> {
    if call.deadline.is_some_and(|deadline| deadline <= now) {
        return Err(PredictError::DeadlineExceeded);
    }
    let mut seen = by.insight.stats.observe_inputs();
    let rows = by.version.signature().encode_with(payload, &mut seen)?;
    Ok((seen, rows))
}

/// One forward pass, and how long it took.
fn pass(by: &ServingVersion, rows: &Rows, role: Role) -> Result<(Scores, Duration), PredictError> {
    let start = Instant::now();
    let scores = by.version.forward(rows);
    let scores = scores.map_err(|source| failed(&by.version, source))?;
    let took = start.elapsed();
    // A shadow's thread runs only where nothing else wants to, so it says nothing about the network.
    if role != Role::Shadow {
        by.queue.costs().learn(rows.len(), took);
    }
    Ok((scores, took))
}

impl Passed {
    fn of(
        by: &ServingVersion,
        call: Call,
        begin: Instant,
        seen: InputObserver<'_>,
        (scores, inference): (Scores, Duration),
        is_first: bool,
    ) -> Self {
        let classes = scores.rows().filter_map(|row| by.version.top_class(row));
        let top = classes.collect();
        Self {
            seen: seen.into_inputs(),
            queue: begin.saturating_duration_since(call.at),
            is_first,
            scored: Scored {
                scores,
                top,
                inference,
            },
        }
    }

    /// Records it with `by`, which scored it.
    pub(super) fn recorded(self, by: &ServingVersion, role: Role) -> Scored {
        let scoring = Scoring {
            queue: self.queue,
            inference: self.scored.inference,
            scores: &self.scored.scores,
            top: &self.scored.top,
            is_first: self.is_first,
        };
        by.insight.stats.scored(role, &self.seen, scoring);
        self.scored
    }
}

pub(super) fn failed(version: &Version, source: ForwardError) -> PredictError {
    PredictError::Forward {
        version: version.manifest().version,
        source,
    }
}
