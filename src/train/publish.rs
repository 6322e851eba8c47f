//! Publishes a trained version: writes its files into a staging folder, loads it like the gateway, and renames the folder.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::error::TrainError;

use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};
use crate::model;
use crate::model::manifest::File;
use crate::model::manifest::raw::{RawFile, RawManifest};
use crate::registry;

/// Returns the number for the new version: `wanted`, if it is free, or the next number. Called before training, which may take long.
pub(super) fn number(
    root: &Path,
    model: &ModelName,
    wanted: Option<VersionNumber>,
) -> Result<VersionNumber, TrainError> {
    let Some(wanted) = wanted else {
        let next = registry::next_version(root, model);
        return next.map_err(|faults| TrainError::Publish(faults.to_string()));
    };
    let place = root.join(model.as_str()).join(wanted.to_string());
    if place.symlink_metadata().is_ok() {
        let exists: registry::PublishError<Faults> = registry::PublishError::Exists(place);
        return Err(TrainError::Publish(exists.to_string()));
    }
    Ok(wanted)
}

/// Publishes `manifest`, whose list of files is replaced, with `weights`. Returns the version's folder. A version that cannot be loaded
/// never becomes visible.
pub(super) fn version(
    root: &Path,
    model: &ModelName,
    version: VersionNumber,
    mut manifest: RawManifest,
    weights: &[u8],
) -> Result<PathBuf, TrainError> {
    manifest.files = vec![RawFile {
        path: File::WEIGHTS.into(),
        sha256: HEXLOWER.encode(&Sha256::digest(weights)),
        bytes: weights.len() as u64,
    }];
    let mut text = serde_json::to_vec_pretty(&manifest)
        .map_err(|error| TrainError::Publish(format!("the manifest is not valid JSON: {error}")))?;
    text.push(b'\n');
    let fill = |staging: &Path| {
        for (name, bytes) in [(File::WEIGHTS, weights), (File::MANIFEST, &text)] {
            let file = staging.join(name);
            fs::write(&file, bytes)
                .map_err(|error| Faults::one(&file, format!("cannot be written: {error}")))?;
        }
        model::load(staging, model, version).map(drop)
    };
    let published = registry::publish(root, model, version, fill);
    published.map_err(|error| TrainError::Publish(error.to_string()))
}
