//! Looks at drift from time to time, for the gauges.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{self, MissedTickBehavior};

use crate::api::{Stage, StageWatch};
use crate::serving::live::Live;

/// Brings the gauges of drift up to date every `interval` until [`Stage::Ending`], one look at a time.
///
/// A look runs on a thread for what blocks, so that no thread that serves counts; and at the priority of everything else, because it
/// holds locks of statistics for a moment, for which upkeep and `GetStats` would otherwise wait as long as it is put aside.
pub(super) async fn look(
    live: Arc<Live>,
    interval: Duration,
    mut stage: StageWatch,
) -> &'static str {
    let mut ticks = time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first comes at once, and there is nothing to see yet.
    ticks.tick().await;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stage.reached(Stage::Ending) => return "drift",
        }
        let live = Arc::clone(&live);
        // An error is a panic, which costs this look its gauges and nothing else.
        if let Err(error) = spawn_blocking(move || live.snapshot().report_drift()).await {
            tracing::error!(%error, "the gauges of drift are not up to date");
        }
    }
}
