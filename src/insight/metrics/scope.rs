//! The exporter of one owner of series: the gateway, a model or a version.

use std::fmt;

use metrics::{
    Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder as _, SharedString,
};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use super::metric::{Buckets, CounterMetric, GaugeMetric, HistogramMetric, Kind, Metric};
use super::table::METRICS;

/// Required by the metrics facade. The exporter does not use it.
const METADATA: Metadata<'_> = Metadata::new(module_path!(), Level::INFO, None);

/// Series that are created and removed together.
pub(super) struct Scope {
    /// Labels that every series carries. No two living scopes have the same.
    pub(super) labels: Vec<Label>,
    recorder: PrometheusRecorder,
    pub(super) handle: PrometheusHandle,
}

impl Scope {
    /// Creates the exporter of the owner that `labels` name. `score_buckets` are the buckets of histograms that are
    /// [chosen for each version](Buckets::PerVersion).
    ///
    /// # Errors
    /// Returns an error if the exporter refuses a list of buckets.
    pub(super) fn new(labels: &[Label], score_buckets: &[f64]) -> Result<Self, BuildError> {
        let owned: Vec<&Metric> = METRICS
            .iter()
            .filter(|metric| is_owner(metric, labels))
            .collect();
        let mut builder = PrometheusBuilder::new();
        for metric in &owned {
            let buckets = match metric.buckets {
                Buckets::None => &[],
                Buckets::Fixed(bounds) => bounds,
                Buckets::PerVersion(_) => score_buckets,
            };
            if !buckets.is_empty() {
                builder =
                    builder.set_buckets_for_metric(Matcher::Full(metric.name.into()), buckets)?;
            }
        }
        for label in labels {
            builder = builder.add_global_label(label.key(), label.value());
        }
        let recorder = builder.build_recorder();
        owned.iter().for_each(|metric| describe(&recorder, metric));
        Ok(Self {
            labels: labels.to_vec(),
            handle: recorder.handle(),
            recorder,
        })
    }

    /// Returns the series of a counter without labels of its own.
    pub(super) fn counter(&self, row: &CounterMetric) -> Counter {
        self.counter_with(row, [""; 0])
    }

    /// Returns the series of a counter that has these values of the row's labels.
    pub(super) fn counter_with<V, const N: usize>(
        &self,
        row: &CounterMetric,
        values: [V; N],
    ) -> Counter
    where
        V: Into<SharedString>,
    {
        self.recorder
            .register_counter(&key(&row.0, values), &METADATA)
    }

    /// Returns the series of a gauge without labels of its own.
    pub(super) fn gauge(&self, row: &GaugeMetric) -> Gauge {
        self.gauge_with(row, [""; 0])
    }

    /// Returns the series of a gauge that has these values of the row's labels.
    pub(super) fn gauge_with<V, const N: usize>(&self, row: &GaugeMetric, values: [V; N]) -> Gauge
    where
        V: Into<SharedString>,
    {
        self.recorder
            .register_gauge(&key(&row.0, values), &METADATA)
    }

    /// Returns the series of a histogram without labels of its own.
    pub(super) fn histogram(&self, row: &HistogramMetric) -> Histogram {
        self.histogram_with(row, [""; 0])
    }

    /// Returns the series of a histogram that has these values of the row's labels.
    pub(super) fn histogram_with<V, const N: usize>(
        &self,
        row: &HistogramMetric,
        values: [V; N],
    ) -> Histogram
    where
        V: Into<SharedString>,
    {
        self.recorder
            .register_histogram(&key(&row.0, values), &METADATA)
    }
}

impl Drop for Scope {
    /// Moves the last recorded values out of the exporter's buffers. The exporter would leak them, some kilobytes for each
    /// version that is freed.
    fn drop(&mut self) {
        self.handle.run_upkeep();
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scope")
    }
}

/// Returns whether series of `metric` belong to the owner that `labels` name.
fn is_owner(metric: &Metric, labels: &[Label]) -> bool {
    let owner = metric.owner.labels().iter().map(|label| label.name);
    owner.eq(labels.iter().map(Label::key))
}

fn describe(recorder: &PrometheusRecorder, metric: &Metric) {
    let help = SharedString::const_str(metric.help);
    match metric.kind {
        Kind::Counter => recorder.describe_counter(metric.name.into(), None, help),
        Kind::Gauge => recorder.describe_gauge(metric.name.into(), None, help),
        Kind::Histogram => recorder.describe_histogram(metric.name.into(), None, help),
    }
}

/// Returns the name and labels of one series of `metric`. `values` are those of the metric's own labels, in the order of the
/// table.
fn key<V: Into<SharedString>, const N: usize>(metric: &Metric, values: [V; N]) -> Key {
    debug_assert_eq!(metric.labels.len(), N, "labels of {}", metric.name);
    let labels = metric.labels.iter().zip(values);
    let labels: Vec<Label> = labels
        .map(|(label, value)| {
            let value = value.into();
            debug_assert!(
                label.values.accept(&value),
                "{}: the table does not list {} = {value}",
                metric.name,
                label.name
            );
            Label::new(label.name, value)
        })
        .collect();
    Key::from_parts(metric.name, labels)
}
