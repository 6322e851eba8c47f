//! The HTTP port: REST, metrics, health. It closes last, so that metrics and readiness can be read while the gateway drains.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::connections;
use super::shared::Shared;
use super::socket::Protocol;
use crate::api::Stage;
use crate::api::endpoints::Port;
use crate::api::http::{HttpState, router};

/// Serves `listener` in a task that is added to `tasks`.
pub(super) fn spawn(shared: &Shared, listener: TcpListener, tasks: &mut JoinSet<&'static str>) {
    let state = HttpState::new(
        shared.catalog.clone(),
        &shared.telemetry,
        Arc::clone(&shared.outcomes),
        shared.predictor.clone(),
        shared.config.max_message_bytes,
    )
    .with_min_compressed_bytes(shared.config.min_compressed_bytes);
    let table = shared.connection_limiter.table(Protocol::Http1);
    tasks.spawn(connections::serve_until(
        Port::Http.as_str(),
        shared
            .connection_limiter
            .accept_and_open(&table, listener, Protocol::Http1),
        connections::http(router(state), Arc::clone(&shared.admission)),
        table,
        shared.stage.clone(),
        Stage::Ending,
    ));
}
