//! The only wiring: a [`Config`] becomes a running [`Gateway`], which is drained in the end.
//!
//! Start: metrics, versions, first snapshot, ports, tasks; whatever fails, fails before a port is bound or names every port
//! that is taken. Drain, in order: health says NOT_SERVING, no new connection and no new request is taken, requests in
//! flight finish or the deadline passes, then the HTTP door closes, what is still connected is cut, and the writer ends.

mod accept;
mod connections;
mod drain;
mod drift;
mod grpc_router;
mod memory;
mod prepare;
mod serve;
mod threads;
mod version_status;

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinSet, spawn_blocking},
    time::{self, MissedTickBehavior},
};

use crate::api;
use crate::api::grpc::{Admin, AdminSettings, UnlistedService};
use crate::api::http::HttpState;
use crate::api::{Catalog, Predictor, Stage};
use crate::audit::AuditError;
use crate::config::Config;
use crate::control::{Beginning, Event, OpenError, View};
use crate::faults::Faults;
use crate::insight::metrics::{MetricsError, Telemetry};
use crate::insight::outcomes::Outcomes;
use crate::insight::prediction_log::{LogThread, PredictionLog};
use crate::registry;
use crate::serving::Pipeline;
use crate::serving::admission::AdmissionControl;
use crate::serving::batch::Pool;
use crate::serving::live::{Live, Snapshot};
use crate::serving::shadow::ShadowPool;

use accept::ConnectionLimiter;
pub use drain::DrainReport;
pub use prepare::rehearse;
use prepare::{Prepared, open, prepare};
pub use version_status::VersionStatus;

/// How often recorded values are moved into histograms, and gauges brought up to date.
const UPKEEP: Duration = Duration::from_secs(1);

/// Why a gateway did not start. Nothing is listening then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What the configuration or the registry asks for cannot be honoured.
    #[error("{0}")]
    Faults(#[from] Faults),
    /// Addresses that cannot be listened on, all of them.
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
        /// Why.
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
    /// A service is missing in the endpoint table.
    #[error(transparent)]
    Unlisted(#[from] UnlistedService),
    /// Reflection could not be set up from the compiled descriptors.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// Loading was interrupted.
    #[error("loading the registry was interrupted: {0}")]
    Loading(#[from] tokio::task::JoinError),
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("the {face} face cannot listen on {address}: {source}")]
pub struct BindError {
    /// `data`, `admin` or `http`.
    pub face: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

/// Where a gateway listens; the real ports, also where 0 was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// gRPC for services.
    pub data: SocketAddr,
    /// gRPC for operators.
    pub admin: SocketAddr,
    /// HTTP.
    pub http: SocketAddr,
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "data   grpc://{}   taper.v1, Open Inference Protocol, TensorFlow Serving, health, reflection",
            self.data
        )?;
        writeln!(f, "admin  grpc://{}   models, traffic policies", self.admin)?;
        write!(
            f,
            "http   http://{}   /v2 /openapi.json /metrics /healthz /readyz",
            self.http
        )
    }
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    addresses: Addresses,
    live: Arc<Live>,
    views: watch::Receiver<Arc<View>>,
    /// Looks at the registry while the gateway runs.
    watch: Option<Arc<registry::Watch>>,
    /// Writes the prediction log.
    log: Option<LogThread>,
    admission: Arc<AdmissionControl>,
    /// What whoever asks how it stands is told.
    stage: watch::Sender<Stage>,
    drain_deadline: Duration,
    /// Turned to `true` one after the other: no new work; the HTTP door and all that only looks end; every connection is cut.
    close: watch::Sender<bool>,
    end: watch::Sender<bool>,
    cut: watch::Sender<bool>,
    grpc: JoinSet<&'static str>,
    others: JoinSet<&'static str>,
}

impl Gateway {
    /// Loads every version, binds the ports and serves.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running then.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let (store, audit) = open(&config).await?;
        let prepared = prepare(&config, store, Some(audit), Beginning::ForGood).await?;
        let Prepared {
            telemetry,
            control,
            writer,
            events,
        } = prepared;
        let live = writer.live();
        raise_file_limit(config.max_connections);
        if config.drift_interval.is_some() {
            // Nothing was seen yet, so this only makes the series.
            live.snapshot().report_drift();
        }
        let (log, log_thread) = prediction_log(&config, &telemetry).await?;
        let [data, admin, http] = listen(&config).await?;
        let addresses = Addresses {
            data: data.local_addr().unwrap_or(config.data),
            admin: admin.local_addr().unwrap_or(config.admin),
            http: http.local_addr().unwrap_or(config.http),
        };

        let admission = AdmissionControl::new(config.limits, Arc::clone(&telemetry));
        let outcomes = Arc::new(Outcomes::new(config.outcomes, telemetry.outcomes()));
        let shadow_pool = ShadowPool::start(config.shadows, Some(Arc::clone(&outcomes)))?;
        let pool = Pool::start()?;
        let pipeline = Pipeline::new(Arc::clone(&live), Arc::clone(&telemetry), pool);
        let pipeline = pipeline.with_outcomes(Arc::clone(&outcomes));
        let pipeline = Arc::new(pipeline.with_log(log).with_shadows(shadow_pool));
        let (stage, stages) = watch::channel(Stage::default());
        let views = control.views();
        let catalog = Catalog::new(Arc::clone(&live), views.clone(), stages);
        let (close, closing) = watch::channel(false);
        let (cut, cutting) = watch::channel(false);
        let (end, ending) = watch::channel(false);
        let (mut grpc, mut others) = (JoinSet::new(), JoinSet::new());
        let connection_limiter = ConnectionLimiter {
            most: config.max_connections,
            telemetry: Arc::clone(&telemetry),
            cut: cutting.clone(),
        };

