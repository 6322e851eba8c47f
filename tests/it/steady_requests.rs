//! A steady rate of requests that does not depend on earlier answers. Each answer must match the version that it names.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use taper::proto::v1::prediction_service_client::PredictionServiceClient;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};
use tonic::transport::Channel;

use crate::harness::{eventually, good, rows, single_score};

/// Time between two requests.
const GAP: Duration = Duration::from_millis(5);

/// Sends two hundred requests per second to one model, each when it is due, without waiting for the answer to the one before.
pub struct SteadyRequests {
    stop: Arc<AtomicBool>,
    newest: Arc<AtomicU64>,
    task: JoinHandle<Tally>,
}

/// Results of the requests.
#[derive(Debug, Default)]
pub struct Tally {
    /// Number of requests. Each has ended.
    pub sent: usize,
    /// Descriptions of requests that failed or got the answer of another version.
    pub wrong: Vec<String>,
}

impl SteadyRequests {
    /// Starts to send requests to the tiny `model`.
    pub fn start(data: &PredictionServiceClient<Channel>, model: &'static str) -> Self {
        let (stop, newest) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let task = run(data.clone(), model, Arc::clone(&stop), Arc::clone(&newest));
        let task = tokio::task::spawn(task);
        Self { stop, newest, task }
    }

    /// Waits until `version` has answered a request.
    pub async fn answered_by(&self, version: u64) {
        let what = format!("version {version} answers");
        eventually(&what, || async {
            (self.newest.load(Ordering::Relaxed) >= version).then_some(())
        })
        .await;
    }

    /// Stops sending, waits for the answers, and panics unless there are some and all of them are correct.
    pub async fn end(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let tally = self.task.await.expect("the stream lives");
        assert!(tally.sent > 0, "no request was sent");
        assert!(
            tally.wrong.is_empty(),
            "of {}: {:?}",
            tally.sent,
            tally.wrong
        );
        tally
    }
}

async fn run(
    data: PredictionServiceClient<Channel>,
    model: &'static str,
    stop: Arc<AtomicBool>,
    newest: Arc<AtomicU64>,
) -> Tally {
    let mut tally = Tally::default();
    let mut asked = JoinSet::new();
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        due += GAP;
        sleep_until(due).await;
        let mut data = data.clone();
        asked.spawn(async move {
            let answer = data.predict(rows(model, [good()])).await;
            let answer = answer.map_err(|status| format!("{status:?}"))?.into_inner();
            #[expect(clippy::cast_precision_loss, reason = "versions in tests are small")]
            let right = (single_score(&answer) - answer.version as f32).abs() < f32::EPSILON;
            if right {
                Ok(answer.version)
            } else {
                Err(format!("{answer:?}"))
            }
        });
        tally.sent += 1;
        while let Some(answered) = asked.try_join_next() {
            tally.count(answered.expect("joins"), &newest);
        }
    }
    while let Some(answered) = asked.join_next().await {
        tally.count(answered.expect("joins"), &newest);
    }
    tally
}

impl Tally {
    fn count(&mut self, answered: Result<u64, String>, newest: &AtomicU64) {
        match answered {
            Ok(version) => drop(newest.fetch_max(version, Ordering::Relaxed)),
            Err(wrong) => self.wrong.push(wrong),
        }
    }
}
