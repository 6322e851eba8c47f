//! Reports the outcomes of flights by response id, some time after the prediction.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::client::v1::{Outcome, ReportOutcomesRequest, outcome::Truth};
use crate::client::{DataClient, DataPort, Failure};

/// Outcomes that wait to be reported, in the order of their predictions.
#[derive(Debug, Default)]
pub(super) struct PendingOutcomes {
    waiting: VecDeque<(Instant, Outcome)>,
}

impl PendingOutcomes {
    /// How long after the prediction an outcome is known. In reality it takes hours; shadows need part of this time to answer.
    pub(super) const DELAY: Duration = Duration::from_secs(1);
    /// Most outcomes in one report.
    const BATCH: usize = 1_000;

    /// Adds the outcome of the flight whose prediction has this response id and was received `now`.
    pub(super) fn add(&mut self, now: Instant, response_id: String, class: String) {
        let outcome = Outcome {
            response_id,
            row: 0,
            truth: Some(Truth::Class(class)),
        };
        self.waiting.push_back((now, outcome));
    }

    /// Returns whether all outcomes are reported.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the next outcomes that are known by `now`, at most one report of them.
    fn due(&mut self, now: Instant) -> Vec<Outcome> {
        let is_known = |(at, _): &&(Instant, Outcome)| *at + Self::DELAY <= now;
        let known = self.waiting.iter().take(Self::BATCH).take_while(is_known);
        let count = known.count();
        self.waiting
            .drain(..count)
            .map(|(_, outcome)| outcome)
            .collect()
    }

    /// Reports all outcomes that are known by `now`.
    ///
    /// # Errors
    /// Returns an error if the gateway refuses a report.
    pub(super) async fn report(
        &mut self,
        port: &DataPort,
        client: &mut DataClient,
        now: Instant,
    ) -> Result<(), Failure> {
        loop {
            let outcomes = self.due(now);
            if outcomes.is_empty() {
                return Ok(());
            }
            let request = ReportOutcomesRequest { outcomes };
            let reported = port.call_on(client, request).await;
            reported
                .map_err(|failure| Failure::new(format!("the outcomes were refused: {failure}")))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_known_after_its_delay_and_reported_once() {
        let (begin, mut outcomes) = (Instant::now(), PendingOutcomes::default());
        outcomes.add(begin, "a".into(), "late".into());
        outcomes.add(begin + PendingOutcomes::DELAY, "b".into(), "on time".into());
        assert_eq!(outcomes.due(begin), []);
        let due = outcomes.due(begin + PendingOutcomes::DELAY);
        assert_eq!((due.len(), due[0].response_id.as_str()), (1, "a"));
        assert_eq!(outcomes.due(begin + PendingOutcomes::DELAY), []);
        assert!(!outcomes.is_empty());
    }
}
