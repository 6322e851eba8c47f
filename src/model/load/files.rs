//! The files of a version: read once, slice by slice, and held to their digests.
//!
//! Only the weights are kept, in memory as large as the file. A file of another length than the manifest says is refused
//! before a byte is read or a place for it made.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::pace::Throttle;
use crate::faults::Faults;
use crate::model::manifest::{File, Manifest};
use crate::model::open::open;

/// Bytes that are read and hashed between two rests.
const SLICE: u64 = 1 << 20;

/// Reads and verifies every listed file; returns the bytes of the weights, if they hold.
pub(super) fn read(
    manifest: &Manifest,
    dir: &Path,
    throttle: &mut Throttle,
    faults: &mut Faults,
) -> Option<Vec<u8>> {
    let mut weights = None;
    for file in &manifest.files {
        let kept = file.is_weights();
        match one(dir, file, kept, throttle) {
            Ok(bytes) if kept => weights = Some(bytes),
            Ok(_) => {}
            Err(why) => faults.add(dir.join(&file.path), "", why),
        }
    }
    weights
}

/// Opens `file`, which has the length that the manifest says.
pub(super) fn opened(dir: &Path, file: &File) -> Result<fs::File, String> {
    let opened = open(dir, &file.path)?;
    let length = opened.metadata().map_err(unreadable)?.len();
    if length == file.bytes {
        Ok(opened)
    } else {
        Err(other_length(length, file))
    }
}

/// The whole file if it is `kept`, else nothing.
fn one(dir: &Path, file: &File, kept: bool, throttle: &mut Throttle) -> Result<Vec<u8>, String> {
    let mut opened = opened(dir, file)?;
    let room = if kept {
        file.bytes
    } else {
        SLICE.min(file.bytes)
    };
    let room = usize::try_from(room).map_err(|_| "is longer than memory can be")?;
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(room)
        .map_err(|error| error.to_string())?;
    let mut digest = Sha256::new();
    let mut length = 0;
    while length < file.bytes {
        if !kept {
            bytes.clear();
        }
        let before = bytes.len();
        // What was appended to the file since its length was looked at is not read.
        let slice = SLICE.min(file.bytes - length);
        let mut slice = opened.by_ref().take(slice);
        let read = slice.read_to_end(&mut bytes).map_err(unreadable)?;
        if read == 0 {
            return Err(other_length(length, file));
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
            "changed since its digest: got sha256 {got}, wants {wanted}"
        ))
    }
}

fn unreadable(error: io::Error) -> String {
    format!("cannot be read: {error}")
}

fn other_length(got: u64, file: &File) -> String {
    let wanted = file.bytes;
    format!("changed since its digest: got {got} bytes, wants {wanted}")
}
