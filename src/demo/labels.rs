//! The labels that flow back: what came true, reported by response id some time after the answer.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;
use tonic::transport::Channel;

use crate::client::{Failure, code_name};
use crate::proto::v1::prediction_service_client::PredictionServiceClient;
use crate::proto::v1::{Outcome, ReportOutcomesRequest, outcome::Truth};

/// Truths that wait to be reported, in the order of their answers.
#[derive(Debug, Default)]
pub(super) struct Labels {
    waiting: VecDeque<(Instant, Outcome)>,
}

impl Labels {
    /// How long after the answer a truth is known. In life it takes hours; shadows need some of it to answer too.
    pub(super) const DELAY: Duration = Duration::from_secs(1);
    /// Truths in one report.
    const BATCH: usize = 1_000;

    /// The flight that was answered under this id `now` turned out to be of this class.
    pub(super) fn add(&mut self, now: Instant, response_id: String, class: String) {
        let outcome = Outcome {
            response_id,
            row: 0,
            truth: Some(Truth::Class(class)),
        };
        self.waiting.push_back((now, outcome));
    }

    /// Whether any truth has not been reported.
    pub(super) fn any(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes the next truths that are known by `now`; empty where there are none.
    fn due(&mut self, now: Instant) -> Vec<Outcome> {
        let known = |(at, _): &&(Instant, Outcome)| *at + Self::DELAY <= now;
        let many = self.waiting.iter().take(Self::BATCH).take_while(known);
        let many = many.count();
        self.waiting
            .drain(..many)
            .map(|(_, outcome)| outcome)
            .collect()
    }

    /// Reports all that are known by `now`.
    ///
    /// # Errors
    /// The gateway refuses a report.
    pub(super) async fn report(
        &mut self,
        client: &mut PredictionServiceClient<Channel>,
        now: Instant,
    ) -> Result<(), Failure> {
        loop {
            let outcomes = self.due(now);
            if outcomes.is_empty() {
                return Ok(());
            }
            let told = client.report_outcomes(ReportOutcomesRequest { outcomes });
            told.await.map_err(|status| {
                let (code, told) = (code_name(status.code()), status.message());
                Failure::new(format!("the labels were refused: {code}: {told}"))
            })?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truth_is_known_after_its_delay_and_told_once() {
        let (begin, mut labels) = (Instant::now(), Labels::default());
        labels.add(begin, "a".into(), "late".into());
        labels.add(begin + Labels::DELAY, "b".into(), "on time".into());
        assert_eq!(labels.due(begin), []);
        let due = labels.due(begin + Labels::DELAY);
        assert_eq!((due.len(), due[0].response_id.as_str()), (1, "a"));
        assert_eq!(labels.due(begin + Labels::DELAY), []);
        assert!(labels.any());
    }
}
