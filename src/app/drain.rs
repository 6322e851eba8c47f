//! Shutting down without losing a request.

use std::pin::pin;
use std::{fmt, time::Duration};

use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{self, Instant};

use super::{Gateway, Stage};
use crate::api::endpoints::Port;
use crate::serving::admission::DrainCounts;

/// Time between two checks for requests in flight.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Time limit on each last step: for clients of the gRPC ports to take their last bytes and to close, then for clients of the HTTP port
/// without permits, such as a scrape of the metrics, and finally for everything else, which has nothing left to wait for.
const STEP_TIMEOUT: Duration = Duration::from_secs(1);

/// The outcome of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// Requests that were in flight when the drain began, or arrived later, and got their normal response.
    pub finished: usize,
    /// Requests that were answered `UNAVAILABLE` at the deadline.
    pub refused: usize,
    /// Requests whose client had not taken the response when the connection was cut.
    pub cut: usize,
    /// How long the drain took.
    pub took: Duration,
}

impl fmt::Display for DrainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            finished,
            refused,
            cut,
            took,
        } = self;
        let all = finished + refused + cut;
        write!(
            f,
            "drained in {took:.1?}: {finished} of {all} requests in flight finished, {refused} answered UNAVAILABLE, {cut} cut off"
        )
    }
}

impl Gateway {
    /// Takes no new work, lets requests in flight finish before the deadline, answers the rest `UNAVAILABLE`, and ends all tasks.
    pub async fn drain(mut self) -> DrainReport {
        let begin = Instant::now();
        self.lifecycle.enter(Stage::Draining);
        self.admission.begin_drain();
        tracing::info!(in_flight = self.admission.in_flight(), "draining");
        // Joins the thread that scans the registry, which may be reading a slow disk.
        let registry_watcher = self.registry_watcher.take();
        let watcher_ended = spawn_blocking(move || drop(registry_watcher));
        let deadline = begin + self.drain_deadline;
        self.wait_for_requests(deadline).await;

        self.lifecycle.enter(Stage::Drained);
        let mut all_gone = self.end_grpc(deadline).await;
        if !all_gone && self.admission.in_flight() > 0 {
            // These requests arrived after the others had gone, on connections that had not received the request to close yet.
            all_gone = self.end_grpc(deadline).await;
        }
        self.lifecycle.enter(Stage::Ending);
        self.end_http().await;
        if all_gone {
            self.wait_for_permits().await;
        }
        let DrainCounts {
            finished,
            interrupted,
            in_flight,
        } = self.admission.drain_counts();

        self.lifecycle.enter(Stage::Cut);
        self.end_tasks(watcher_ended).await;
        self.wait_for_clients(deadline).await;
        DrainReport {
            finished,
            refused: interrupted,
            cut: in_flight,
            took: begin.elapsed(),
        }
    }

    /// Waits until no request is in flight, at most until `deadline`.
    async fn wait_for_requests(&self, deadline: Instant) {
        while self.admission.in_flight() > 0 && Instant::now() < deadline {
            time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Has the remaining requests answered `UNAVAILABLE`, and waits until the gRPC ports have ended. Clients get a moment to take the last
    /// bytes and to close, and until `deadline` while one of them must read before more can be sent; silent or dead ones do not delay the
    /// end. Returns whether all have closed.
    async fn end_grpc(&mut self, deadline: Instant) -> bool {
        if self.admission.in_flight() > 0 {
            self.admission.cut_off();
        }
        let mut ended = pin!(join_all(&mut self.tasks.grpc));
        loop {
            if time::timeout(STEP_TIMEOUT, &mut ended).await.is_ok() {
                return true;
            }
            if self.lingering.blocked() == 0 || Instant::now() >= deadline {
                return false;
            }
        }
    }

    /// Waits until clients have received what was sent to them on connections that have ended, at most until `deadline`.
    async fn wait_for_clients(&self, deadline: Instant) {
        while self.lingering.ending() > 0 && Instant::now() < deadline {
            time::sleep(POLL_INTERVAL).await;
        }
        let unreceived = self.lingering.ending();
        if unreceived > 0 {
            tracing::warn!(
                connections = unreceived,
                "clients have not received all answers"
            );
        }
    }

    /// Waits until the HTTP port has ended. A client that has sent half of a request, or does not take its response, does not delay the
    /// end.
    async fn end_http(&mut self) {
        let ended = async {
            while let Some(ended) = self.tasks.others.join_next().await {
                if ended.is_ok_and(|name| name == Port::Http.as_str()) {
                    return;
                }
            }
        };
        let _ = time::timeout(STEP_TIMEOUT, ended).await;
    }

    /// Waits until the permits of answered requests are released. A connection ends with the last byte of its last response; the task that
    /// wrote the response may release its permit a moment later, and the request was not cut off then.
    async fn wait_for_permits(&self) {
        self.wait_for_requests(Instant::now() + STEP_TIMEOUT).await;
    }

    /// Waits until all tasks and the prediction log have ended, and aborts what has not.
    async fn end_tasks(&mut self, watcher_ended: tokio::task::JoinHandle<()>) {
        let ended = async {
            join_all(&mut self.tasks.grpc).await;
            join_all(&mut self.tasks.others).await;
            let _ = watcher_ended.await;
        };
        let ended = time::timeout(STEP_TIMEOUT, ended).await;
        // After the last request, so that its line is written. A disk that does not respond does not delay the end.
        if let Some(log) = self.log.take() {
            let _ = time::timeout(STEP_TIMEOUT, spawn_blocking(move || log.finish())).await;
        }
        if ended.is_err() {
            self.tasks.grpc.shutdown().await;
            self.tasks.others.shutdown().await;
        }
    }
}

async fn join_all(tasks: &mut JoinSet<&'static str>) {
    while tasks.join_next().await.is_some() {}
}
