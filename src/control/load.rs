//! Loads a version from its folder. Blocks; runs on the loader's thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use tokio::time::Instant;

use super::load_request::LoadRequest;
use crate::error::panic_text;
use crate::faults::Faults;
use crate::insight::{VersionInsight, metrics::Telemetry, stats};
use crate::model::manifest::{File, Manifest};
use crate::model::{self, Phase, VersionDigest};
use crate::serving::version::{ServingVersion, VersionRuntime};

/// Loads the requested version and creates its metric series. Records the outcome and the duration.
///
/// # Errors
/// Returns an error if there is not enough memory, if [`model::load_with`] fails, if the folder is removed meanwhile, or if
/// loading panics.
pub(super) fn load_version(
    request: &LoadRequest,
    telemetry: &Telemetry,
    stats: stats::Settings,
    phase: &mut dyn FnMut(Phase),
) -> Result<VersionRuntime, Faults> {
    let dir = &*request.dir;
    record_load(telemetry, dir, || {
        check_memory(request)?;
        if request.expected.is_some() {
            // Before its files are read.
            check_unchanged(request, Manifest::read(dir)?.digest)?;
        }
        let version = model::load_with(
            dir,
            &request.model,
            request.version,
            &request.options,
            phase,
        )?;
        check_unchanged(request, version.manifest().digest)?;
        // All files were read, but the version would be missing after a restart.
        if !dir.exists() {
            return Err(Faults::one(dir, "was removed while it was loaded"));
        }
        let insight = VersionInsight::new(telemetry, version.manifest(), stats)
            .map_err(|error| Faults::one(dir, error.to_string()))?;
        let weights = telemetry.weights(version.weight_bytes());
        Ok(VersionRuntime::with_batching(
            ServingVersion::new(version, weights),
            insight,
            &request.batching,
        ))
    })
}

/// Checks that the version is the one that was READY under this number.
fn check_unchanged(request: &LoadRequest, found: VersionDigest) -> Result<(), Faults> {
    let Some(expected) = request.expected.filter(|expected| *expected != found) else {
        return Ok(());
    };
    let (model, version) = (&request.model, request.version);
    let message = format!(
        "was replaced: it has sha256 {found}, and {expected} when version {version} was READY. A published version never changes: \
         put the earlier files back, publish these under another number, or run `taper versions accept {version} --model {model}`"
    );
    Err(Faults::one(request.dir.join(File::MANIFEST), message))
}

/// Checks that the version fits into memory beside those already there, before any of its weights are read.
fn check_memory(request: &LoadRequest) -> Result<(), Faults> {
    let Some(room) = request.room else {
        return Ok(());
    };
    let needs = model::memory_to_load(&request.dir, &request.options.stores)?;
    if needs <= room {
        return Ok(());
    }
    let message = format!(
        "needs {needs} bytes of memory while it is loaded, and {room} are left of `limits.max_weight_bytes`: unload \
         another version, or raise the limit"
    );
    Err(Faults::one(&request.dir, message))
}

/// Runs `load`, turns a panic into a fault, and records the outcome and the duration.
fn record_load<T>(
    telemetry: &Telemetry,
    dir: &Path,
    load: impl FnOnce() -> Result<T, Faults>,
) -> Result<T, Faults> {
    let begin = Instant::now();
    // A panic can leave only the new version incomplete, and nothing refers to that yet.
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
            record_load(&telemetry, Path::new("m/1"), panics)
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
