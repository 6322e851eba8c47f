//! The metrics: functions named after events, and the Prometheus text of everything that they count.
//!
//! `table` lists every metric. The exporter never removes a series, so each version and each model has an exporter of
//! its own, which is freed with it; [`Telemetry::render`] merges their texts. Every label value comes from the registry or
//! from a closed set: a client can never create a series.
//!
//! This folder is write-only. Decisions use the statistics in [`stats`](super::stats), never a metric.

mod batch;
mod drift;
mod guard;
mod labels;
mod log;
mod merge;
mod metric;
mod model;
mod outcomes;
#[cfg(test)]
mod page;
mod process;
mod reasons;
mod scope;
mod score_buckets;
mod shadows_or_fallback;
mod table;
mod telemetry;
#[cfg(test)]
mod tests;
mod version;

pub use guard::GaugeGuard;
pub use labels::{Label, Values};
pub use log::LogMeters;
pub use metric::{Buckets, Exported, Group, Kind, Metric, Owner};
pub use model::ModelMeters;
pub use outcomes::{JoinedCounter, OutcomeMeters, QualityMeters};
pub use process::Weights;
pub use reasons::{
    AbandonReason, CallScope, CloseReason, DropReason, FallbackReason, LimitedService,
    MessageFault, STATES, UnsentReason,
};
pub use shadows_or_fallback::ComparedMeters;
pub use table::METRICS;
pub use telemetry::{MetricsError, Telemetry};
pub use version::VersionMeters;
