//! The wiring: makes a running [`Gateway`] of a [`Config`], and drains it at the end.
//!
//! A start has these steps:
//!
//! 1. Open the state folder, create the metrics, load the versions and publish the first snapshot.
//! 2. Build the state that the ports share.
//! 3. Bind all ports. The error lists every address that cannot be bound.
//! 4. Start the registry watcher, the servers (one builder for each port), the background tasks and the writer.
//!
//! A drain has these steps, in the order of [`Stage`]:
//!
//! 1. Report NOT_SERVING to health checks, and accept no new connections or work.
//! 2. Wait until the requests in flight have finished, at most until the drain deadline.
//! 3. Answer the remaining requests UNAVAILABLE and close the gRPC ports.
//! 4. Close the HTTP port.
//! 5. Cut the connections that are still open, and end the background tasks, the writer and the prediction log.

mod accept;
mod admin_port;
mod connection_state;
mod connection_table;
mod connections;
mod data_port;
mod drain;
mod drift;
mod frames;
mod grpc_router;
mod http_port;
mod linger;
mod listen;
mod log;
mod memory;
mod ping;
mod prepare;
mod reflection;
mod shared;
mod socket;
mod threads;
mod tracked;
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
use crate::registry::RegistryWatcher;
use crate::serving::admission::AdmissionControl;
use crate::serving::live::{Live, Snapshot};

pub use drain::DrainReport;
use linger::Lingering;
use listen::Listeners;
pub use listen::{Addresses, BindError};
pub use log::{LastLines, Unwritten, log_to_stderr, unwritten};
pub use prepare::check_start;
use prepare::{Prepared, open, prepare};
use shared::Shared;
pub use version_status::VersionStatus;

/// Error of [`Gateway::start`]. Ports that were bound are closed again.
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
    registry_watcher: Option<Arc<RegistryWatcher>>,
    /// Writes the prediction log.
    log: Option<LogThread>,
    admission: Arc<AdmissionControl>,
    drain_deadline: Duration,
    lingering: Arc<Lingering>,
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
    /// Loads the versions that the configuration and the stored state select, binds the ports and starts to serve.
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
        let (shared, log) = Shared::build(config, telemetry, live, views.clone(), stage).await?;

        listen::raise_file_limit(shared.config.max_connections);
        let listeners = Listeners::bind(&shared.config).await?;
        let addresses = listeners.addresses(&shared.config);
        let registry_watcher = start_registry_watcher(&shared.config, events)?;
        let mut tasks = Tasks::default();
        data_port::spawn(&shared, listeners.data, &mut tasks.grpc)?;
        let grpc = &mut tasks.grpc;
        admin_port::spawn(&shared, control, &registry_watcher, listeners.admin, grpc)?;
        http_port::spawn(&shared, listeners.http, &mut tasks.others);
        spawn_upkeep(&shared, &mut tasks.others);
        tasks.others.spawn(async {
            writer.run().await;
            "writer"
        });
        Ok(Self {
            addresses,
            live: shared.live,
            views,
            registry_watcher: Some(registry_watcher),
            log,
            admission: shared.admission,
            drain_deadline: shared.config.drain_deadline,
            lingering: shared.connection_limiter.lingering,
            lifecycle,
            tasks,
        })
    }

    /// Returns the addresses that the gateway listens on.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Returns the snapshot that the gateway serves now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.live.snapshot()
    }

    /// Scans the registry now, whether or not the file system reports a change.
    pub fn scan_registry(&self) {
        if let Some(watcher) = &self.registry_watcher {
            watcher.look_now();
        }
    }

    /// Waits until a part of the gateway ends unexpectedly, which is always a bug, and returns its name.
    pub async fn wait_for_failure(&mut self) -> &'static str {
        let ended = tokio::select! {
            Some(ended) = self.tasks.grpc.join_next() => ended,
            Some(ended) = self.tasks.others.join_next() => ended,
        };
        ended.unwrap_or("a task that panicked")
    }
}

/// Starts to watch the registry, and sends every listing to the writer.
fn start_registry_watcher(
    config: &Config,
    events: mpsc::Sender<Event>,
) -> Result<Arc<RegistryWatcher>, StartError> {
    let (root, settings) = (config.registry.clone(), config.registry_watch);
    let watcher = RegistryWatcher::start(root, settings, move |listing| {
        // An error means that the writer has ended, which then needs no listing.
        let _ = events.blocking_send(Event::Listed(listing));
    });
    Ok(Arc::new(watcher?))
}

/// Starts the tasks that keep metrics up to date.
fn spawn_upkeep(shared: &Shared, tasks: &mut JoinSet<&'static str>) {
    let (live, stage) = (Arc::clone(&shared.live), shared.stage.clone());
    if let Some(interval) = shared.config.drift_interval {
        tasks.spawn(drift::update_gauges(
            Arc::clone(&live),
            interval,
            stage.clone(),
        ));
    }
    tasks.spawn(upkeep::run(live, Arc::clone(&shared.telemetry), stage));
}
