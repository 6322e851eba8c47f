//! All that is observed of one loaded version.

use std::sync::Arc;

use super::compare::{Comparisons, Pair};
use super::metrics::{MetricsError, Telemetry, VersionMeters};
use super::outcomes::VersionQuality;
use super::prediction_log::Subject;
use super::stats::{self, VersionStats};
use crate::model::manifest::Manifest;

/// What is observed of one loaded version: statistics, outcome quality, comparisons, and what the prediction log needs to know.
///
/// It contains no weights, so a reader may keep it while the version is freed. Its series end when it is dropped.
#[derive(Debug)]
pub struct VersionInsight {
    /// Counts and distributions of requests, inputs and predictions, by role and window.
    pub stats: VersionStats,
    /// Its answers as a shadow, compared with those of each primary.
    pub comparisons: Comparisons,
    /// Its metric series. Write-only: nothing is decided from them.
    pub meters: VersionMeters,
    quality: Arc<VersionQuality>,
    subject: Arc<Subject>,
}

impl VersionInsight {
    /// Creates the insight of a version that nothing has been observed of, and registers its series.
    ///
    /// # Errors
    /// Returns an error if the exporter refuses the buckets of the histograms.
    pub fn new(
        telemetry: &Telemetry,
        manifest: &Manifest,
        stats: stats::Settings,
    ) -> Result<Self, MetricsError> {
        let signature = &manifest.signature;
        let meters = VersionMeters::new(telemetry, manifest)?;
        Ok(Self {
            stats: VersionStats::new(signature, stats),
            comparisons: Comparisons::new(signature),
            quality: VersionQuality::new(signature, meters.outcomes()),
            subject: Arc::new(Subject::new(manifest)),
            meters,
        })
    }

    /// Returns the quality of its answers, by the outcomes reported for them.
    #[must_use]
    pub fn quality(&self) -> &Arc<VersionQuality> {
        &self.quality
    }

    /// Returns what the prediction log needs to know of it.
    #[must_use]
    pub fn subject(&self) -> &Arc<Subject> {
        &self.subject
    }

    /// Records one request that a primary and this version, as its shadow, both answered.
    pub fn compare(&self, pair: &Pair<'_>) {
        self.comparisons.record(pair, &self.meters);
    }

    /// Updates the gauge of the memory that its statistics take.
    pub fn report_memory(&self) {
        self.meters.statistics_bytes(self.stats.heap_bytes());
    }
}
