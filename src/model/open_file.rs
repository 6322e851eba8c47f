//! Opens the files of a version: only regular files inside its folder.

use std::fs;
use std::path::Path;

/// Opens the file at `path`, relative to `dir`. The file may be a link to another file inside `dir`.
///
/// # Errors
/// Returns an error if the file cannot be read, is not a regular file, or lies outside of `dir`.
pub(crate) fn open_file(dir: &Path, path: &Path) -> Result<fs::File, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    // The path consists of plain names, but a link may lead anywhere. Links inside the folder are allowed, because Kubernetes mounts
    // ConfigMaps that way.
    let home = fs::canonicalize(dir).map_err(unreadable)?;
    let path = fs::canonicalize(dir.join(path)).map_err(unreadable)?;
    if !path.starts_with(&home) {
        return Err("leads out of the version's folder, wants a file inside".into());
    }
    // Checked before opening, because opening a pipe would wait for its writer.
    if !fs::metadata(&path).map_err(unreadable)?.is_file() {
        return Err("is not a regular file".into());
    }
    fs::File::open(&path).map_err(unreadable)
}
