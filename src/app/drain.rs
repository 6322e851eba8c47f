//! Going down without losing a request.

use std::{fmt, time::Duration};

use tokio::{sync::watch, task::JoinSet, time};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::serve::HEALTH_NAMES;
use crate::serving::Pipeline;

/// The other tasks have nothing to wait for but a scrape of the metrics.
const OTHERS_DEADLINE: Duration = Duration::from_secs(1);

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

type Tasks<'a> = (&'a watch::Sender<bool>, &'a mut JoinSet<&'static str>);

pub(super) async fn drain(
    pipeline: &Pipeline,
    health: &HealthReporter,
    deadline: Duration,
    (close, grpc): Tasks<'_>,
    (end, others): Tasks<'_>,
) -> DrainReport {
    let begin = time::Instant::now();
    for name in HEALTH_NAMES {
        health
            .set_service_status(name, ServingStatus::NotServing)
            .await;
    }
    let in_flight = pipeline.in_flight();
    tracing::info!(in_flight, "draining");
    close.send_replace(true);
    // Whoever watches health has been told; their streams would keep their connections open for ever.
    let mut health = health.clone();
    for name in HEALTH_NAMES {
        health.clear_service_status(name).await;
    }
    let finished = time::timeout(deadline, async {
        while grpc.join_next().await.is_some() {}
    });
    let abandoned = match finished.await {
        Ok(()) => 0,
        Err(_) => pipeline.in_flight(),
    };
    grpc.shutdown().await;
    end.send_replace(true);
    let ended = time::timeout(OTHERS_DEADLINE, async {
        while others.join_next().await.is_some() {}
    });
    if ended.await.is_err() {
        others.shutdown().await;
    }
    DrainReport {
        in_flight,
        abandoned,
        took: begin.elapsed(),
    }
}
