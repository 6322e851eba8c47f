//! From a registry on disk to versions that can answer. Blocks; runs off the serving threads.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};
use crate::insight::metrics::{Telemetry, VersionMeters};
use crate::model;
use crate::registry::{self, Found};
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
        match load_version(&found, telemetry) {
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

fn load_version(found: &Found, telemetry: &Telemetry) -> Result<ServingVersion, Faults> {
    let version = model::load(&found.dir, &found.model, found.version)?;
    let meters = VersionMeters::new(telemetry, version.manifest())
        .map_err(|error| Faults::one(&found.dir, error.to_string()))?;
    Ok(ServingVersion { version, meters })
}
