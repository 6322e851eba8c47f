//! The files of a version: read whole into memory, once, and held to their digests.

use std::io::Read as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::faults::Faults;
use crate::model::manifest::{File, Manifest};
use crate::model::open::open;

/// Reads and verifies every listed file; returns the bytes of the weights, if they hold.
pub(super) fn read(manifest: &Manifest, dir: &Path, faults: &mut Faults) -> Option<Vec<u8>> {
    let mut weights = None;
    for file in &manifest.files {
        match one(dir, file) {
            Ok(bytes) if file.path == Path::new(File::WEIGHTS) => weights = Some(bytes),
            Ok(_) => {}
            Err(why) => faults.add(dir.join(&file.path), "", why),
        }
    }
    weights
}

fn one(dir: &Path, file: &File) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let opened = open(dir, &file.path)?;
    let length = opened.metadata().map_err(unreadable)?.len();
    let mut bytes = Vec::new();
    if length == file.bytes {
        let room = usize::try_from(length).map_err(|_| "is longer than memory can be")?;
        bytes
            .try_reserve_exact(room)
            .map_err(|error| error.to_string())?;
        opened
            .take(length)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
    }
    if length != file.bytes || bytes.len() as u64 != length {
        let wanted = file.bytes;
        return Err(format!(
            "changed since its digest: got {length} bytes, wants {wanted}"
        ));
    }
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    if digest == file.sha256 {
        Ok(bytes)
    } else {
        let [got, wanted] = [digest, file.sha256].map(|digest| hex(&digest));
        Err(format!(
            "changed since its digest: got sha256 {got}, wants {wanted}"
        ))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
