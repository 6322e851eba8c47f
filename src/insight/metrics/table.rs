//! The table of metrics: the name, kind, unit, labels, buckets and meaning of everything that `/metrics` exports.
//!
//! Every series is registered through a constant of this file, so a metric is added here and nowhere else.
//! `docs/metrics.md` is generated from [`METRICS`].
//!
//! Invariants: names are unique; every label value comes from a closed set or from the registry, never from a client.

use super::labels::{
    ABANDON_REASON, CALL_SCOPE, CLASS, CLOSE_REASON, CODE, DRIFT_STATISTIC, DROP_REASON,
    FALLBACK_REASON, FEATURE, GATEWAY_VERSION, LIMITED_SERVICE, LOAD_OUTCOME, LOST_REASON,
    OUTCOME_RESULT, OUTPUT, PRIMARY, QUALITY_MEASURE, REJECTION_REASON, ROLE, STATE,
    UNMATCHED_REASON, UNSENT_REASON,
};
use super::metric::{
    Buckets, CounterMetric, Exported, GaugeMetric, Group, HistogramMetric, Kind, Metric, Owner,
};

/// Defines one constant for each row, and [`METRICS`] with all rows in the order given.
macro_rules! metrics {
    ($($constant:ident = $row:ident { $($field:ident: $value:expr,)* })*) => {
        $(
            #[allow(clippy::needless_update, reason = "few rows set every field")]
            pub(super) const $constant: $row = $row(Metric {
                kind: $row::KIND,
                $($field: $value,)*
                ..DEFAULTS
            });
        )*

        /// Every metric, in the order of the page.
        pub const METRICS: &[Metric] = &[$($constant.0),*];
    };
}

/// Fields that most rows share. The fields that are empty here are in every row.
const DEFAULTS: Metric = Metric {
    name: "",
    kind: Kind::Gauge,
    unit: "",
    group: Group::Gateway,
    owner: Owner::Process,
    labels: &[],
    buckets: Buckets::None,
    help: "",
    exported: Exported::Always,
};

