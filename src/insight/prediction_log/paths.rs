//! The log's files by name, and how a file of another kind is recognised.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use crate::model::folder_of;

/// Permissions of every file: only the user who runs the gateway may read personal data in the log.
pub(super) const OWNER_ONLY: u32 = 0o600;

/// Each line of a prediction log begins with this byte.
pub(super) const FIRST_BYTE: u8 = b'{';

/// Returns the reason why `path` cannot be that of a prediction log. Changes nothing.
pub(super) fn check(path: &Path) -> Result<(), String> {
    let shown = path.display();
    let dir = folder_of(path);
    if !dir.is_dir() {
        return Err(format!(
            "{} is not a folder: create it first",
            dir.display()
        ));
    }
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("{shown} cannot be read: {error}")),
        // Opening a pipe would block until its other end is opened.
        Ok(there) if !there.is_file() => return Err(format!("{shown} is not a regular file")),
        Ok(_) => {}
    }
    match first_byte(path) {
        Ok(None | Some(FIRST_BYTE)) => Ok(()),
        Ok(Some(_)) => Err(format!(
            "{shown} is not a prediction log, whose lines begin with {{; choose another path"
        )),
        Err(error) => Err(format!("{shown} cannot be read: {error}")),
    }
}

/// Returns `NAME.suffix` next to the log.
pub(super) fn sibling(log: &Path, suffix: &str) -> PathBuf {
    let mut path = OsString::from(log);
    path.push(".");
    path.push(suffix);
    path.into()
}

/// Returns the first byte of a file, or `None` if it is empty.
pub(super) fn first_byte(path: &Path) -> io::Result<Option<u8>> {
    let mut first = [0];
    let read = File::open(path)?.read(&mut first)?;
    Ok((read == 1).then_some(first[0]))
}
