//! Checks the files of a manifest: paths and digests.

use std::path::{Component, Path, PathBuf};

use data_encoding::HEXLOWER;

use crate::model::manifest::File;
use crate::model::manifest::raw::RawManifest;
use crate::model::manifest::report::Report;

/// Returns the files, if all of them are valid. `needed` are the paths that the format reads.
pub(super) fn check<'a>(
    raw: &RawManifest,
    needed: impl Iterator<Item = &'a str>,
    report: &mut Report<'_>,
) -> Option<Vec<File>> {
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
    for path in needed {
        let listed = raw.files.iter().any(|file| file.path == path);
        report.require(listed, "$.files", || format!("`{path}` is missing"));
    }
    files.into_iter().collect()
}

/// Checks that `path` cannot leave the folder on any platform.
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
            "got {path:?}, wants another file: the manifest does not list itself"
        ));
    }
    Ok(path.into())
}

/// Reads a digest of 64 lower-case hexadecimal digits.
pub(super) fn digest(text: &str) -> Result<[u8; 32], String> {
    let bytes = HEXLOWER.decode(text.as_bytes()).ok();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| format!("got {text:?}, wants 64 lower-case hexadecimal digits"))
}
