//! The metrics, as functions named after events, and their Prometheus text.
//!
//! The exporter keeps a series for ever once it is registered. So each version gets an exporter of its own, which dies
//! with the version, and [`Telemetry::render`] puts their texts together. Every label value comes from the registry or
//! from a fixed list: a client can never create a series.

mod merge;
mod version;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use metrics::{
    Counter, Gauge, Label, counter, describe_counter, describe_gauge, describe_histogram, gauge,
};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use crate::error::PredictError;
use crate::ident::ModelName;

pub use version::{Record, VersionMeters};

/// Upper bounds of the latency buckets, in seconds: 10 µs to 10 s. A small network answers in a few microseconds.
pub const SECONDS: [f64; 19] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Why the metrics could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("metrics: {0}")]
pub struct MetricsError(#[from] BuildError);

/// All metrics of one gateway. Nothing in it is global, so several gateways fit into one process.
#[derive(Debug)]
pub struct Telemetry {
    process: Scope,
    /// Locked when a version comes and when somebody reads, never by a request.
    versions: Mutex<Vec<Weak<Scope>>>,
    rejected: [Counter; PredictError::REASONS.len()],
    refused_connections: Counter,
    unreadable: [Counter; 3],
}

/// Why the transport refused a message, so that no handler saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Past the limit on its bytes.
    TooLarge,
    /// No message of the method, compressed in a way that is not known, or no known method.
    Malformed,
    /// It did not come as a whole in time.
    TooSlow,
}

impl Telemetry {
    /// Starts with the process-wide series.
    ///
    /// # Errors
    /// Only if the exporter refuses the fixed buckets.
    pub fn new() -> Result<Arc<Self>, MetricsError> {
        let process = Scope::new(&[], &[])?;
        let (rejected, unreadable, refused_connections) = process.enter(|| {
            gauge!("taper_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
            let rejected = |reason| counter!("taper_rejected_requests_total", "reason" => reason);
            (
                PredictError::REASONS.map(rejected),
                ["MESSAGE_TOO_LARGE", "MALFORMED_MESSAGE", "MESSAGE_TOO_SLOW"].map(rejected),
                counter!("taper_refused_connections_total"),
            )
        });
        let versions = Mutex::default();
        Ok(Arc::new(Self {
            process,
            versions,
            rejected,
            refused_connections,
            unreadable,
        }))
    }

    /// A request was refused before a version was chosen.
    pub fn rejected(&self, error: &PredictError) {
        let reason = error.reason();
        if let Some(at) = PredictError::REASONS
            .iter()
            .position(|known| *known == reason)
        {
            self.rejected[at].increment(1);
        }
    }

    /// The transport refused a message.
    pub fn unreadable(&self, why: Unreadable) {
        self.unreadable[why as usize].increment(1);
    }

    /// A gRPC connection was closed at once, because as many as the limit were open.
    pub fn refused_connection(&self) {
        self.refused_connections.increment(1);
    }

    /// The revision gauge of one model.
    #[must_use]
    pub fn policy_revision(&self, model: &ModelName) -> RevisionGauge {
        let model = model.as_str().to_owned();
        RevisionGauge(
            self.process
                .enter(|| gauge!("taper_policy_revision", "model" => model)),
        )
    }

    /// Moves what requests recorded into the histograms. The exporter keeps single values until then, so this runs
    /// every second; it is what bounds their memory.
    pub fn upkeep(&self) {
        self.each_scope(|scope| scope.handle.run_upkeep());
    }

    /// Everything in the Prometheus text format, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        let mut texts = Vec::new();
        self.each_scope(|scope| texts.push(scope.handle.render()));
        merge::merge(&texts)
    }

    fn add(&self, scope: &Arc<Scope>) {
        self.lock_versions().push(Arc::downgrade(scope));
    }

    fn each_scope(&self, mut f: impl FnMut(&Scope)) {
        f(&self.process);
        let mut alive = Vec::new();
        // The lock is not held while `f` runs, so that loading a version never waits for a reader.
        self.lock_versions()
            .retain(|scope| scope.upgrade().map(|scope| alive.push(scope)).is_some());
        alive.iter().for_each(|scope| f(scope));
    }

    fn lock_versions(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Scope>>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells which revision of a model's policy is in force.
#[derive(Clone)]
pub struct RevisionGauge(Gauge);

impl RevisionGauge {
    /// A revision came into force.
    pub fn set(&self, revision: crate::ident::Revision) {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 changes")]
        self.0.set(revision.0 as f64);
    }
}

impl fmt::Debug for RevisionGauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RevisionGauge")
    }
}

/// Series that live and die together.
struct Scope {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Scope {
    fn new(labels: &[Label], score_buckets: &[f64]) -> Result<Self, MetricsError> {
        let seconds = |name: &str| Matcher::Full(name.to_owned());
        let mut builder = PrometheusBuilder::new()
            .set_buckets_for_metric(seconds("taper_request_seconds"), &SECONDS)?
            .set_buckets_for_metric(seconds("taper_inference_seconds"), &SECONDS)?
            .set_buckets_for_metric(
                Matcher::Full("taper_prediction_confidence".into()),
                &PROBABILITY,
            )?
            .set_buckets_for_metric(Matcher::Full("taper_request_rows".into()), &ROWS)?;
        if !score_buckets.is_empty() {
            builder = builder.set_buckets_for_metric(
                Matcher::Full("taper_prediction_score".into()),
                score_buckets,
            )?;
        }
        for label in labels {
            builder = builder.add_global_label(label.key(), label.value());
        }
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        let scope = Self { recorder, handle };
        scope.enter(describe);
        Ok(scope)
    }

    /// Registers what `f` registers in this scope.
    fn enter<T>(&self, f: impl FnOnce() -> T) -> T {
        metrics::with_local_recorder(&self.recorder, f)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scope")
    }
}

/// Upper bounds of the buckets of a probability.
pub(crate) const PROBABILITY: [f64; 20] = [
    0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85,
    0.9, 0.95, 1.0,
];

/// Upper bounds of the buckets of the number of rows.
const ROWS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1024.0, 4096.0];

fn describe() {
    describe_counter!(
        "taper_refused_connections_total",
        "gRPC connections closed at the limit on connections"
    );
    describe_gauge!("taper_build_info", "1, with the version of the gateway");
    describe_counter!(
        "taper_rejected_requests_total",
        "Requests refused before a version was chosen, by reason"
    );
    describe_gauge!(
        "taper_policy_revision",
        "Revision of the traffic policy in force"
    );
    describe_counter!(
        "taper_requests_total",
        "Requests by the version that took them, its role and the gRPC code"
    );
    describe_histogram!(
        "taper_request_seconds",
        "Seconds from the decoded request to the answer before encoding"
    );
    describe_histogram!("taper_inference_seconds", "Seconds in the forward pass");
    describe_histogram!("taper_request_rows", "Rows per request");
    describe_histogram!(
        "taper_prediction_score",
        "Predicted value of each row, by output"
    );
    describe_counter!(
        "taper_predicted_class_total",
        "Rows by their most probable class"
    );
    describe_histogram!(
        "taper_prediction_confidence",
        "Probability of the most probable class of each row"
    );
    describe_gauge!(
        "taper_traffic_share",
        "Share of the traffic that the policy gives the version, 0 to 1"
    );
    describe_gauge!(
        "taper_traffic_share_counted",
        "Share of the traffic that the split gave the version since the policy's revision came into force, 0 to 1"
    );
    describe_gauge!(
        "taper_in_flight_requests",
        "Requests that the version is answering now"
    );
}
