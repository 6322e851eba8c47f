//! From a registry on disk to versions that can answer. Blocks; runs off the serving threads.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use tokio::time::Instant;

use crate::error::panic_text;
use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};
use crate::insight::metrics::{Telemetry, VersionMeters};
use crate::model::{self, Pace, Phase};
use crate::registry;
use crate::serving::live::ServingVersion;

/// All versions of one model.
#[derive(Debug)]
pub struct LoadedModel {
    /// Its name.
    pub name: ModelName,
    /// Versions that can answer.
    pub ready: BTreeMap<VersionNumber, Arc<ServingVersion>>,
    /// Versions that cannot, and why.
    pub failed: BTreeMap<VersionNumber, Arc<Faults>>,
}

/// Loads every version below `root`, in order of name and version. A version that cannot be loaded does not keep the
/// others from serving: its faults are kept with it, and logged. A folder that cannot be a model or a version is only
/// logged.
///
/// # Errors
/// If `root` or a model's folder cannot be read, so that nobody knows what there is.
pub fn load_registry(root: &Path, telemetry: &Telemetry) -> Result<Vec<LoadedModel>, Faults> {
    let mut models: BTreeMap<ModelName, LoadedModel> = BTreeMap::new();
    let scan = registry::scan(root)?;
    for fault in scan.refused.iter() {
        tracing::error!(%fault, "folder in the registry is passed over");
    }
    for found in scan.found {
        let entry = models
            .entry(found.model.clone())
            .or_insert_with(|| LoadedModel {
                name: found.model.clone(),
                ready: BTreeMap::new(),
                failed: BTreeMap::new(),
            });
        let at = (&found.model, found.version, &*found.dir);
        match load_version(at, Pace::Full, telemetry, &mut |_| {}) {
            Ok(version) => {
                tracing::info!(model = %found.model, version = %found.version, "version is ready");
                entry.ready.insert(found.version, Arc::new(version));
            }
            Err(faults) => {
                tracing::error!(model = %found.model, version = %found.version, %faults, "version failed to load");
                entry.failed.insert(found.version, Arc::new(faults));
            }
        }
    }
    Ok(models.into_values().collect())
}

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
