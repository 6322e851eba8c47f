//! The HTTP port: REST, metrics, health. It closes last, so that metrics and readiness can be read while the gateway drains.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::connections;
use super::core::Core;
use crate::api::Stage;
use crate::api::endpoints::Port;
use crate::api::http::{HttpState, router};

/// Serves `listener` in a task that is added to `tasks`.
pub(super) fn spawn(core: &Core, listener: TcpListener, tasks: &mut JoinSet<&'static str>) {
    let state = HttpState::new(
        core.catalog.clone(),
        &core.telemetry,
        Arc::clone(&core.outcomes),
        core.predictor.clone(),
        core.config.max_message_bytes,
    );
    tasks.spawn(connections::serve_until(
        Port::Http.as_str(),
        core.connection_limiter.accept_and_open(listener),
        connections::http(router(state)),
        core.stage.clone(),
        Stage::Ending,
    ));
}
