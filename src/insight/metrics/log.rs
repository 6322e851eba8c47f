//! The series of the prediction log.

use std::fmt;

use metrics::{Counter, counter};

use super::scope::Scope;

/// Handles to the series of the prediction log.
#[derive(Clone)]
pub struct LogMeters {
    written: Counter,
    dropped: Counter,
}

impl LogMeters {
    pub(super) fn new(process: &Scope) -> Self {
        process.enter(|| Self {
            written: counter!("taper_prediction_log_lines_total"),
            dropped: counter!("taper_prediction_log_dropped_total"),
        })
    }

    /// So many lines were written.
    pub fn written(&self, lines: u64) {
        self.written.increment(lines);
    }

    /// So many lines were not, because too many waited or the disk refused.
    pub fn dropped(&self, lines: u64) {
        self.dropped.increment(lines);
    }
}

impl fmt::Debug for LogMeters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogMeters")
    }
}
