//! What a version says about itself: `metadata.json`, parsed into types once.
//!
//! [`raw`] mirrors the file and is the source of the published JSON Schema. A [`Manifest`] is what has passed every
//! check that needs no weights; whoever holds one never checks again.

pub mod raw;

mod check;

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::open::open;
use super::signature::Signature;
use crate::faults::{self, Faults, Schema};
use crate::ident::{ModelName, VersionNumber};
use raw::{Golden, Head, RawManifest};

/// A checked manifest.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: VersionNumber,
    /// What it takes and gives.
    pub signature: Signature,
    /// The network's layers, in order.
    pub layers: Vec<Layer>,
    /// From logits to the answer.
    pub head: Head,
    /// Every file of the version, at least one.
    pub files: Vec<File>,
    /// Requests with the answers they must give.
    pub golden: Vec<Golden>,
    /// What is only passed on: description, provenance, metrics, reference profile.
    pub about: RawManifest,
}

/// How far a manifest has come that somebody may be writing.
#[derive(Debug)]
pub enum Draft {
    /// It is not there, or a link to it leads nowhere yet.
    Missing,
    /// Its JSON ends before it is complete.
    CutOff,
    /// More does not have to come; what there is may be faulty.
    Whole(Result<Box<Manifest>, Faults>),
}

/// To compile it takes longer than to read a manifest, and each version's is read a few times before it serves. Whoever reads the
/// first one compiles it: at the start, before anything is served.
static SCHEMA: Schema<RawManifest> = Schema::new();

/// Length of `metadata.json` at most.
const MOST_BYTES: u64 = 16 << 20;

impl Manifest {
    /// Reads and checks `metadata.json` in `dir`.
    ///
    /// # Errors
    /// It cannot be read, or all that is wrong with it.
    pub fn read(dir: &Path) -> Result<Self, Faults> {
        let file = dir.join(File::MANIFEST);
        let bytes = read_bounded(dir).map_err(|why| Faults::one(&file, why))?;
        Self::parse(&file, &bytes)
    }

    /// Checks `bytes`, the text of a manifest; `file` is only named in faults.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(file: &Path, bytes: &[u8]) -> Result<Self, Faults> {
        let document = faults::from_json(file, bytes)?;
        Self::check(SCHEMA.parse(file, document)?, file)
    }

    /// As [`read`](Self::read), telling apart what may still be on its way.
    #[must_use]
    pub fn draft(dir: &Path) -> Draft {
        let file = dir.join(File::MANIFEST);
        let about = fs::metadata(&file);
        if about.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Draft::Missing;
        }
        let bytes = match read_bounded(dir) {
            Ok(bytes) => bytes,
            Err(why) => return Draft::Whole(Err(Faults::one(&file, why))),
        };
        let parsed = Self::parse(&file, &bytes);
        let is_cut_off = parsed.is_err() && {
            // Not only passed over: a number that ends in the middle is then no fault of syntax.
            let json: Result<Value, _> = serde_json::from_slice(&bytes);
            json.is_err_and(|error| error.is_eof())
        };
        if is_cut_off {
            Draft::CutOff
        } else {
            Draft::Whole(parsed.map(Box::new))
        }
    }

    /// Length of the file of the weights.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        let weights = self.files.iter().filter(|file| file.is_weights());
        weights.map(|file| file.bytes).sum()
    }

    /// The JSON Schema of `metadata.json`.
    #[must_use]
    pub fn schema() -> Value {
        faults::schema_of::<RawManifest>()
    }
}

fn read_bounded(dir: &Path) -> Result<Vec<u8>, String> {
    let opened = open(dir, Path::new(File::MANIFEST))?;
    let mut bytes = Vec::new();
    let read = opened.take(MOST_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!(
            "longer than {MOST_BYTES} bytes, the most a manifest may have"
        ));
    }
    Ok(bytes)
}

/// One layer, with what its kind needs.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// `x W^T + b`; tensors `NAME.weight` and, if there, `NAME.bias`.
    Linear(String),
    /// Folded into a linear layer at load.
    BatchNorm {
        /// Prefix of its four tensors.
        name: String,
        /// Added to the variance.
        eps: f64,
    },
    /// `max(x, 0)`
    Relu,
    /// `x Phi(x)`
    Gelu,
    /// `x sigmoid(x)`
    Silu,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-x)`
    Sigmoid,
    /// Slope left of zero.
    LeakyRelu(f64),
}

/// One file, whose path is known to stay inside the version's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Relative path: plain names only.
    pub path: PathBuf,
    /// Digest of its bytes.
    pub sha256: [u8; 32],
    /// Its length.
    pub bytes: u64,
}

impl File {
    /// The manifest's own name, which it does not list.
    pub const MANIFEST: &str = "metadata.json";
    /// The weights of format `dense`.
    pub const WEIGHTS: &str = "weights.safetensors";

    /// Whether it holds the weights.
    #[must_use]
    pub fn is_weights(&self) -> bool {
        self.path == Path::new(Self::WEIGHTS)
    }
}
