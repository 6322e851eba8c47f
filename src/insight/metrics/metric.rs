//! The form of a row in the table of metrics.

use super::labels::{Label, MODEL, VERSION};

/// One metric: a row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Name of the metric, without the suffixes that the text format gives to the series of a histogram.
    pub name: &'static str,
    /// Its type in Prometheus.
    pub kind: Kind,
    /// Unit of its value.
    pub unit: &'static str,
    /// Section of the page.
    pub group: Group,
    /// What its series belong to. Each series carries the labels of the owner before [`labels`](Self::labels).
    pub owner: Owner,
    /// Labels besides those of the owner.
    pub labels: &'static [Label],
    /// The upper bounds of its buckets, for histograms.
    pub buckets: Buckets,
    /// Its meaning in one or two sentences: the `HELP` line of the text format.
    pub help: &'static str,
    /// When its series exist.
    pub exported: Exported,
}

impl Metric {
    /// Returns all labels of its series: those of the owner, then its own.
    pub fn all_labels(&self) -> impl Iterator<Item = &Label> {
        self.owner.labels().iter().chain(self.labels)
    }
}

/// The type of a metric in Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value that only grows. It starts at zero with its owner.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// A distribution, counted in buckets.
    Histogram,
}

impl Kind {
    /// Returns the word of the `TYPE` line in the text format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A section of the page of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The process, refused requests and refused connections.
    Gateway,
    /// Loading versions and freeing their weights.
    Loading,
    /// States of versions and the policy in force.
    Policy,
    /// Requests, by version.
    Requests,
    /// The distribution of what versions predict.
    Predictions,
    /// Queues and batches of the compute pool.
    Batching,
    /// Shadows and fallbacks.
    ShadowsAndFallbacks,
    /// Reported outcomes.
    Outcomes,
    /// Drift against the reference profile.
    Drift,
    /// The prediction log.
    PredictionLog,
}

impl Group {
    /// Returns the heading of the section.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Gateway => "Gateway",
            Self::Loading => "Loading and memory",
            Self::Policy => "Models and traffic policy",
            Self::Requests => "Requests",
            Self::Predictions => "Predictions",
            Self::Batching => "Batching",
            Self::ShadowsAndFallbacks => "Shadows and fallbacks",
            Self::Outcomes => "Outcomes",
            Self::Drift => "Drift",
            Self::PredictionLog => "Prediction log",
        }
    }
}

/// What the series of a metric belong to. When the owner goes, its series go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The gateway.
    Process,
    /// A model.
    Model,
    /// A version in memory.
    Version,
}

impl Owner {
    /// Returns the labels that every series of this owner carries.
    #[must_use]
    pub const fn labels(self) -> &'static [Label] {
        match self {
            Self::Process => &[],
            Self::Model => &[MODEL],
            Self::Version => &[MODEL, VERSION],
        }
    }
}

/// The upper bounds of the buckets of a histogram, ascending. The last bucket, `+Inf`, is not listed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Buckets {
    /// The metric is not a histogram.
    None,
    /// The same for all versions.
    Fixed(&'static [f64]),
    /// Chosen when the version is loaded; the text says how.
    PerVersion(&'static str),
}

/// When the series of a metric exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exported {
    /// They exist as long as their owner.
    Always,
    /// They exist under this condition.
    When(&'static str),
}

/// Row of a metric that is registered as a counter.
#[derive(Clone, Copy, Debug)]
pub(super) struct CounterMetric(pub(super) Metric);

/// Row of a metric that is registered as a gauge.
#[derive(Clone, Copy, Debug)]
pub(super) struct GaugeMetric(pub(super) Metric);

/// Row of a metric that is registered as a histogram.
#[derive(Clone, Copy, Debug)]
pub(super) struct HistogramMetric(pub(super) Metric);

impl CounterMetric {
    pub(super) const KIND: Kind = Kind::Counter;
}

impl GaugeMetric {
    pub(super) const KIND: Kind = Kind::Gauge;
}

impl HistogramMetric {
    pub(super) const KIND: Kind = Kind::Histogram;
}
