//! The series of the process as a whole: what was refused before a version was chosen, loading, and memory.

use std::{
    fmt, fs,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::scope::Scope;
use super::{MetricsError, Unreadable};
use crate::error::PredictError;

/// Handles to the series that have no model.
pub(super) struct Process {
    pub(super) scope: Scope,
    rejected: [Counter; PredictError::REASONS.len()],
    unreadable: [Counter; 3],
    refused_connections: Counter,
    ready: Counter,
    failed: Counter,
    load_seconds: Histogram,
    weights: Gauges,
    /// Made by the first look that finds a number: no series is better than one that is always zero.
    resident: OnceLock<Gauge>,
}

/// What is known of weights in memory.
#[derive(Clone)]
struct Gauges {
    bytes: Gauge,
    draining: Gauge,
    draining_bytes: Gauge,
}

impl Process {
    pub(super) fn new() -> Result<Self, MetricsError> {
        let scope = Scope::new(&[], &[])?;
        let register = || {
            gauge!("taper_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
            let rejected = |reason| counter!("taper_rejected_requests_total", "reason" => reason);
            let loads = |outcome| counter!("taper_loads_total", "outcome" => outcome);
            (
                PredictError::REASONS.map(rejected),
                ["MESSAGE_TOO_LARGE", "MALFORMED_MESSAGE", "MESSAGE_TOO_SLOW"].map(rejected),
                counter!("taper_refused_connections_total"),
                ["ready", "failed"].map(loads),
                histogram!("taper_load_seconds"),
                Gauges {
                    bytes: gauge!("taper_weights_bytes"),
                    draining: gauge!("taper_draining_versions"),
                    draining_bytes: gauge!("taper_draining_weights_bytes"),
                },
            )
        };
        let (rejected, unreadable, refused_connections, [ready, failed], load_seconds, weights) =
            scope.enter(register);
        let process = Self {
            scope,
            rejected,
            unreadable,
            refused_connections,
            ready,
            failed,
            load_seconds,
            weights,
            resident: OnceLock::new(),
        };
        process.look_at_memory();
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

    pub(super) fn unreadable(&self, why: Unreadable) {
        self.unreadable[why as usize].increment(1);
    }

    pub(super) fn refused_connection(&self) {
        self.refused_connections.increment(1);
    }

    pub(super) fn load_ended(&self, ready: bool, took: Duration) {
        let counter = if ready { &self.ready } else { &self.failed };
        counter.increment(1);
        self.load_seconds.record(took);
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

    /// Brings the gauge of resident memory up to date, where the system tells it.
    pub(super) fn look_at_memory(&self) {
        if let Some(bytes) = resident() {
            let register = || self.scope.enter(|| gauge!("process_resident_memory_bytes"));
            self.resident.get_or_init(register).set(as_f64(bytes));
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Process")
    }
}

/// Weights in memory, as the gauges count them: from the moment this is made until it is dropped, which must be after the
/// weights themselves are. So the gauges prove what was freed.
pub struct Weights {
    bytes: u64,
    draining: AtomicBool,
    gauges: Gauges,
}

impl Weights {
    /// Nobody new gets them; they stay until the last request that holds them has ended. Telling it again changes nothing.
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

/// Bytes of this process that are in physical memory; `None` where /proc does not tell.
#[cfg(target_os = "linux")]
fn resident() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    second_number(&text)?.checked_mul(page)
}

#[cfg(not(target_os = "linux"))]
fn resident() -> Option<u64> {
    None
}

/// `statm` is `size resident shared text lib data dt`, in pages: <https://man7.org/linux/man-pages/man5/proc_pid_statm.5.html>
fn second_number(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 bytes")]
fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::super::Telemetry;
    use super::*;

    /// The values of the gauges that begin with `prefix`, in order of their names.
    fn values(telemetry: &Telemetry, prefix: &str) -> Vec<f64> {
        let text = telemetry.render();
        let samples = text.lines().filter(|line| line.starts_with(prefix));
        samples
            .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
            .collect()
    }

    #[test]
    fn weights_count_from_their_coming_to_their_going() {
        let telemetry = Telemetry::new().unwrap();
        let now = || {
            let [draining, all] = ["taper_draining_", "taper_weights_bytes"];
            [values(&telemetry, draining), values(&telemetry, all)].concat()
        };
        assert_eq!(now(), [0.0, 0.0, 0.0]);
        let (old, new) = (telemetry.weights(1 << 40), telemetry.weights(3));
        assert_eq!(now(), [0.0, 0.0, 1_099_511_627_779.0]);
        old.draining();
        old.draining();
        assert_eq!(now(), [1.0, 1_099_511_627_776.0, 1_099_511_627_779.0]);
        drop(old);
        assert_eq!(now(), [0.0, 0.0, 3.0], "not a byte is left over");
        drop(new);
        assert_eq!(now(), [0.0, 0.0, 0.0]);
    }

    #[test]
    fn loads_are_counted_by_their_end_and_timed() {
        let telemetry = Telemetry::new().unwrap();
        telemetry.load_ended(true, Duration::from_secs(400));
        telemetry.load_ended(false, Duration::from_millis(1));
        telemetry.load_ended(false, Duration::from_millis(1));
        let text = telemetry.render();
        for line in [
            r#"taper_loads_total{outcome="ready"} 1"#,
            r#"taper_loads_total{outcome="failed"} 2"#,
            r#"taper_load_seconds_bucket{le="300"} 2"#,
            r#"taper_load_seconds_bucket{le="600"} 3"#,
        ] {
            assert!(text.lines().any(|have| have == line), "{line} in {text}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn resident_memory_is_read_in_bytes() {
        assert_eq!(second_number("5120 640 320 1 0 900 0\n"), Some(640));
        assert_eq!(second_number("5120"), None);
        let telemetry = Telemetry::new().unwrap();
        let told = values(&telemetry, "process_resident_memory_bytes")[0];
        assert!((1e6..1e12).contains(&told), "{told}");
    }
}
