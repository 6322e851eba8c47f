//! Opens the files of a version: only regular files inside its folder, or in a content store.

use std::fs;
use std::path::Path;

use super::content_stores::ContentStores;

/// Opens the file at `path`, relative to `dir`. The file may be a link to another file inside `dir`, or inside one of `stores`.
///
/// # Errors
/// Returns an error if the file cannot be read, is not a regular file, or lies outside of `dir` and of `stores`.
pub(crate) fn open_file(
    dir: &Path,
    path: &Path,
    stores: Option<&ContentStores>,
) -> Result<fs::File, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    // The path consists of plain names, but a link may lead anywhere. Links inside the folder are allowed, because Kubernetes mounts
    // ConfigMaps that way.
    let home = fs::canonicalize(dir).map_err(unreadable)?;
    let path = fs::canonicalize(dir.join(path)).map_err(unreadable)?;
    if !path.starts_with(&home) && !stores.is_some_and(|stores| stores.contain(&path)) {
        let wanted = match stores {
            Some(_) => "a file inside, or in a folder of `content_stores`",
            None => "a file inside",
        };
        return Err(format!(
            "leads out of the version's folder, expected {wanted}"
        ));
    }
    open_regular(&path)
}

/// Returns the folder of a file. That of a bare name is the current one.
pub(crate) fn folder_of(file: &Path) -> &Path {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Opens a regular file, or a link to one.
///
/// # Errors
/// Returns an error if the file cannot be read, or is not a regular file.
pub(crate) fn open_regular(path: &Path) -> Result<fs::File, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    // Checked before opening, because opening a pipe would wait for its writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("is not a regular file".into());
    }
    fs::File::open(path).map_err(unreadable)
}
