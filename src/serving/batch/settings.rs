//! The batching settings of one version.

use std::time::Duration;

use crate::model::Manifest;

/// Rows that may wait for a version, if neither the configuration nor the manifest sets a limit.
const DEFAULT_QUEUE_ROWS: usize = 65_536;

/// The batching settings of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Rows of one forward pass, at least 1. A request that has more rows is computed alone.
    pub max_batch_rows: usize,
    /// Rows that may wait, at least 1. An empty queue accepts a request of any size.
    pub max_queue_rows: usize,
    /// How long the first request waits for others while a thread is free. Zero: not at all.
    pub max_queue_delay: Duration,
}

/// Batching settings from the configuration. `None` leaves a setting to the manifest, or to its default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchingHints {
    /// See [`Batching::max_batch_rows`].
    pub max_batch_rows: Option<usize>,
    /// See [`Batching::max_queue_rows`].
    pub max_queue_rows: Option<usize>,
    /// See [`Batching::max_queue_delay`].
    pub max_queue_delay: Option<Duration>,
}

impl Batching {
    /// Returns the settings of a version. The configuration of the model takes precedence over the hints of the manifest. By
    /// default a batch is as large as a request may be, 65,536 rows may wait, and no request waits for others.
    #[must_use]
    pub fn of(manifest: &Manifest, configured: &BatchingHints) -> Self {
        let hints = &manifest.about.batching;
        let delay = |ms: u32| Duration::from_millis(ms.into());
        let batch_rows = configured.max_batch_rows.or(hints.max_batch_rows);
        let queue_rows = configured.max_queue_rows.or(hints.max_queue_rows);
        let hinted_delay = hints.max_queue_delay_ms.map(delay);
        let queue_delay = configured.max_queue_delay.or(hinted_delay);
        Self {
            max_batch_rows: batch_rows.unwrap_or(manifest.signature.max_rows),
            max_queue_rows: queue_rows.unwrap_or(DEFAULT_QUEUE_ROWS),
            max_queue_delay: queue_delay.unwrap_or_default(),
        }
    }
}
