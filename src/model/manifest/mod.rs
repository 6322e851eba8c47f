//! What a version says about itself: `metadata.json`, parsed into types once.
//!
//! [`raw`] mirrors the file and is the source of the published JSON Schema. A [`Manifest`] is what has passed every
//! check that needs no weights; whoever holds one never checks again.

pub mod raw;

use std::path::PathBuf;

use super::signature::Signature;
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
