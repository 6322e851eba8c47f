//! The state that all ports share: the pipeline, the catalog of models, and the limits on requests and connections.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::StartError;
use super::accept::ConnectionLimiter;
use super::connection_table::{ConnectionLimits, SilenceLimits};
use super::connections::CallSettings;
use super::linger::Lingering;
use crate::api::endpoints::Port;
use crate::api::grpc::{CompressionLimits, StackBuilder};
use crate::api::{Catalog, Predictor, ReadinessRule, StageWatch};
use crate::config::Config;
use crate::control::View;
use crate::insight::metrics::Telemetry;
use crate::insight::outcomes::Outcomes;
use crate::insight::prediction_log::{LogThread, PredictionLog};
use crate::serving::Pipeline;
use crate::serving::admission::AdmissionControl;
use crate::serving::batch::Pool;
use crate::serving::call_limit::CallLimiter;
use crate::serving::live::Live;
use crate::serving::shadow::ShadowPool;

/// How long a client may take to answer a PING at least. It may also take as long as for an answer, since it cannot read the PING before.
const LEAST_ANSWER_TIME: Duration = Duration::from_secs(20);

/// The state that all ports share. The builders of the ports read it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) live: Arc<Live>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) outcomes: Arc<Outcomes>,
    pub(super) admission: Arc<AdmissionControl>,
    pub(super) call_limiter: Arc<CallLimiter>,
    pub(super) predictor: Predictor,
    pub(super) catalog: Catalog,
    pub(super) stage: StageWatch,
    pub(super) connection_limiter: ConnectionLimiter,
}

impl Shared {
    /// Builds the parts, and starts their threads. Also returns the thread of the prediction log, if there is one.
    ///
    /// # Errors
    /// Returns an error if the prediction log cannot be written or a thread cannot be started.
    pub(super) async fn build(
        config: Config,
        telemetry: Arc<Telemetry>,
        live: Arc<Live>,
        views: watch::Receiver<Arc<View>>,
        stage: StageWatch,
    ) -> Result<(Self, Option<LogThread>), StartError> {
        if config.drift_interval.is_some() {
            // Creates the series; nothing has been observed yet.
            live.snapshot().report_drift();
        }
        let (log, log_thread) = open_prediction_log(&config, &telemetry).await?;
        let admission = AdmissionControl::new(config.limits, Arc::clone(&telemetry));
        let call_limiter = CallLimiter::new(config.calls, Arc::clone(&telemetry));
        let outcomes = Arc::new(Outcomes::new(config.outcomes, telemetry.outcomes()));
        let shadow_pool = ShadowPool::start(config.shadows, Some(Arc::clone(&outcomes)))?;
        let pool = Pool::start()?;
        let pipeline = Pipeline::new(Arc::clone(&live), Arc::clone(&telemetry), pool)
            .with_outcomes(Arc::clone(&outcomes))
            .with_log(log)
            .with_shadows(shadow_pool);
        let shared = Self {
            predictor: Predictor::new(Arc::new(pipeline), Arc::clone(&admission))
                .with_max_stream_idle(config.max_stream_idle),
            catalog: Catalog::new(Arc::clone(&live), views, stage.clone())
                .with_readiness_rule(readiness_rule(&config)),
            connection_limiter: ConnectionLimiter {
                limits: connection_limits(&config),
                send_timeout: config.send_timeout,
                lingering: Lingering::new(Handle::current(), config.send_timeout),
                telemetry: Arc::clone(&telemetry),
                stage: stage.clone(),
            },
            config,
            live,
            telemetry,
            outcomes,
            admission,
            call_limiter,
            stage,
        };
        Ok((shared, log_thread))
    }

    /// Returns how the calls of a gRPC port are served.
    pub(super) fn call_settings(&self) -> CallSettings {
        CallSettings {
            max_streams: self.config.max_concurrent_streams,
            send_timeout: self.config.send_timeout,
            admission: Arc::clone(&self.admission),
        }
    }

    /// Returns the builder of a gRPC port's stacks.
    pub(super) fn stacks(&self, port: Port) -> StackBuilder {
        let (admission, telemetry) = (Arc::clone(&self.admission), Arc::clone(&self.telemetry));
        let calls = Arc::clone(&self.call_limiter);
        let compression = CompressionLimits {
            max_message_bytes: self.config.max_message_bytes,
            min_compressed_bytes: self.config.min_compressed_bytes,
        };
        StackBuilder::new(port, admission, calls, telemetry).with_compression(compression)
    }
}

fn readiness_rule(config: &Config) -> ReadinessRule {
    if config.strict_readiness {
        ReadinessRule::EveryModel
    } else {
        ReadinessRule::AnyModel
    }
}

fn connection_limits(config: &Config) -> ConnectionLimits {
    let silence = config.ping_after.map(|ping_after| SilenceLimits {
        ping_after,
        answer_within: LEAST_ANSWER_TIME.max(config.send_timeout),
    });
    ConnectionLimits {
        max_connections: config.max_connections,
        max_idle: config.max_connection_idle,
        max_age: config.max_connection_age,
        age_grace: config.connection_age_grace,
        silence,
    }
}

/// Opens the prediction log, if the configuration asks for one.
async fn open_prediction_log(
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
