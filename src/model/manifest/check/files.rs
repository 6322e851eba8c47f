//! Files: where they are and what they hash to.

use std::path::{Component, Path, PathBuf};

use data_encoding::HEXLOWER;

use super::Report;
use crate::model::manifest::File;
use crate::model::manifest::raw::{Format, RawManifest};

pub(super) fn check(raw: &RawManifest, report: &mut Report<'_>) -> Option<Vec<File>> {
    let files: Vec<_> = raw
        .files
        .iter()
        .enumerate()
        .map(|(at, file)| {
            let path = report.parsed(&format!("$.files[{at}].path"), plain(&file.path));
            let sha256 = report.parsed(&format!("$.files[{at}].sha256"), digest(&file.sha256));
            Some(File {
                path: path?,
                sha256: sha256?,
                bytes: file.bytes,
            })
        })
        .collect();
    let paths = raw.files.iter().map(|file| file.path.as_str());
    report.unique(|at| format!("$.files[{at}].path"), paths);
    let weights = match raw.format {
        Format::Dense => File::WEIGHTS,
    };
    let listed = raw.files.iter().any(|file| file.path == weights);
    report.require(listed, "$.files", || format!("`{weights}` is missing"));
    files.into_iter().collect()
}

/// A path that cannot leave the folder, whatever the platform.
fn plain(path: &str) -> Result<PathBuf, String> {
    let plain = !path.is_empty()
        && path.len() <= 255
        && !path.contains(['\\', '\0', ':'])
        && path
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..")
        && Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
    if !plain {
        return Err(format!(
            "got {path:?}, wants a plain path inside the version's folder"
        ));
    }
    if path == File::MANIFEST {
        return Err(format!(
            "got {path:?}, wants every file but the manifest itself"
        ));
    }
    Ok(path.into())
}

/// 64 lower-case hexadecimal digits.
pub(super) fn digest(text: &str) -> Result<[u8; 32], String> {
    let bytes = HEXLOWER.decode(text.as_bytes()).ok();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| format!("got {text:?}, wants 64 lower-case hexadecimal digits"))
}
