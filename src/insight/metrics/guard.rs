//! A part of a gauge that ends with its owner.

use std::fmt;

use metrics::Gauge;

/// Holds a gauge up by a fixed amount until it is dropped.
pub struct GaugeGuard {
    gauge: Gauge,
    amount: f64,
}

impl GaugeGuard {
    /// Adds `amount` to `gauge`.
    pub(super) fn new(gauge: Gauge, amount: f64) -> Self {
        gauge.increment(amount);
        Self { gauge, amount }
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.gauge.decrement(self.amount);
    }
}

impl fmt::Debug for GaugeGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GaugeGuard")
    }
}
