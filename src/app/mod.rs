//! The wiring: makes a running [`Gateway`] of a [`Config`], and drains it at the end.
//!
//! Start: metrics, versions and the first snapshot; what the ports share; then the ports, one builder for each; then background tasks. A
//! port that is taken fails the start, with a list of all ports that are. Drain, in the order of [`Stage`]: health checks report
//! NOT_SERVING and no new connection or work is taken; requests in flight finish or the deadline passes; the HTTP port closes; connections
//! that are still open are cut; the writer ends.

mod accept;
mod admin_port;
mod connections;
mod core;
mod data_port;
mod drain;
mod drift;
mod grpc_router;
mod http_port;
mod listen;
mod memory;
mod prepare;
mod reflection;
mod socket;
mod threads;
mod upkeep;
mod version_status;

use std::{io, sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::api::grpc::UnlistedService;
use crate::api::{Lifecycle, Stage};
use crate::audit::AuditError;
use crate::config::Config;
use crate::control::{Event, OpenError, StartMode, View};
use crate::faults::Faults;
use crate::insight::metrics::MetricsError;
use crate::insight::prediction_log::LogThread;
use crate::registry;
use crate::serving::admission::AdmissionControl;
use crate::serving::live::{Live, Snapshot};

use core::Core;
pub use drain::DrainReport;
use listen::Listeners;
pub use listen::{Addresses, BindError};
pub use prepare::rehearse;
use prepare::{Prepared, open, prepare};
pub use version_status::VersionStatus;

/// Why a gateway did not start. No port is bound then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration or the registry asks for something that is not possible.
    #[error("{0}")]
    Faults(#[from] Faults),
    /// All addresses that cannot be bound.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Bind(Vec<BindError>),
    /// The metrics could not be set up.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] OpenError),
    /// The audit log cannot be continued.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The prediction log cannot be written.
    #[error("the prediction log {path} cannot be written: {source}")]
    PredictionLog {
        /// Its file.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
    /// A service has no row in the endpoint table.
    #[error(transparent)]
    Unlisted(#[from] UnlistedService),
    /// Reflection could not be set up from the compiled descriptors.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// Loading was interrupted.
    #[error("loading the registry was interrupted: {0}")]
    Loading(#[from] tokio::task::JoinError),
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    addresses: Addresses,
    live: Arc<Live>,
    views: watch::Receiver<Arc<View>>,
    /// Scans the registry until the drain begins.
    registry: Option<Arc<registry::Watch>>,
    /// Writes the prediction log.
    log: Option<LogThread>,
    admission: Arc<AdmissionControl>,
    drain_deadline: Duration,
    lifecycle: Lifecycle,
    tasks: Tasks,
}

/// The tasks of a gateway. Each returns its name when it ends.
#[derive(Debug, Default)]
struct Tasks {
    /// The gRPC ports.
    grpc: JoinSet<&'static str>,
    /// The HTTP port, background tasks and the writer.
    others: JoinSet<&'static str>,
}

impl Gateway {
    /// Loads every version, binds the ports and serves.
    ///
    /// # Errors
    /// See [`StartError`]. Nothing is left running after an error.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let (store, audit) = open(&config).await?;
        let prepared = prepare(&config, Arc::new(store), Some(audit), StartMode::Serve).await?;
        let Prepared {
            telemetry,
            control,
            writer,
            events,
        } = prepared;
        let lifecycle = Lifecycle::new();
        let (live, views, stage) = (writer.live(), control.views(), lifecycle.watch());
        let (core, log) = Core::build(config, telemetry, live, views.clone(), stage).await?;

        listen::raise_file_limit(core.config.max_connections);
        let listeners = Listeners::bind(&core.config).await?;
        let addresses = listeners.addresses(&core.config);
        let registry = watch_registry(&core.config, events)?;
        let mut tasks = Tasks::default();
        data_port::spawn(&core, listeners.data, &mut tasks.grpc)?;
        let grpc = &mut tasks.grpc;
        admin_port::spawn(&core, control, &registry, listeners.admin, grpc)?;
        http_port::spawn(&core, listeners.http, &mut tasks.others);
        spawn_upkeep(&core, &mut tasks.others);
        tasks.others.spawn(async {
            writer.run().await;
            "writer"
        });
        Ok(Self {
            addresses,
            live: core.live,
            views,
            registry: Some(registry),
            log,
            admission: core.admission,
            drain_deadline: core.config.drain_deadline,
            lifecycle,
            tasks,
        })
    }

    /// Returns the addresses that the gateway listens on.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Returns what the gateway serves now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.live.snapshot()
    }

    /// Waits until a part of the gateway ends unexpectedly, which is always a bug, and returns its name.
    pub async fn broken(&mut self) -> &'static str {
        let ended = tokio::select! {
            Some(ended) = self.tasks.grpc.join_next() => ended,
            Some(ended) = self.tasks.others.join_next() => ended,
        };
        ended.unwrap_or("a task that panicked")
    }
}

/// Starts to watch the registry, and sends every listing to the writer.
fn watch_registry(
    config: &Config,
    events: mpsc::Sender<Event>,
) -> Result<Arc<registry::Watch>, StartError> {
    let watch = registry::watch(config.registry.clone(), config.watch, move |listing| {
        // An error means that the writer has ended, which then needs no listing.
        let _ = events.blocking_send(Event::Listed(listing));
    });
    Ok(Arc::new(watch?))
}

/// Starts the tasks that keep metrics up to date.
fn spawn_upkeep(core: &Core, tasks: &mut JoinSet<&'static str>) {
    let (live, stage) = (Arc::clone(&core.live), core.stage.clone());
    if let Some(interval) = core.config.drift_interval {
        tasks.spawn(drift::update_gauges(
            Arc::clone(&live),
            interval,
            stage.clone(),
        ));
    }
    tasks.spawn(upkeep::run(live, Arc::clone(&core.telemetry), stage));
}