metrics! {
    BUILD_INFO = GaugeMetric {
        name: "taper_build_info",
        unit: "none",
        group: Group::Gateway,
        labels: &[GATEWAY_VERSION],
        help: "Always 1. The label is the version of the gateway.",
    }
    REJECTED_REQUESTS = CounterMetric {
        name: "taper_rejected_requests_total",
        unit: "requests",
        group: Group::Gateway,
        labels: &[REJECTION_REASON],
        help: "Requests that were refused before a version was chosen, by reason.",
    }
    ADMITTED_REQUESTS = GaugeMetric {
        name: "taper_admitted_requests",
        unit: "requests",
        group: Group::Gateway,
        help: "Requests that hold a permit of admission control: from the first byte until the answer is sent.",
    }
    ADMITTED_BYTES = GaugeMetric {
        name: "taper_admitted_bytes",
        unit: "bytes",
        group: Group::Gateway,
        help: "Bytes of the messages of these requests.",
    }
    UNSENT_ANSWERS = CounterMetric {
        name: "taper_unsent_answers_total",
        unit: "answers",
        group: Group::Gateway,
        labels: &[UNSENT_REASON],
        help: "Answers that were dropped because their clients did not read them, by reason.",
    }
    REFUSED_CONNECTIONS = CounterMetric {
        name: "taper_refused_connections_total",
        unit: "connections",
        group: Group::Gateway,
        help: "Connections that were closed at once because their port, gRPC or HTTP, was at its limit on connections and none was idle.",
    }
    CLOSED_CONNECTIONS = CounterMetric {
        name: "taper_closed_connections_total",
        unit: "connections",
        group: Group::Gateway,
        labels: &[CLOSE_REASON],
        help: "Open connections that the gateway closed, by reason. Their clients connect again when they need to.",
    }
    REFUSED_CALLS = CounterMetric {
        name: "taper_refused_calls_total",
        unit: "calls",
        group: Group::Gateway,
        labels: &[LIMITED_SERVICE, CALL_SCOPE],
        help: "Calls that were refused because too many calls of the same services were open.",
    }
    DROPPED_LOG_LINES = CounterMetric {
        name: "taper_dropped_log_lines_total",
        unit: "lines",
        group: Group::Gateway,
        help: "Lines of the log that were dropped because stderr was not read. The gateway does not wait for its reader.",
    }
    REPEATED_LOG_LINES = CounterMetric {
        name: "taper_repeated_log_lines_total",
        unit: "lines",
        group: Group::Gateway,
        help: "Warnings and errors that were left out of the log: more than 20 of one place in the code within 10 seconds.",
    }
    STATE_FOLDER_LOST = GaugeMetric {
        name: "taper_state_folder_lost",
        unit: "none",
        group: Group::Gateway,
        help: "1 while the state folder is not the one that the gateway opened, so that changes are refused; otherwise 0.",
    }
    RESIDENT_MEMORY = GaugeMetric {
        name: "process_resident_memory_bytes",
        unit: "bytes",
        group: Group::Gateway,
        help: "Physical memory of the process.",
        exported: Exported::When("on Linux, if `/proc/self/statm` can be read"),
    }

    LOADS = CounterMetric {
        name: "taper_loads_total",
        unit: "loads",
        group: Group::Loading,
        labels: &[LOAD_OUTCOME],
        help: "Attempts to load a version, by outcome.",
    }
    LOAD_SECONDS = HistogramMetric {
        name: "taper_load_seconds",
        unit: "seconds",
        group: Group::Loading,
        buckets: Buckets::Fixed(&LOAD_SECONDS_BUCKETS),
        help: "Time to load a version, from opening its folder until it can serve or has failed.",
    }
    WEIGHTS_BYTES = GaugeMetric {
        name: "taper_weights_bytes",
        unit: "bytes",
        group: Group::Loading,
        help: "Memory of the weights of all versions that have not been freed.",
    }
    DRAINING_VERSIONS = GaugeMetric {
        name: "taper_draining_versions",
        unit: "versions",
        group: Group::Loading,
        help: "Versions that get no new requests and that an earlier request still holds.",
    }
    DRAINING_WEIGHTS_BYTES = GaugeMetric {
        name: "taper_draining_weights_bytes",
        unit: "bytes",
        group: Group::Loading,
        help: "Memory of the weights of draining versions. Zero proves that all retired weights have been freed.",
    }

    VERSIONS = GaugeMetric {
        name: "taper_versions",
        unit: "versions",
        group: Group::Policy,
        owner: Owner::Model,
        labels: &[STATE],
        help: "Versions of the model in each state.",
    }
    MODEL_PROBLEM = GaugeMetric {
        name: "taper_model_problem",
        unit: "none",
        group: Group::Policy,
        owner: Owner::Model,
        help: "1 while the model cannot do all that its policy wants, or a restart could not; otherwise 0. `/readyz` says why.",
    }
    REPLACED_VERSIONS = GaugeMetric {
        name: "taper_replaced_versions",
        unit: "versions",
        group: Group::Policy,
        owner: Owner::Model,
        help: "Versions in memory whose files in the registry are no longer those that were loaded.",
    }
    POLICY_REVISION = GaugeMetric {
        name: "taper_policy_revision",
        unit: "none",
        group: Group::Policy,
        owner: Owner::Model,
        help: "Revision of the traffic policy in force.",
    }
    TRAFFIC_SHARE = GaugeMetric {
        name: "taper_traffic_share",
        unit: "ratio",
        group: Group::Policy,
        owner: Owner::Version,
        help: "Share of the traffic that the policy gives to the version, 0 to 1.",
    }
    TRAFFIC_SHARE_COUNTED = GaugeMetric {
        name: "taper_traffic_share_counted",
        unit: "ratio",
        group: Group::Policy,
        owner: Owner::Version,
        help: "Share of the requests routed by the split that went to the version, since the policy revision in force took effect, 0 to 1.",
    }

    REQUESTS = CounterMetric {
        name: "taper_requests_total",
        unit: "requests",
        group: Group::Requests,
        owner: Owner::Version,
        labels: &[ROLE, CODE],
        help: "Requests by version, role and gRPC code.",
    }
    REQUEST_SECONDS = HistogramMetric {
        name: "taper_request_seconds",
        unit: "seconds",
        group: Group::Requests,
        owner: Owner::Version,
        labels: &[ROLE],
        buckets: Buckets::Fixed(&SECONDS),
        help: "Time from the decoded request to the answer, before it is encoded.",
    }
    INFERENCE_SECONDS = HistogramMetric {
        name: "taper_inference_seconds",
        unit: "seconds",
        group: Group::Requests,
        owner: Owner::Version,
        labels: &[ROLE],
        buckets: Buckets::Fixed(&SECONDS),
        help: "Duration of the forward pass.",
    }
    REQUEST_ROWS = HistogramMetric {
        name: "taper_request_rows",
        unit: "rows",
        group: Group::Requests,
        owner: Owner::Version,
        labels: &[ROLE],
        buckets: Buckets::Fixed(&ROWS),
        help: "Rows of each request that was scored.",
    }
    IN_FLIGHT_REQUESTS = GaugeMetric {
        name: "taper_in_flight_requests",
        unit: "requests",
        group: Group::Requests,
        owner: Owner::Version,
        help: "Requests that the version is answering now, and copies that it is computing as a shadow.",
    }

    PREDICTION_SCORE = HistogramMetric {
        name: "taper_prediction_score",
        unit: "unit of the output",
        group: Group::Predictions,
        owner: Owner::Version,
        labels: &[ROLE, OUTPUT],
        buckets: Buckets::PerVersion(
            "probabilities: 0.05 to 1 in steps of 0.05; numbers: at most 40 quantiles of the predictions in training, \
             or powers of ten without a reference profile",
        ),
        help: "Predicted value of each row, by output. For classes, their probability; for embeddings, their norm. \
               Class labels have none.",
    }
    PREDICTED_CLASS = CounterMetric {
        name: "taper_predicted_class_total",
        unit: "rows",
        group: Group::Predictions,
        owner: Owner::Version,
        labels: &[ROLE, CLASS],
        help: "Rows by their most probable class.",
        exported: Exported::When("if the version predicts classes"),
    }
    PREDICTION_CONFIDENCE = HistogramMetric {
        name: "taper_prediction_confidence",
        unit: "probability",
        group: Group::Predictions,
        owner: Owner::Version,
        labels: &[ROLE],
        buckets: Buckets::Fixed(&PROBABILITY),
        help: "Probability of the most probable class of each row.",
        exported: Exported::When("if the version predicts probabilities of classes"),
    }
    INSIGHT_BYTES = GaugeMetric {
        name: "taper_insight_bytes",
        unit: "bytes",
        group: Group::Predictions,
        owner: Owner::Version,
        help: "Memory of the version's statistics.",
    }

    BATCH_ROWS = HistogramMetric {
        name: "taper_batch_rows",
        unit: "rows",
        group: Group::Batching,
        owner: Owner::Version,
        buckets: Buckets::Fixed(&ROWS),
        help: "Rows per forward pass of the compute pool.",
        exported: Exported::When(QUEUED),
    }
    BATCH_REQUESTS = HistogramMetric {
        name: "taper_batch_requests",
        unit: "requests",
        group: Group::Batching,
        owner: Owner::Version,
        buckets: Buckets::Fixed(&ROWS),
        help: "Requests per forward pass of the compute pool.",
        exported: Exported::When(QUEUED),
    }
    QUEUE_ROWS = GaugeMetric {
        name: "taper_queue_rows",
        unit: "rows",
        group: Group::Batching,
        owner: Owner::Version,
        help: "Rows that wait for the compute pool.",
        exported: Exported::When(QUEUED),
    }
    QUEUE_ABANDONED = CounterMetric {
        name: "taper_queue_abandoned_total",
        unit: "requests",
        group: Group::Batching,
        owner: Owner::Version,
        labels: &[ABANDON_REASON],
        help: "Requests that left the queue without being computed, by reason.",
        exported: Exported::When(QUEUED),
    }

    SHADOW_DROPPED = CounterMetric {
        name: "taper_shadow_dropped_total",
        unit: "requests",
        group: Group::ShadowsAndFallbacks,
        owner: Owner::Version,
        labels: &[DROP_REASON],
        help: "Copies of requests that the version, as a shadow, did not score, by reason.",
        exported: Exported::When(SHADOW),
    }
    SHADOW_QUEUE_REQUESTS = GaugeMetric {
        name: "taper_shadow_queue_requests",
        unit: "requests",
        group: Group::ShadowsAndFallbacks,
        owner: Owner::Version,
        help: "Copies of requests that wait for the version as a shadow.",
        exported: Exported::When(SHADOW),
    }
    SHADOW_COMPARED_ROWS = CounterMetric {
        name: "taper_shadow_compared_rows_total",
        unit: "rows",
        group: Group::ShadowsAndFallbacks,
        owner: Owner::Version,
        labels: &[PRIMARY],
        help: "Rows that both the version, as a shadow, and the primary answered.",
        exported: Exported::When(COMPARED),
    }
    SHADOW_DISAGREED_ROWS = CounterMetric {
        name: "taper_shadow_disagreed_rows_total",
        unit: "rows",
        group: Group::ShadowsAndFallbacks,
        owner: Owner::Version,
        labels: &[PRIMARY],
        help: "Compared rows in which the most probable classes of shadow and primary differ, or the cosine of their \
               embeddings is too low.",
        exported: Exported::When(COMPARED),
    }
    FALLBACKS = CounterMetric {
        name: "taper_fallbacks_total",
        unit: "requests",
        group: Group::ShadowsAndFallbacks,
        owner: Owner::Version,
        labels: &[FALLBACK_REASON],
        help: "Requests that the fallback was asked to answer in place of the version, by reason.",
        exported: Exported::When("once a policy has a fallback for the version"),
    }

    OUTCOMES = CounterMetric {
        name: "taper_outcomes_total",
        unit: "rows",
        group: Group::Outcomes,
        owner: Owner::Version,
        labels: &[ROLE, OUTCOME_RESULT],
        help: "Rows whose outcome was reported and counted, by the version that answered and its role.",
        exported: Exported::When("from the first outcome on"),
    }
    OUTCOME_QUALITY = GaugeMetric {
        name: "taper_outcome_quality",
        unit: "unit of the measure",
        group: Group::Outcomes,
        owner: Owner::Version,
        labels: &[ROLE, QUALITY_MEASURE],
        help: "Quality of the version's predictions since it was loaded, according to the reported outcomes.",
        exported: Exported::When("from the first outcome on"),
    }
    OUTCOMES_UNMATCHED = CounterMetric {
        name: "taper_outcomes_unmatched_total",
        unit: "outcomes",
        group: Group::Outcomes,
        labels: &[UNMATCHED_REASON],
        help: "Reported outcomes that were not counted, by reason.",
    }
    OUTCOME_ROWS_LOST = CounterMetric {
        name: "taper_outcome_rows_lost_total",
        unit: "rows",
        group: Group::Outcomes,
        labels: &[LOST_REASON],
        help: "Answered rows that no outcome can be matched with any more, although they have not expired, by reason.",
    }
    OUTCOME_BUFFER_ROWS = GaugeMetric {
        name: "taper_outcome_buffer_rows",
        unit: "rows",
        group: Group::Outcomes,
        help: "Answered rows that are kept until their outcome is reported.",
    }

    FEATURE_DRIFT = GaugeMetric {
        name: "taper_feature_drift",
        unit: "unit of the statistic",
        group: Group::Drift,
        owner: Owner::Version,
        labels: &[FEATURE, DRIFT_STATISTIC],
        help: "Difference between the version's inputs as primary in the last hour and its reference profile, by statistic. NaN while there are too few rows.",
        exported: Exported::When(PROFILE),
    }
    PREDICTION_DRIFT = GaugeMetric {
        name: "taper_prediction_drift",
        unit: "unit of the statistic",
        group: Group::Drift,
        owner: Owner::Version,
        labels: &[OUTPUT, DRIFT_STATISTIC],
        help: "Difference between the version's predictions as primary in the last hour and its reference profile, by statistic. NaN while there are too few rows.",
        exported: Exported::When(PROFILE),
    }

    LOG_LINES = CounterMetric {
        name: "taper_prediction_log_lines_total",
        unit: "lines",
        group: Group::PredictionLog,
        help: "Lines written to the prediction log.",
        exported: Exported::When(LOGGED),
    }
    LOG_DROPPED = CounterMetric {
        name: "taper_prediction_log_dropped_total",
        unit: "lines",
        group: Group::PredictionLog,
        help: "Lines of the prediction log that were dropped because too many were waiting or a write failed.",
        exported: Exported::When(LOGGED),
    }
}

const QUEUED: &str = "once a request has waited for the compute pool";
const SHADOW: &str = "once a policy has the version as a shadow";
const COMPARED: &str = "once the version, as a shadow, has been compared with that primary";
const PROFILE: &str =
    "if the version has a reference profile and `insight.drift_interval_seconds` is not 0";
const LOGGED: &str = "if `prediction_log` is configured";

/// Upper bounds of the latency buckets, in seconds: 10 µs to 10 s. A small network answers in a few microseconds.
pub(super) const SECONDS: [f64; 19] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Upper bounds of the buckets of loading, in seconds: 1 ms to 10 minutes.
const LOAD_SECONDS_BUCKETS: [f64; 15] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];

/// Upper bounds of the buckets of a probability.
pub(super) const PROBABILITY: [f64; 20] = [
    0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85,
    0.9, 0.95, 1.0,
];

/// Upper bounds of the buckets of a number of rows or requests.
const ROWS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1024.0, 4096.0];
