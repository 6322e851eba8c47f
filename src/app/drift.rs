//! Updates the gauges of drift periodically.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{self, MissedTickBehavior};

use crate::api::{Stage, StageWatch};
use crate::serving::live::Live;

/// Brings the gauges of drift up to date every `interval` until [`Stage::Ending`], one look at a time.
///
/// An update runs on a blocking thread, so that it takes no time from threads that serve. It runs at normal priority, because it
/// briefly holds locks of statistics: at a low priority, upkeep and `GetStats` could wait for them as long as the thread is not
/// scheduled.
pub(super) async fn update_gauges(
    live: Arc<Live>,
    interval: Duration,
    mut stage: StageWatch,
) -> &'static str {
    let mut ticks = time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is immediate, and nothing has been observed yet.
    ticks.tick().await;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stage.reached(Stage::Ending) => return "drift",
        }
        let live = Arc::clone(&live);
        // The error is a panic. It only affects this update.
        if let Err(error) = spawn_blocking(move || live.snapshot().report_drift()).await {
            tracing::error!(%error, "updating the drift metrics failed; they keep their previous values");
        }
    }
}
