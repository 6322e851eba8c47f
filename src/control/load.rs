//! From a folder to a version that can answer. Blocks; runs on the loader's thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use tokio::time::Instant;

use super::loader::Order;
use crate::error::panic_text;
use crate::faults::Faults;
use crate::insight::{VersionInsight, metrics::Telemetry, stats};
use crate::model::{self, Phase};
use crate::serving::version::{ServingVersion, VersionRuntime};

/// Loads what is ordered and makes its series. How it ended and how long it took is counted.
///
/// # Errors
/// There is no room for it; as [`model::load_with`]; its folder has gone meanwhile. A panic while loading is a fault, too.
pub(super) fn load_version(
    order: &Order,
    telemetry: &Telemetry,
    stats: stats::Settings,
    phase: &mut dyn FnMut(Phase),
) -> Result<VersionRuntime, Faults> {
    let dir = &*order.dir;
    timed(telemetry, dir, || {
        fits(order)?;
        let version = model::load_with(dir, &order.model, order.version, order.pace, phase)?;
        // What was read is whole, but it would come up only to be gone after the next start.
        if !dir.exists() {
            return Err(Faults::one(dir, "has gone while it was loaded"));
        }
        let insight = VersionInsight::new(telemetry, version.manifest(), stats)
            .map_err(|error| Faults::one(dir, error.to_string()))?;
        let weights = telemetry.weights(version.weight_bytes());
        Ok(VersionRuntime::with_batching(
            ServingVersion::new(version, weights),
            insight,
            &order.batching,
        ))
    })
}

/// Whether there is memory for what is ordered, the old versions beside it: asked before a byte of the weights is read.
fn fits(order: &Order) -> Result<(), Faults> {
    let Some(room) = order.room else {
        return Ok(());
    };
    let needs = model::needs(&order.dir)?;
    if needs <= room {
        return Ok(());
    }
    let told = format!(
        "needs {needs} bytes of memory while it is loaded, and {room} are left of `limits.max_weight_bytes`: unload \
         another version, or raise the limit"
    );
    Err(Faults::one(&order.dir, told))
}

/// Does `load`, whatever comes of it, and counts it.
fn timed<T>(
    telemetry: &Telemetry,
    dir: &Path,
    load: impl FnOnce() -> Result<T, Faults>,
) -> Result<T, Faults> {
    let begin = Instant::now();
    // What a panic leaves half done is the version that was being made, and nobody has that.
    let loaded = catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|panic| {
        let why = format!("loading panicked: {}", panic_text(&*panic));
        Err(Faults::one(dir, why))
    });
    telemetry.load_ended(loaded.is_ok(), begin.elapsed());
    loaded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_while_loading_is_a_fault_and_counted() {
        let telemetry = Telemetry::new().unwrap();
        let load = |text: &'static str| {
            let panics = || -> Result<(), Faults> { panic!("{text}") };
            timed(&telemetry, Path::new("m/1"), panics)
        };
        let fault = load("an index").unwrap_err().to_string();
        assert_eq!(fault, "m/1: loading panicked: an index");
        let text = telemetry.render();
        assert!(
            text.contains(r#"taper_loads_total{outcome="failed"} 1"#),
            "{text}"
        );
    }
}
