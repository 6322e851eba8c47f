//! All metrics of one gateway.

use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use metrics::Label;
use metrics_exporter_prometheus::BuildError;

use super::labels::MODEL;
use super::log::LogMeters;
use super::merge::merge;
use super::model::ModelMeters;
use super::outcomes::OutcomeMeters;
use super::process::{Process, Weights};
use super::reasons::{CallScope, CloseReason, LimitedService, MessageFault, UnsentReason};
use super::scope::Scope;
use crate::error::PredictError;
use crate::ident::ModelName;
use crate::sync;

/// The exporter refused the table of metrics.
#[derive(Debug, thiserror::Error)]
#[error("metrics: {0}")]
pub struct MetricsError(#[from] BuildError);

/// All metrics of one gateway. Nothing in it is global, so several gateways fit into one process.
#[derive(Debug)]
pub struct Telemetry {
    process: Process,
    /// The scopes of models and versions. Locked when one is added and when the metrics are read, never by a request.
    scopes: Mutex<Vec<Weak<Scope>>>,
}

impl Telemetry {
    /// Creates the metrics and registers the series of the process.
    ///
    /// # Errors
    /// Returns an error if the exporter refuses the buckets of the table.
    pub fn new() -> Result<Arc<Self>, MetricsError> {
        let process = Process::new()?;
        let scopes = Mutex::default();
        Ok(Arc::new(Self { process, scopes }))
    }

    /// Counts a request that was refused before a version was chosen.
    pub fn rejected(&self, error: &PredictError) {
        self.process.rejected(error);
    }

    /// Counts a message that the transport refused.
    pub fn unreadable(&self, fault: MessageFault) {
        self.process.unreadable(fault);
    }

    /// Records how many requests hold a permit, and the bytes of their messages.
    pub fn admitted(&self, requests: usize, bytes: usize) {
        self.process.admitted(requests, bytes);
    }

    /// Counts an answer that its client did not read.
    pub fn unsent(&self, reason: UnsentReason) {
        self.process.unsent(reason);
    }

    /// Counts a connection that was closed at once because its port was at its limit on connections.
    pub fn refused_connection(&self) {
        self.process.refused_connection();
    }

    /// Counts an open connection that the gateway closed.
    pub fn closed_connection(&self, reason: CloseReason) {
        self.process.closed_connection(reason);
    }

    /// Counts a call that was refused at a limit on concurrent calls.
    pub fn refused_call(&self, service: LimitedService, scope: CallScope) {
        self.process.refused_call(service, scope);
    }

    /// Sets how many lines of the log were dropped, and how many repeated ones were left out, since the process started.
    pub fn unwritten_log_lines(&self, dropped: u64, repeated: u64) {
        self.process.unwritten_log_lines(dropped, repeated);
    }

    /// Sets whether the state folder is not the one that the gateway opened.
    pub fn state_folder_lost(&self, is_lost: bool) {
        self.process.state_folder_lost(is_lost);
    }

    /// Counts an attempt to load a version, which took `duration`. `ready` is whether the version can serve.
    pub fn load_ended(&self, ready: bool, duration: Duration) {
        self.process.load_ended(ready, duration);
    }

    /// Counts `bytes` bytes of weights in memory until the returned value is dropped.
    #[must_use]
    pub fn weights(&self, bytes: u64) -> Weights {
        self.process.weights(bytes)
    }

    /// Returns the series of outcomes that belong to no version.
    #[must_use]
    pub fn outcomes(&self) -> OutcomeMeters {
        OutcomeMeters::new(&self.process.scope)
    }

    /// Returns the series of the prediction log.
    #[must_use]
    pub fn log(&self) -> LogMeters {
        LogMeters::new(&self.process.scope)
    }

    /// Returns the series of a model. They are removed with the last value that this returned for the model.
    ///
    /// # Errors
    /// Returns an error if the exporter refuses the buckets of the table.
    pub fn model(&self, model: &ModelName) -> Result<ModelMeters, MetricsError> {
        let labels = [Label::new(MODEL.name, model.as_str().to_owned())];
        Ok(ModelMeters::new(self.scope(&labels, &[])?))
    }

    /// Moves recorded values into the buckets of the histograms. The exporter keeps each value until then. Call this every
    /// second, so that their memory stays bounded.
    pub fn upkeep(&self) {
        self.process.update_memory();
        self.each_scope(|scope| scope.handle.run_upkeep());
    }

    /// Returns all metrics in the Prometheus text format, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        let mut texts = Vec::new();
        self.each_scope(|scope| texts.push(scope.handle.render()));
        merge(&texts)
    }

    /// Returns the scope of the owner that `labels` name, and creates it if there is none. A version that is loaded again
    /// while a request still holds it continues its series, with their buckets: two scopes of the same labels would export
    /// each series twice, which Prometheus refuses.
    pub(super) fn scope(
        &self,
        labels: &[Label],
        score_buckets: &[f64],
    ) -> Result<Arc<Scope>, MetricsError> {
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
        // The lock is released before `f` runs, so that loading a version never waits for a reader.
        self.lock_scopes()
            .retain(|scope| scope.upgrade().map(|scope| alive.push(scope)).is_some());
        alive.iter().for_each(|scope| f(scope));
    }

    fn lock_scopes(&self) -> MutexGuard<'_, Vec<Weak<Scope>>> {
        sync::lock(&self.scopes)
    }
}
