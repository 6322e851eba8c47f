//! Opening the files of a version, whichever they are: plain files only, and none outside its folder.

use std::fs;
use std::path::Path;

/// Opens `path`, which is relative to `dir`; it may be a link that stays inside `dir`.
///
/// # Errors
/// What stands there instead of a readable file.
pub(super) fn open(dir: &Path, path: &Path) -> Result<fs::File, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    // The path is plain, but a link on it may lead anywhere. Links inside the folder are how ConfigMaps are mounted.
    let home = fs::canonicalize(dir).map_err(unreadable)?;
    let path = fs::canonicalize(dir.join(path)).map_err(unreadable)?;
    if !path.starts_with(&home) {
        return Err("leads out of the version's folder, wants a file inside".into());
    }
    // Opening a pipe would wait for its writer.
    if !fs::metadata(&path).map_err(unreadable)?.is_file() {
        return Err("is no file".into());
    }
    fs::File::open(&path).map_err(unreadable)
}
