//! The stages of a gateway between start and end: one value that health checks, ports and background tasks watch.

use tokio::sync::watch;

/// A stage of a gateway. Stages follow each other in this order, and each includes the restrictions of the earlier ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The gateway takes new work.
    #[default]
    Serving,
    /// The gRPC ports accept no connections, and no new work is taken. Requests in flight finish. Health checks report NOT_SERVING.
    Draining,
    /// Requests in flight have been answered, or their time is over. Health watchers end, whose streams would keep connections open.
    Drained,
    /// The HTTP port and the background tasks end.
    Ending,
    /// Connections that are still open are cut.
    Cut,
}

/// The stage of a gateway, for the one owner that moves it on.
#[derive(Debug)]
pub struct Lifecycle(watch::Sender<Stage>);

impl Lifecycle {
    /// Begins with [`Stage::Serving`].
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(Stage::default()))
    }

    /// Returns a view of the stage.
    #[must_use]
    pub fn watch(&self) -> StageWatch {
        StageWatch(self.0.subscribe())
    }

    /// Enters a stage. A stage that has passed already is ignored.
    pub fn enter(&self, stage: Stage) {
        self.0.send_if_modified(|current| {
            let is_next = stage > *current;
            if is_next {
                *current = stage;
            }
            is_next
        });
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

/// A view of the stage of a gateway.
#[derive(Clone, Debug)]
pub struct StageWatch(watch::Receiver<Stage>);

impl StageWatch {
    /// Returns whether the gateway has reached `stage`.
    #[must_use]
    pub fn has_reached(&self, stage: Stage) -> bool {
        *self.0.borrow() >= stage
    }

    /// Waits until the gateway has reached `stage`, or was dropped, which ends everything too.
    pub async fn reached(&mut self, stage: Stage) {
        // An error means that the lifecycle was dropped.
        let _ = self.0.wait_for(|current| *current >= stage).await;
    }

    /// Waits until the stage changes. Returns `false` if the gateway was dropped.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_stage_is_reached_when_it_or_a_later_one_is_entered() {
        let lifecycle = Lifecycle::new();
        let mut watch = lifecycle.watch();
        assert!(watch.has_reached(Stage::Serving));
        assert!(watch.reached(Stage::Draining).now_or_never().is_none());
        lifecycle.enter(Stage::Drained);
        assert!(watch.reached(Stage::Draining).now_or_never().is_some());
        assert!(watch.reached(Stage::Drained).now_or_never().is_some());
        assert!(!watch.has_reached(Stage::Ending));
        lifecycle.enter(Stage::Draining);
        assert!(watch.has_reached(Stage::Drained), "there is no way back");
    }

    #[test]
    fn a_dropped_gateway_has_reached_every_stage() {
        let lifecycle = Lifecycle::new();
        let mut watch = lifecycle.watch();
        drop(lifecycle);
        assert!(watch.reached(Stage::Cut).now_or_never().is_some());
        assert_eq!(watch.changed().now_or_never(), Some(false));
    }
}
