//! The manifest of a version: `metadata.json`, parsed and checked once.
//!
//! [`raw`] mirrors the file and is the source of the published JSON Schema. A [`Manifest`] has passed every check that needs no
//! weights, so its users need no further checks.

pub mod raw;

mod check;
pub(super) mod report;

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::digest::VersionDigest;
use super::format::Format;
use super::open_file::open_file;
use super::signature::Signature;
use crate::faults::{self, Faults, Schema};
use crate::ident::{ModelName, VersionNumber};
use crate::text::without_bom;
pub(super) use check::MAX_CLASSES;
use raw::{FormatSettings, Golden, RawManifest};

/// A checked manifest.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: VersionNumber,
    /// Inputs and outputs.
    pub signature: Signature,
    /// The format of the model's files.
    pub format: FormatSettings,
    /// Every file of the version except the manifest, at least one.
    pub files: Vec<File>,
    /// Golden requests with the expected answers.
    pub golden: Vec<Golden>,
    /// Digest of the text that it was parsed from; the default if it was made from a [`RawManifest`].
    pub digest: VersionDigest,
    /// The parts that are only passed on: description, provenance, metrics, reference profile.
    pub about: RawManifest,
}

/// The state of a manifest that may still be being written.
#[derive(Debug)]
pub enum Draft {
    /// The file does not exist, or it is a link to a file that does not exist.
    Missing,
    /// The file ends in the middle of its JSON.
    Truncated,
    /// The file is complete. It may be faulty.
    Complete(Result<Box<Manifest>, Faults>),
}

/// Compiling the schema takes longer than reading a manifest, and every manifest is read several times before its version serves.
/// The first read compiles it, at startup, before anything is served.
static SCHEMA: Schema<RawManifest> = Schema::new();

/// The largest `metadata.json`, in bytes.
const MAX_BYTES: u64 = 16 << 20;

impl Manifest {
    /// Reads and checks `metadata.json` in `dir`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or all its faults.
    pub fn read(dir: &Path) -> Result<Self, Faults> {
        let file = dir.join(File::MANIFEST);
        let bytes = read_bounded(dir).map_err(|why| Faults::one(&file, why))?;
        Self::parse(&file, &bytes)
    }

    /// Parses and checks the text of a manifest. `file` is used only in faults.
    ///
    /// # Errors
    /// Returns all faults.
    pub fn parse(file: &Path, bytes: &[u8]) -> Result<Self, Faults> {
        let document = faults::from_json(file, bytes)?;
        Ok(Self {
            digest: VersionDigest::of(bytes),
            ..Self::check(SCHEMA.parse(file, document)?, file)?
        })
    }

    /// Reads and checks `metadata.json` in `dir`, like [`read`](Self::read), but distinguishes a file that may still be being written.
    #[must_use]
    pub fn draft(dir: &Path) -> Draft {
        let file = dir.join(File::MANIFEST);
        let metadata = fs::metadata(&file);
        if metadata.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Draft::Missing;
        }
        let bytes = match read_bounded(dir) {
            Ok(bytes) => bytes,
            Err(why) => return Draft::Complete(Err(Faults::one(&file, why))),
        };
        let parsed = Self::parse(&file, &bytes);
        let is_truncated = parsed.is_err() && {
            // Parsed as a `Value`: while skipping values, serde_json reports a number that ends in the middle as a syntax error.
            let json: Result<Value, _> = serde_json::from_slice(without_bom(&bytes));
            json.is_err_and(|error| error.is_eof())
        };
        if is_truncated {
            Draft::Truncated
        } else {
            Draft::Complete(parsed.map(Box::new))
        }
    }

    /// Returns whether the model is read from this file.
    #[must_use]
    pub fn is_model_file(&self, file: &File) -> bool {
        let format = <dyn Format>::of(self.format.kind);
        let mut needed = format.files(&self.format);
        needed.any(|path| file.path == Path::new(path))
    }

    /// Returns the size of the model's files in bytes.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        let files = self.files.iter().filter(|file| self.is_model_file(file));
        files.map(|file| file.bytes).sum()
    }

    /// Returns the JSON Schema of `metadata.json`.
    #[must_use]
    pub fn schema() -> Value {
        faults::schema_of::<RawManifest>()
    }
}

fn read_bounded(dir: &Path) -> Result<Vec<u8>, String> {
    let file = open_file(dir, Path::new(File::MANIFEST), None)?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!(
            "a manifest has at most {MAX_BYTES} bytes, but this one is larger"
        ));
    }
    Ok(bytes)
}

/// One file of a version. Its path cannot leave the version's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Relative path of plain names.
    pub path: PathBuf,
    /// SHA-256 digest of the file.
    pub sha256: [u8; 32],
    /// Size of the file in bytes.
    pub bytes: u64,
}

impl File {
    /// Name of the manifest, which does not list itself.
    pub const MANIFEST: &str = "metadata.json";
    /// Name of the weights file of format `dense`.
    pub const WEIGHTS: &str = "weights.safetensors";
}
