//! The flights as traffic: one `Predict` each, at a steady rate, whether or not the one before has been answered.

use std::time::Duration;

use tokio::time::{self, Instant};
use tonic::{Status, transport::Channel};

use super::tally::Seen;
use crate::cli::wire;
use crate::proto::v1::prediction_service_client::PredictionServiceClient;
use crate::proto::v1::{PredictRequest, PredictResponse};

/// When the next flight is due.
#[derive(Debug)]
pub(super) struct Pace {
    next: Instant,
    period: Duration,
}

impl Pace {
    /// So far behind, a replay does not catch up: the machine was asleep, or the rate is more than it can do.
    const LATEST: Duration = Duration::from_millis(250);

    pub(super) fn new(per_second: u32) -> Self {
        Self {
            next: Instant::now(),
            period: Duration::from_secs(1) / per_second,
        }
    }

    /// Waits until a flight is due. Loses none when it is dropped before.
    pub(super) async fn due(&mut self) {
        time::sleep_until(self.next).await;
        self.next += self.period;
        let now = Instant::now();
        if now > self.next + Self::LATEST {
            self.next = now;
        }
    }
}

/// What goes out for one flight, and what came true.
#[derive(Debug)]
pub(super) struct Question {
    /// The request.
    pub(super) request: PredictRequest,
    /// Whether the flight was late.
    pub(super) late: bool,
    /// The class that came true.
    pub(super) truth: String,
}

/// Asks the gateway about one flight.
///
/// # Errors
/// What the gateway says.
pub(super) async fn ask(
    mut client: PredictionServiceClient<Channel>,
    question: Question,
) -> Result<Seen, Status> {
    let sent = Instant::now();
    let answer = client.predict(question.request).await?.into_inner();
    seen(answer, sent.elapsed(), question.late, &question.truth)
}

fn seen(
    answer: PredictResponse,
    latency: Duration,
    late: bool,
    truth: &str,
) -> Result<Seen, Status> {
    let score = answer.outputs.first().map(wire::fp32).and_then(|values| values.first().copied());
    let class = answer.top_classes.into_iter().next().map(|top| top.label);
    let (Some(score), Some(class)) = (score, class) else {
        return Err(Status::internal("the answer holds no probability or no class"));
    };
    Ok(Seen {
        version: answer.version,
        latency,
        right: class == truth,
        class,
        score,
        late,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::{Tensor, TopClass};

    #[tokio::test(start_paused = true)]
    async fn a_steady_pace_neither_drifts_nor_bursts() {
        let begin = Instant::now();
        let mut pace = Pace::new(400);
        for _ in 0..=400 {
            pace.due().await;
        }
        assert_eq!(begin.elapsed().as_millis(), 1_000, "400 flights take a second");
        time::advance(Duration::from_secs(60)).await;
        let awake = Instant::now();
        for _ in 0..=100 {
            pace.due().await;
        }
        let took = awake.elapsed().as_millis();
        assert!((240..=260).contains(&took), "a minute asleep is not made up for: {took} ms");
    }

    #[test]
    fn an_answer_is_held_against_what_came_true() {
        let answer = |label: &str, values: &[f32]| PredictResponse {
            version: 2,
            outputs: vec![Tensor { fp32_values: values.to_vec(), ..Tensor::default() }],
            top_classes: vec![TopClass { label: label.into(), probability: 0.75 }],
            ..PredictResponse::default()
        };
        let right = seen(answer("late", &[0.75]), Duration::ZERO, true, "late").unwrap();
        assert!(right.right && right.late && right.version == 2, "{right:?}");
        let wrong = seen(answer("on time", &[0.25]), Duration::ZERO, true, "late").unwrap();
        assert!(!wrong.right, "{wrong:?}");
        assert!(seen(answer("late", &[]), Duration::ZERO, true, "late").is_err());
    }
}
