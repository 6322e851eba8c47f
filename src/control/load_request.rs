//! What the loader's thread does on request.

use std::path::PathBuf;

use crate::ident::{ModelName, VersionNumber};
use crate::model::{LoadOptions, VersionDigest};
use crate::serving::batch::BatchingHints;

/// A request to the loader.
#[derive(Clone, Debug)]
pub enum LoaderRequest {
    /// Loads a version.
    Load(LoadRequest),
    /// Checks the files of a version that is in memory.
    Verify(VerifyRequest),
}

/// A version in memory whose folder changed.
#[derive(Clone, Debug)]
pub struct VerifyRequest {
    /// Its model.
    pub model: ModelName,
    /// Its number.
    pub version: VersionNumber,
    /// Its folder.
    pub dir: PathBuf,
    /// How its files are read.
    pub options: LoadOptions,
    /// The digest of what is in memory.
    pub digest: VersionDigest,
}

impl LoaderRequest {
    /// Returns the model and the version.
    #[must_use]
    pub fn target(&self) -> (&ModelName, VersionNumber) {
        match self {
            Self::Load(request) => (&request.model, request.version),
            Self::Verify(request) => (&request.model, request.version),
        }
    }
}

/// A version to load.
#[derive(Clone, Debug)]
pub struct LoadRequest {
    /// Its model.
    pub model: ModelName,
    /// Its number.
    pub version: VersionNumber,
    /// Its folder.
    pub dir: PathBuf,
    /// How it is loaded.
    pub options: LoadOptions,
    /// The digest that it must have; `None` if it was never READY.
    pub expected: Option<VersionDigest>,
    /// Bytes of memory available for it; `None`: no limit.
    pub room: Option<u64>,
    /// How its requests are batched. Takes precedence over the hints in its manifest.
    pub batching: BatchingHints,
}