        let predictor = Predictor::new(pipeline, Arc::clone(&admission));
        let router = serve::data(&config, predictor.clone(), catalog.clone(), &telemetry)?;
        let watch = registry::watch(config.registry.clone(), config.watch, move |listing| {
            // An error means that the writer has ended, and then nobody wants to know.
            let _ = events.blocking_send(Event::Listed(listing));
        });
        let watch = Arc::new(watch?);
        let looker = Arc::downgrade(&watch);
        let settings = AdminSettings {
            registry: config.registry.clone(),
            state: config.state.clone(),
            max_upload_bytes: config.max_upload_bytes,
            closing: closing.clone(),
            scan_registry: Arc::new(move || {
                if let Some(watch) = looker.upgrade() {
                    watch.look_now();
                }
            }),
        };
        let admitted = connection_limiter.admit(data);
        let streams = config.max_concurrent_streams;
        let serve = connections::grpc(router, streams);
        threads::spread("data", &serve, admitted, &closing, &cutting, &mut grpc)?;
        let admin_service = Admin::new(Arc::clone(&live), control, settings);
        let router = serve::admin(
            &config,
            admin_service,
            catalog.clone(),
            &admission,
            &telemetry,
        )?;
        grpc.spawn(connections::serve_until(
            "admin",
            connection_limiter.admit_here(admin),
            connections::grpc(router, streams),
            closing,
        ));
        let most = config.max_message_bytes;
        let state = HttpState::new(catalog, &telemetry, outcomes, predictor, most);
        others.spawn(connections::serve_until(
            connections::HTTP,
            connection_limiter.admit_here(http),
            connections::http(api::http::router(state)),
            ending.clone(),
        ));
        if let Some(interval) = config.drift_interval {
            others.spawn(drift::update_gauges(
                Arc::clone(&live),
                interval,
                ending.clone(),
            ));
        }
        others.spawn(upkeep(Arc::clone(&live), telemetry, ending));
        others.spawn(async {
            writer.run().await;
            "writer"
        });
        let drain_deadline = config.drain_deadline;
        Ok(Self {
            addresses,
            live,
            views,
            watch: Some(watch),
            log: log_thread,
            admission,
            stage,
            drain_deadline,
            close,
            cut,
            end,
            grpc,
            others,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// What it serves now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.live.snapshot()
    }

    /// Waits until a part of the gateway ends by itself, which only a fault in it can cause, and names the part.
    pub async fn broken(&mut self) -> &'static str {
        let ended = tokio::select! {
            Some(ended) = self.grpc.join_next() => ended,
            Some(ended) = self.others.join_next() => ended,
        };
        ended.unwrap_or("a task that panicked")
    }
}

/// Opens the prediction log, if one is wanted.
async fn prediction_log(
    config: &Config,
    telemetry: &Telemetry,
) -> Result<(Option<PredictionLog>, Option<LogThread>), StartError> {
    let Some(settings) = config.prediction_log.clone() else {
        return Ok((None, None));
    };
    let path = settings.path.display().to_string();
    let meters = telemetry.log();
    let started = spawn_blocking(move || PredictionLog::start(settings, meters)).await?;
    match started {
        Ok((log, thread)) => Ok((Some(log), Some(thread))),
        Err(source) => Err(StartError::PredictionLog { path, source }),
    }
}

/// Every connection is a file. The limit that a process begins with is often lower than what it may ask for.
fn raise_file_limit(max_connections: usize) {
    let ports = 3;
    let wanted = u64::try_from(max_connections)
        .unwrap_or(u64::MAX)
        .saturating_mul(ports)
        + 64;
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) if files >= wanted => {}
        Ok(files) => tracing::warn!(
            files,
            wanted,
            "the limit on open files is below the limits on connections: lower max_connections or raise it"
        ),
        Err(error) => tracing::warn!(%error, "the limit on open files cannot be read"),
    }
}

/// Binds all three ports, or tells every one that cannot be bound.
async fn listen(config: &Config) -> Result<[TcpListener; 3], StartError> {
    let mut bound = Vec::with_capacity(3);
    let mut errors = Vec::new();
    for (face, address) in [
        ("data", config.data),
        ("admin", config.admin),
        ("http", config.http),
    ] {
        match TcpListener::bind(address).await {
            Ok(listener) => bound.push(listener),
            Err(source) => errors.push(BindError {
                face,
                address,
                source,
            }),
        }
    }
    bound.try_into().map_err(|_| StartError::Bind(errors))
}

async fn upkeep(
    live: Arc<Live>,
    telemetry: Arc<Telemetry>,
    mut ending: watch::Receiver<bool>,
) -> &'static str {
    let mut ticks = time::interval(UPKEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = ending.wait_for(|ending| *ending) => return "upkeep",
        }
        let (live, telemetry) = (Arc::clone(&live), Arc::clone(&telemetry));
        // It waits for locks of statistics and histograms, which no thread that serves should do for gauges.
        let look = spawn_blocking(move || {
            live.snapshot().report_counted_shares();
            telemetry.upkeep();
        });
        // An error is a panic, which costs this look its gauges and nothing else.
        if let Err(error) = look.await {
            tracing::error!(%error, "the gauges are not up to date");
        }
    }
}
