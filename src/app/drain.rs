//! Going down without losing a request.

use std::{fmt, time::Duration};

use tokio::task::spawn_blocking;
use tokio::time::{self, Instant};

use super::{Gateway, connections};
use crate::api::Stage;
use crate::serving::admission::DrainCounts;

/// How often it is looked whether the last request has been answered.
const LOOK: Duration = Duration::from_millis(5);
/// How long those get who have been answered, to take the last bytes and to close; after them those at the HTTP door who need no
/// place, as a scrape of the metrics; and in the end all that is left, which has nothing to wait for.
const REST: Duration = Duration::from_secs(1);

/// How going down went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// Requests in flight when it began, or later, that were answered as at any other time.
    pub finished: usize,
    /// Requests that were told `UNAVAILABLE` at the deadline.
    pub told: usize,
    /// Requests whose answer nobody took before their connection was cut.
    pub cut: usize,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for DrainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            finished,
            told,
            cut,
            took,
        } = self;
        let all = finished + told + cut;
        write!(
            f,
            "drained in {took:.1?}: {finished} of {all} requests in flight finished, {told} told UNAVAILABLE, {cut} cut off"
        )
    }
}

impl Gateway {
    /// Takes no new work, lets requests in flight finish within the deadline, tells those that are left, and ends everything.
    pub async fn drain(mut self) -> DrainReport {
        let begin = Instant::now();
        let deadline = begin + self.drain_deadline;
        self.stage.send_replace(Stage::Draining);
        self.admission.begin_drain();
        tracing::info!(in_flight = self.admission.in_flight(), "draining");
        self.close.send_replace(true);
        // Joins its thread, which may be reading a slow disk.
        let watch = self.watch.take();
        let watch = spawn_blocking(move || drop(watch));
        while self.admission.in_flight() > 0 && Instant::now() < deadline {
            time::sleep(LOOK).await;
        }
        // Who asked was told NOT_SERVING until now. Streams that watch would keep their connections open for ever.
        self.stage.send_replace(Stage::Gone);
        let all_left = self.leave().await
            // They came after the others had gone, on a connection that had not heard of it.
            || (self.admission.in_flight() > 0 && self.leave().await);
        self.end.send_replace(true);
        self.hang_up().await;
        if all_left {
            self.await_quiescence().await;
        }
        let DrainCounts {
            finished,
            interrupted,
            in_flight,
        } = self.admission.drain_counts();
        self.cut.send_replace(true);
        let rest = async {
            while self.grpc.join_next().await.is_some() {}
            while self.others.join_next().await.is_some() {}
            let _ = watch.await;
        };
        let ended = time::timeout(REST, rest).await;
        // After the last request, so that its line is there; a disk that does not answer holds nobody up.
        if let Some(log) = self.log.take() {
            let _ = time::timeout(REST, spawn_blocking(move || log.finish())).await;
        }
        if ended.is_err() {
            self.grpc.shutdown().await;
            self.others.shutdown().await;
        }
        DrainReport {
            finished,
            told: interrupted,
            cut: in_flight,
            took: begin.elapsed(),
        }
    }

    /// Tells whoever is not answered yet, and waits until everybody has gone. Peers get a moment to take the last bytes and to
    /// close; those that never would, because they are silent or not there, hold nobody up. Tells whether all have gone.
    async fn leave(&mut self) -> bool {
        if self.admission.in_flight() > 0 {
            self.admission.cut_off();
        }
        let doors = async { while self.grpc.join_next().await.is_some() {} };
        time::timeout(REST, doors).await.is_ok()
    }

    /// Waits until everybody at the HTTP door has been answered. Who has sent half of a request, or takes no answer, holds nobody up.
    async fn hang_up(&mut self) {
        let door = async {
            while let Some(ended) = self.others.join_next().await {
                if ended.is_ok_and(|ended| ended == connections::HTTP) {
                    return;
                }
            }
        };
        let _ = time::timeout(REST, door).await;
    }

    /// Waits until those who have gone are counted out. A connection ends with the last byte of its last answer; the task that
    /// wrote the answer may still be about to let go of its place, and has cut nobody off.
    async fn await_quiescence(&self) {
        let counted = async {
            while self.admission.in_flight() > 0 {
                time::sleep(LOOK).await;
            }
        };
        let _ = time::timeout(REST, counted).await;
    }
}
