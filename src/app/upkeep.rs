//! Keeps metrics up to date, and returns freed memory, while the gateway runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{self, MissedTickBehavior};

use super::{log, memory};
use crate::api::{Stage, StageWatch};
use crate::insight::metrics::Telemetry;
use crate::serving::live::Live;

/// Time between two moves of recorded values into histograms.
const INTERVAL: Duration = Duration::from_secs(1);

/// Moves recorded values into histograms, updates gauges and returns freed memory, until [`Stage::Ending`].
pub(super) async fn run(
    live: Arc<Live>,
    telemetry: Arc<Telemetry>,
    mut stage: StageWatch,
) -> &'static str {
    let mut ticks = time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stage.reached(Stage::Ending) => return "upkeep",
        }
        let (live, telemetry) = (Arc::clone(&live), Arc::clone(&telemetry));
        // Takes locks of statistics and histograms, on which a thread that serves requests must not wait.
        let update = spawn_blocking(move || {
            live.snapshot().report_counted_shares();
            let unwritten = log::unwritten();
            telemetry.unwritten_log_lines(unwritten.dropped, unwritten.left_out);
            telemetry.upkeep();
            memory::return_freed();
        });
        // An error is a panic, which leaves the gauges as they are until the next interval.
        if let Err(error) = update.await {
            tracing::error!(%error, "failed to update gauges");
        }
    }
}
