//! The series of the process: what was refused before a version was chosen, loading, and memory.

use std::{
    fmt, fs,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use metrics::{Counter, Gauge, Histogram};
use metrics_exporter_prometheus::BuildError;

use super::labels::LOAD_OUTCOMES;
use super::reasons::{CallScope, CloseReason, LimitedService, MessageFault, UnsentReason};
use super::scope::Scope;
use super::table;
use crate::error::PredictError;

/// Handles to the series that belong to no model.
pub(super) struct Process {
    pub(super) scope: Scope,
    rejected: [Counter; PredictError::REASONS.len()],
    unreadable: [Counter; MessageFault::REASONS.len()],
    admitted: Gauge,
    admitted_bytes: Gauge,
    unsent: [Counter; UnsentReason::REASONS.len()],
    refused_connections: Counter,
    closed_connections: [Counter; CloseReason::REASONS.len()],
    /// By service and scope.
    refused_calls: [[Counter; CallScope::SCOPES.len()]; LimitedService::ALL.len()],
    dropped_log_lines: Counter,
    repeated_log_lines: Counter,
    state_folder_lost: Gauge,
    ready: Counter,
    failed: Counter,
    load_seconds: Histogram,
    weights: WeightGauges,
    /// Registered with the first successful reading, so that no series reports zero where the size is unknown.
    resident: OnceLock<Gauge>,
}

/// The gauges of weights in memory.
#[derive(Clone)]
struct WeightGauges {
    bytes: Gauge,
    draining: Gauge,
    draining_bytes: Gauge,
}

impl Process {
    pub(super) fn new() -> Result<Self, BuildError> {
        let scope = Scope::new(&[], &[])?;
        scope
            .gauge_with(&table::BUILD_INFO, [env!("CARGO_PKG_VERSION")])
            .set(1.0);
        let rejected = |reason| scope.counter_with(&table::REJECTED_REQUESTS, [reason]);
        let closed = |reason| scope.counter_with(&table::CLOSED_CONNECTIONS, [reason]);
        let refused = |service: LimitedService| {
            let labels = |at| [service.as_str(), at];
            CallScope::SCOPES.map(|at| scope.counter_with(&table::REFUSED_CALLS, labels(at)))
        };
        let unsent = |reason| scope.counter_with(&table::UNSENT_ANSWERS, [reason]);
        let loads = |outcome| scope.counter_with(&table::LOADS, [outcome]);
        let [ready, failed] = LOAD_OUTCOMES.map(loads);
        let process = Self {
            rejected: PredictError::REASONS.map(rejected),
            unreadable: MessageFault::REASONS.map(rejected),
            admitted: scope.gauge(&table::ADMITTED_REQUESTS),
            admitted_bytes: scope.gauge(&table::ADMITTED_BYTES),
            unsent: UnsentReason::REASONS.map(unsent),
            refused_connections: scope.counter(&table::REFUSED_CONNECTIONS),
            closed_connections: CloseReason::REASONS.map(closed),
            refused_calls: LimitedService::ALL.map(refused),
            dropped_log_lines: scope.counter(&table::DROPPED_LOG_LINES),
            repeated_log_lines: scope.counter(&table::REPEATED_LOG_LINES),
            state_folder_lost: scope.gauge(&table::STATE_FOLDER_LOST),
            ready,
            failed,
            load_seconds: scope.histogram(&table::LOAD_SECONDS),
            weights: WeightGauges {
                bytes: scope.gauge(&table::WEIGHTS_BYTES),
                draining: scope.gauge(&table::DRAINING_VERSIONS),
                draining_bytes: scope.gauge(&table::DRAINING_WEIGHTS_BYTES),
            },
            resident: OnceLock::new(),
            scope,
        };
        process.update_memory();
        Ok(process)
    }

    pub(super) fn rejected(&self, error: &PredictError) {
        let reason = error.reason();
        if let Some(at) = PredictError::REASONS
            .iter()
            .position(|known| *known == reason)
        {
            self.rejected[at].increment(1);
        }
    }

    pub(super) fn unreadable(&self, fault: MessageFault) {
        self.unreadable[fault as usize].increment(1);
    }

    pub(super) fn admitted(&self, requests: usize, bytes: usize) {
        for (gauge, value) in [(&self.admitted, requests), (&self.admitted_bytes, bytes)] {
            gauge.set(as_f64(u64::try_from(value).unwrap_or(u64::MAX)));
        }
    }

    pub(super) fn unsent(&self, reason: UnsentReason) {
        self.unsent[reason as usize].increment(1);
    }

    pub(super) fn refused_connection(&self) {
        self.refused_connections.increment(1);
    }

    pub(super) fn closed_connection(&self, reason: CloseReason) {
        self.closed_connections[reason as usize].increment(1);
    }

    pub(super) fn refused_call(&self, service: LimitedService, scope: CallScope) {
        self.refused_calls[service as usize][scope as usize].increment(1);
    }

    pub(super) fn unwritten_log_lines(&self, dropped: u64, repeated: u64) {
        self.dropped_log_lines.absolute(dropped);
        self.repeated_log_lines.absolute(repeated);
    }

    pub(super) fn state_folder_lost(&self, is_lost: bool) {
        self.state_folder_lost.set(f64::from(u8::from(is_lost)));
    }

    pub(super) fn load_ended(&self, ready: bool, duration: Duration) {
        let counter = if ready { &self.ready } else { &self.failed };
        counter.increment(1);
        self.load_seconds.record(duration);
    }

    pub(super) fn weights(&self, bytes: u64) -> Weights {
        let gauges = self.weights.clone();
        gauges.bytes.increment(as_f64(bytes));
        Weights {
            bytes,
            draining: AtomicBool::new(false),
            gauges,
        }
    }

    /// Updates the gauge of resident memory, where the system reports it.
    pub(super) fn update_memory(&self) {
        if let Some(bytes) = resident_bytes() {
            let register = || self.scope.gauge(&table::RESIDENT_MEMORY);
            self.resident.get_or_init(register).set(as_f64(bytes));
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Process")
    }
}

/// Weights in memory, counted by the gauges until this value is dropped. Drop it after the weights themselves, so that the
/// gauges prove what was freed.
pub struct Weights {
    bytes: u64,
    draining: AtomicBool,
    gauges: WeightGauges,
}

impl Weights {
    /// Counts the weights as draining: no new request gets them, and they are freed after the last request that holds them.
    /// Later calls have no effect.
    pub fn draining(&self) {
        if !self.draining.swap(true, Ordering::Relaxed) {
            self.gauges.draining.increment(1.0);
            self.gauges.draining_bytes.increment(as_f64(self.bytes));
        }
    }
}

impl Drop for Weights {
    fn drop(&mut self) {
        if *self.draining.get_mut() {
            self.gauges.draining.decrement(1.0);
            self.gauges.draining_bytes.decrement(as_f64(self.bytes));
        }
        self.gauges.bytes.decrement(as_f64(self.bytes));
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Weights({} bytes)", self.bytes)
    }
}

/// Returns the bytes of this process in physical memory, or `None` if /proc does not report them.
#[cfg(target_os = "linux")]
fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    second_number(&text)?.checked_mul(page)
}

#[cfg(not(target_os = "linux"))]
fn resident_bytes() -> Option<u64> {
    None
}

/// Returns `resident` from the format of `statm`, `size resident shared text lib data dt` in pages:
/// <https://man7.org/linux/man-pages/man5/proc_pid_statm.5.html>
fn second_number(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 bytes")]
fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_number_of_statm_is_resident_memory() {
        assert_eq!(second_number("5120 640 320 1 0 900 0\n"), Some(640));
        assert_eq!(second_number("5120"), None);
    }
}
