//! How the requests of one version are put together.

use std::time::Duration;

use crate::model::Manifest;

/// Rows that wait for a version at most, where nobody says.
const QUEUE_ROWS: usize = 65_536;

/// How the requests of one version are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Rows of one forward pass, at least 1. A request that has more by itself is computed alone.
    pub max_batch_rows: usize,
    /// Rows that wait at most, at least 1. An empty queue takes any request.
    pub max_queue_rows: usize,
    /// How long the first request waits for others while a thread is free. Zero: not at all.
    pub max_queue_delay: Duration,
}

/// What somebody says about it; `None`: nothing.
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
    /// What the configuration says of the model, before what the manifest hints at. Without either a batch is as large as a
    /// request may be, 65,536 rows may wait, and nobody waits for others.
    #[must_use]
    pub fn of(manifest: &Manifest, configured: &BatchingHints) -> Self {
        let hints = &manifest.about.batching;
        let delay = |ms: u32| Duration::from_millis(ms.into());
        let rows = configured.max_batch_rows.or(hints.max_batch_rows);
        let queue = configured.max_queue_rows.or(hints.max_queue_rows);
        let hinted = hints.max_queue_delay_ms.map(delay);
        Self {
            max_batch_rows: rows.unwrap_or(manifest.signature.max_rows),
            max_queue_rows: queue.unwrap_or(QUEUE_ROWS),
            max_queue_delay: configured.max_queue_delay.or(hinted).unwrap_or_default(),
        }
    }
}
