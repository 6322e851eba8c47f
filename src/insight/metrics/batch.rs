//! What is told of a version whose requests wait to be computed together.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::VersionMeters;

/// Why a request left the queue without being computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abandoned {
    /// Its deadline had passed.
    Expired,
    /// Its caller had gone.
    Cancelled,
    /// It could no longer end before its deadline.
    Late,
}

impl Abandoned {
    /// The values of the label `reason`, in the order of `abandoned as usize`.
    pub const REASONS: [&str; 3] = ["expired", "cancelled", "late"];
}

/// The series of a version with a queue, made when something first waits.
pub(super) struct BatchMeters {
    rows: Histogram,
    requests: Histogram,
    queue: Gauge,
    abandoned: [Counter; Abandoned::REASONS.len()],
}

/// Rows that wait, until this is dropped.
pub struct Waiting {
    queue: Gauge,
    rows: f64,
}

impl VersionMeters {
    /// A forward pass of the pool begins: so many requests, with so many rows together.
    #[expect(
        clippy::cast_precision_loss,
        reason = "the limit on rows is far below 2^52"
    )]
    pub fn batch(&self, requests: usize, rows: usize) {
        let meters = self.batches();
        meters.rows.record(rows as f64);
        meters.requests.record(requests as f64);
        self.recorded(2);
    }

    /// So many rows wait until what is returned is dropped.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "the limit on rows is far below 2^52"
    )]
    pub fn waiting(&self, rows: usize) -> Waiting {
        let queue = self.batches().queue.clone();
        let rows = rows as f64;
        queue.increment(rows);
        Waiting { queue, rows }
    }

    /// A request left the queue without being computed.
    pub fn abandoned(&self, why: Abandoned) {
        self.batches().abandoned[why as usize].increment(1);
    }

    fn batches(&self) -> &BatchMeters {
        self.batches.get_or_init(|| {
            let abandoned = |reason| counter!("taper_queue_abandoned_total", "reason" => reason);
            self.scope.enter(|| BatchMeters {
                rows: histogram!("taper_batch_rows"),
                requests: histogram!("taper_batch_requests"),
                queue: gauge!("taper_queue_rows"),
                abandoned: Abandoned::REASONS.map(abandoned),
            })
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.queue.decrement(self.rows);
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waiting")
    }
}
