//! The files of a version: read whole into memory, once, and held to their digests.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::faults::Faults;
use crate::model::manifest::{File, Manifest};

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
    // The path is plain, but a link on it may lead anywhere. Links inside the folder are how ConfigMaps are mounted.
    let home = fs::canonicalize(dir).map_err(unreadable)?;
    let path = fs::canonicalize(dir.join(&file.path)).map_err(unreadable)?;
    if !path.starts_with(&home) {
        return Err("leads out of the version's folder, wants a file inside".into());
    }
    // Opening a pipe would wait for its writer.
    if !fs::metadata(&path).map_err(unreadable)?.is_file() {
        return Err("is no file".into());
    }
    let opened = fs::File::open(&path).map_err(unreadable)?;
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
