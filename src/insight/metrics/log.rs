//! The series of the prediction log.

use std::fmt;

use metrics::Counter;

use super::scope::Scope;
use super::table;

/// Handles to the series of the prediction log.
#[derive(Clone)]
pub struct LogMeters {
    written: Counter,
    dropped: Counter,
}

impl LogMeters {
    pub(super) fn new(process: &Scope) -> Self {
        Self {
            written: process.counter(&table::LOG_LINES),
            dropped: process.counter(&table::LOG_DROPPED),
        }
    }

    /// Counts lines that were written.
    pub fn written(&self, lines: u64) {
        self.written.increment(lines);
    }

    /// Counts lines that were dropped because too many were waiting or a write failed.
    pub fn dropped(&self, lines: u64) {
        self.dropped.increment(lines);
    }
}

impl fmt::Debug for LogMeters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogMeters")
    }
}
