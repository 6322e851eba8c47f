//! Series that live and die together, and what each of them is called, counts and means.

use std::fmt;

use metrics::{Label, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use super::MetricsError;

/// Upper bounds of the latency buckets, in seconds: 10 µs to 10 s. A small network answers in a few microseconds.
pub const SECONDS: [f64; 19] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Upper bounds of the buckets of loading, in seconds: 1 ms to 10 minutes.
const LOAD_SECONDS: [f64; 15] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];

/// Series that live and die together.
pub(super) struct Scope {
    /// What all of them carry; no two living scopes have the same.
    pub(super) labels: Vec<Label>,
    recorder: PrometheusRecorder,
    pub(super) handle: PrometheusHandle,
}

impl Scope {
    pub(super) fn new(labels: &[Label], score_buckets: &[f64]) -> Result<Self, MetricsError> {
        let mut builder = PrometheusBuilder::new();
        for (name, buckets) in [
            ("taper_request_seconds", &SECONDS[..]),
            ("taper_inference_seconds", &SECONDS),
            ("taper_load_seconds", &LOAD_SECONDS),
            ("taper_prediction_confidence", &PROBABILITY),
            ("taper_request_rows", &ROWS),
            ("taper_batch_rows", &ROWS),
            ("taper_batch_requests", &ROWS),
            ("taper_prediction_score", score_buckets),
        ] {
            if !buckets.is_empty() {
                builder = builder.set_buckets_for_metric(Matcher::Full(name.into()), buckets)?;
            }
        }
        for label in labels {
            builder = builder.add_global_label(label.key(), label.value());
        }
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        let labels = labels.to_vec();
        let scope = Self {
            labels,
            recorder,
            handle,
        };
        scope.enter(describe);
        Ok(scope)
    }

    /// Registers what `f` registers in this scope.
    pub(super) fn enter<T>(&self, f: impl FnOnce() -> T) -> T {
        metrics::with_local_recorder(&self.recorder, f)
    }
}

impl Drop for Scope {
    /// Takes over what was recorded last: the exporter's buckets do not free what is still in them, which would be some
    /// kilobytes with every version that goes.
    fn drop(&mut self) {
        self.handle.run_upkeep();
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scope")
    }
}

/// Upper bounds of the buckets of a probability.
pub(super) const PROBABILITY: [f64; 20] = [
    0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85,
    0.9, 0.95, 1.0,
];

/// Upper bounds of the buckets of the number of rows.
const ROWS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1024.0, 4096.0];

fn describe() {
    describe_counter!(
        "taper_refused_connections_total",
        "Connections closed at the limit on connections of their port, the HTTP port too"
    );
    describe_gauge!("taper_build_info", "1, with the version of the gateway");
    describe_counter!(
        "taper_rejected_requests_total",
        "Requests refused before a version was chosen, by reason"
    );
    describe_counter!(
        "taper_loads_total",
        "Versions that were loaded, by how it ended"
    );
    describe_histogram!(
        "taper_load_seconds",
        "Seconds from a version's folder to a version that can answer, or to the reason why not"
    );
    describe_gauge!(
        "taper_weights_bytes",
        "Bytes of the weights of every version that has not been freed"
    );
    describe_gauge!(
        "taper_draining_versions",
        "Versions that get no new request and are still held by one"
    );
    describe_gauge!(
        "taper_draining_weights_bytes",
        "Bytes of the weights of draining versions"
    );
    describe_gauge!(
        "process_resident_memory_bytes",
        "Bytes of the process in physical memory"
    );
    describe_gauge!("taper_versions", "Versions of the model in each state");
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
    describe_histogram!(
        "taper_batch_rows",
        "Rows per forward pass of the compute pool"
    );
    describe_histogram!(
        "taper_batch_requests",
        "Requests per forward pass of the compute pool"
    );
    describe_gauge!("taper_queue_rows", "Rows that wait for the compute pool");
    describe_counter!(
        "taper_queue_abandoned_total",
        "Requests that left the queue without being computed, by reason"
    );
    describe_counter!(
        "taper_shadow_dropped_total",
        "Copies for a shadow that were not scored, by reason"
    );
    describe_gauge!(
        "taper_shadow_queue_requests",
        "Copies that wait for the shadow"
    );
    describe_counter!(
        "taper_shadow_compared_rows_total",
        "Rows that the shadow and the primary both answered"
    );
    describe_counter!(
        "taper_shadow_disagreed_rows_total",
        "Compared rows whose most probable classes differ"
    );
    describe_counter!(
        "taper_fallbacks_total",
        "Requests that another version had to answer in the place of this one, by reason"
    );
    describe_gauge!(
        "taper_insight_bytes",
        "Bytes of the version's statistics in memory"
    );
    describe_gauge!(
        "taper_feature_drift",
        "How far the version's inputs of the last hour as primary are from its reference profile, by statistic; NaN where too few rows came"
    );
    describe_gauge!(
        "taper_prediction_drift",
        "How far the version's predictions of the last hour as primary are from its reference profile, by statistic; NaN where too few rows came"
    );
    describe_gauge!(
        "taper_in_flight_requests",
        "Requests that the version is answering now"
    );
    describe_counter!(
        "taper_outcomes_total",
        "Rows whose truth was reported and counted, by the version that answered and its role"
    );
    describe_gauge!(
        "taper_outcome_quality",
        "What the reported truths say about the version's predictions since it was loaded"
    );
    describe_counter!(
        "taper_outcomes_unmatched_total",
        "Reported truths that were not counted, by reason"
    );
    describe_counter!(
        "taper_outcome_rows_lost_total",
        "Answered rows that were forgotten without a truth before they expired, by reason"
    );
    describe_gauge!(
        "taper_outcome_buffer_rows",
        "Answered rows that are remembered until their truth is reported"
    );
    describe_counter!(
        "taper_prediction_log_lines_total",
        "Lines that were written to the prediction log"
    );
    describe_counter!(
        "taper_prediction_log_dropped_total",
        "Lines of the prediction log that were dropped, because too many waited or the disk refused"
    );
}
