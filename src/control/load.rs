//! From a folder to a version that can answer. Blocks; runs on the loader's thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use tokio::time::Instant;

use crate::error::panic_text;
use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};
use crate::insight::metrics::{Telemetry, VersionMeters};
use crate::model::{self, Pace, Phase};
use crate::serving::live::ServingVersion;

/// Loads one version and makes its series. How it ended and how long it took is counted.
///
/// # Errors
/// As [`model::load_with`]; a panic while loading is a fault, too.
pub(super) fn load_version(
    (name, version, dir): (&ModelName, VersionNumber, &Path),
    pace: Pace,
    telemetry: &Telemetry,
    phase: &mut dyn FnMut(Phase),
) -> Result<ServingVersion, Faults> {
    timed(telemetry, dir, || {
        let version = model::load_with(dir, name, version, pace, phase)?;
        let meters = VersionMeters::new(telemetry, version.manifest())
            .map_err(|error| Faults::one(dir, error.to_string()))?;
        let weights = telemetry.weights(version.weight_bytes());
        Ok(ServingVersion::new(version, meters, weights))
    })
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
