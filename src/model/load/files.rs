//! Reads the files of a version once, slice by slice, and checks their digests.
//!
//! Only the files of the model are kept in memory. A file whose size differs from the manifest is rejected before any memory is allocated or any
//! byte is read.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::throttle::Throttle;
use crate::faults::Faults;
use crate::model::content_stores::ContentStores;
use crate::model::format::Format;
use crate::model::manifest::{File, Manifest};
use crate::model::open_file::open_file;

/// Bytes that are read and hashed between two rests.
const SLICE: u64 = 1 << 20;

/// Reads and verifies every listed file. Returns the files of the model, its own file first, if they are valid; all faults are added to
/// `faults`.
pub(super) fn read(
    manifest: &Manifest,
    dir: &Path,
    stores: &ContentStores,
    throttle: &mut Throttle,
    faults: &mut Faults,
) -> Option<Vec<(String, Vec<u8>)>> {
    let format = <dyn Format>::of(manifest.format.kind);
    let needed: Vec<&str> = format.files(&manifest.format).collect();
    let mut contents: Vec<Option<Vec<u8>>> = vec![None; needed.len()];
    for file in &manifest.files {
        let place = needed.iter().position(|path| file.path == Path::new(path));
        match (
            read_one(
                open_checked(dir, file, stores),
                file,
                place.is_some(),
                throttle,
            ),
            place,
        ) {
            (Ok(bytes), Some(place)) => contents[place] = Some(bytes),
            (Ok(_), None) => {}
            (Err(why), _) => faults.add(dir.join(&file.path), "", why),
        }
    }
    let named = needed.into_iter().zip(contents);
    let named = named.map(|(path, bytes)| bytes.map(|bytes| (path.to_owned(), bytes)));
    named.collect()
}

/// Verifies every listed file, and keeps none.
pub(super) fn verify(
    manifest: &Manifest,
    dir: &Path,
    stores: &ContentStores,
    throttle: &mut Throttle,
    faults: &mut Faults,
) {
    for file in &manifest.files {
        let opened = open_checked(dir, file, stores);
        if let Err(why) = read_one(opened, file, false, throttle) {
            faults.add(dir.join(&file.path), "", why);
        }
    }
}

/// Opens `file` and checks its size.
///
/// # Errors
/// Returns an error if the file cannot be opened or its size differs from the manifest.
pub(super) fn open_checked(
    dir: &Path,
    file: &File,
    stores: &ContentStores,
) -> Result<fs::File, String> {
    let opened = open_file(dir, &file.path, Some(stores))?;
    let length = opened.metadata().map_err(unreadable)?.len();
    if length == file.bytes {
        Ok(opened)
    } else {
        Err(wrong_length(length, file))
    }
}

/// Reads and verifies one file, which was `opened`. Returns its bytes if `keep` is set.
fn read_one(
    opened: Result<fs::File, String>,
    file: &File,
    keep: bool,
    throttle: &mut Throttle,
) -> Result<Vec<u8>, String> {
    let mut opened = opened?;
    let capacity = if keep {
        file.bytes
    } else {
        SLICE.min(file.bytes)
    };
    let capacity = usize::try_from(capacity).map_err(|_| "is larger than the address space")?;
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(capacity)
        .map_err(|error| error.to_string())?;
    let mut digest = Sha256::new();
    let mut length = 0;
    while length < file.bytes {
        if !keep {
            bytes.clear();
        }
        let before = bytes.len();
        // Bytes that were appended after the check of the size are not read.
        let mut slice = opened.by_ref().take(SLICE.min(file.bytes - length));
        let read = slice.read_to_end(&mut bytes).map_err(unreadable)?;
        if read == 0 {
            return Err(wrong_length(length, file));
        }
        length += read as u64;
        digest.update(&bytes[before..]);
        throttle.rest();
    }
    let digest: [u8; 32] = digest.finalize().into();
    if digest == file.sha256 {
        Ok(bytes)
    } else {
        let [got, wanted] = [digest, file.sha256].map(|digest| HEXLOWER.encode(&digest));
        Err(format!(
            "differs from the manifest: got sha256 {got}, wants {wanted}"
        ))
    }
}

fn unreadable(error: io::Error) -> String {
    format!("cannot be read: {error}")
}

fn wrong_length(got: u64, file: &File) -> String {
    let wanted = file.bytes;
    format!("differs from the manifest: got {got} bytes, wants {wanted}")
}
