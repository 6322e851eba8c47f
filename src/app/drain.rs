//! Going down without losing a request.

use std::{fmt, sync::atomic::Ordering, time::Duration};

use tokio::time::{self, Instant};
use tonic_health::ServingStatus;

use super::Gateway;
use super::serve::HEALTH_NAMES;

/// How often it is looked whether the last request has been answered.
const LOOK: Duration = Duration::from_millis(5);
/// How long cut connections and the other tasks get: they have nothing to wait for but a scrape of the metrics.
const REST: Duration = Duration::from_secs(1);

/// How going down went.
#[derive(Clone, Copy, Debug)]
pub struct DrainReport {
    /// Requests that were being answered when it began.
    pub in_flight: usize,
    /// Requests that the deadline cut off.
    pub abandoned: usize,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for DrainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let finished = self.in_flight.saturating_sub(self.abandoned);
        write!(
            f,
            "drained in {:.1?}: {finished} of {} requests in flight finished, {} cut off",
            self.took, self.in_flight, self.abandoned
        )
    }
}

impl Gateway {
    /// Takes no new work, lets requests in flight finish within the deadline, cuts off what is left, and ends everything.
    pub async fn drain(mut self) -> DrainReport {
        let begin = Instant::now();
        let deadline = begin + self.drain_deadline;
        self.draining.store(true, Ordering::Relaxed);
        for name in HEALTH_NAMES {
            self.health
                .set_service_status(name, ServingStatus::NotServing)
                .await;
        }
        let in_flight = self.gate.in_flight();
        tracing::info!(in_flight, "draining");
        self.close.send_replace(true);
        while self.gate.in_flight() > 0 && Instant::now() < deadline {
            time::sleep(LOOK).await;
        }
        // Who asked was told NOT_SERVING until now. Streams that watch would keep their connections open for ever.
        for name in HEALTH_NAMES {
            self.health.clear_service_status(name).await;
        }
        let abandoned = self.gate.in_flight();
        // Every answer has been handed over; peers get a moment to take the last bytes and to close. Those that never
        // would, because they are silent or not there, hold nobody up.
        let doors = async { while self.grpc.join_next().await.is_some() {} };
        let _ = time::timeout_at(deadline.min(Instant::now() + REST), doors).await;
        self.cut.send_replace(true);
        self.end.send_replace(true);
        let rest = async {
            while self.grpc.join_next().await.is_some() {}
            while self.others.join_next().await.is_some() {}
        };
        if time::timeout(REST, rest).await.is_err() {
            self.grpc.shutdown().await;
            self.others.shutdown().await;
        }
        DrainReport {
            in_flight,
            abandoned,
            took: begin.elapsed(),
        }
    }
}
