//! The metrics, as functions named after events, and their Prometheus text.
//!
//! The exporter keeps a series for ever once it is registered. So each version and each model gets an exporter of its own,
//! which dies with it, and [`Telemetry::render`] puts their texts together. Every label value comes from the registry or
//! from a fixed list: a client can never create a series.

mod batch;
mod drift;
mod helper;
mod log;
mod merge;
mod model;
mod outcomes;
mod process;
mod scope;
mod version;

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use metrics::Label;
use metrics_exporter_prometheus::BuildError;

use crate::error::PredictError;
use crate::ident::ModelName;
use process::Process;
use scope::{PROBABILITY, Scope};

pub use batch::{Abandoned, Waiting};
pub use helper::{ComparedMeters, Dropped, Failed, Queued};
pub use log::LogMeters;
pub use model::{ModelMeters, STATES};
pub use outcomes::{JoinedCounter, OutcomeMeters, QualityMeters};
pub use process::Weights;
pub use scope::SECONDS;
pub use version::{Record, VersionMeters};

/// Why the metrics could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("metrics: {0}")]
pub struct MetricsError(#[from] BuildError);

/// All metrics of one gateway. Nothing in it is global, so several gateways fit into one process.
#[derive(Debug)]
pub struct Telemetry {
    process: Process,
    /// Of models and versions. Locked when one comes and when somebody reads, never by a request.
    scopes: Mutex<Vec<Weak<Scope>>>,
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
        let process = Process::new()?;
        let scopes = Mutex::default();
        Ok(Arc::new(Self { process, scopes }))
    }

    /// A request was refused before a version was chosen.
    pub fn rejected(&self, error: &PredictError) {
        self.process.rejected(error);
    }

    /// The transport refused a message.
    pub fn unreadable(&self, why: Unreadable) {
        self.process.unreadable(why);
    }

    /// A gRPC connection was closed at once, because as many as the limit were open.
    pub fn refused_connection(&self) {
        self.process.refused_connection();
    }

    /// Loading a version ended after `took`, well or not.
    pub fn load_ended(&self, ready: bool, took: Duration) {
        self.process.load_ended(ready, took);
    }

    /// Weights of `bytes` bytes came into memory; they count until what is returned is dropped.
    #[must_use]
    pub fn weights(&self, bytes: u64) -> Weights {
        self.process.weights(bytes)
    }

    /// The series of truths that are not counted with a version.
    #[must_use]
    pub fn outcomes(&self) -> OutcomeMeters {
        OutcomeMeters::new(&self.process.scope)
    }

    /// The series of the prediction log.
    #[must_use]
    pub fn log(&self) -> LogMeters {
        LogMeters::new(&self.process.scope)
    }

    /// The series of one model. They go with the last of what this returned for it.
    ///
    /// # Errors
    /// Only if the exporter refuses the fixed buckets.
    pub fn model(&self, model: &ModelName) -> Result<ModelMeters, MetricsError> {
        let labels = [Label::new("model", model.as_str().to_owned())];
        Ok(ModelMeters::new(self.scope(&labels, &[])?))
    }

    /// Moves what requests recorded into the histograms. The exporter keeps single values until then, so this runs
    /// every second; it is what bounds their memory.
    pub fn upkeep(&self) {
        self.process.look_at_memory();
        self.each_scope(|scope| scope.handle.run_upkeep());
    }

    /// Everything in the Prometheus text format, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        let mut texts = Vec::new();
        self.each_scope(|scope| texts.push(scope.handle.render()));
        merge::merge(&texts)
    }

    /// The scope of these labels. A version that is loaded again while a request still holds it goes on with the series it
    /// had, and their buckets: two scopes of the same labels would give every series twice, which no reader takes.
    fn scope(&self, labels: &[Label], score_buckets: &[f64]) -> Result<Arc<Scope>, MetricsError> {
        let mut scopes = self.lock_scopes();
        let mut alive = scopes.iter().filter_map(Weak::upgrade);
        if let Some(scope) = alive.find(|scope| scope.labels == labels) {
            return Ok(scope);
        }
        let scope = Arc::new(Scope::new(labels, score_buckets)?);
        scopes.push(Arc::downgrade(&scope));
        Ok(scope)
    }

    fn each_scope(&self, mut f: impl FnMut(&Scope)) {
        f(&self.process.scope);
        let mut alive = Vec::new();
        // The lock is not held while `f` runs, so that loading a version never waits for a reader.
        self.lock_scopes()
            .retain(|scope| scope.upgrade().map(|scope| alive.push(scope)).is_some());
        alive.iter().for_each(|scope| f(scope));
    }

    fn lock_scopes(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Scope>>> {
        self.scopes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
