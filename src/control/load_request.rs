//! A request to load a version.

use std::path::PathBuf;

use crate::ident::{ModelName, VersionNumber};
use crate::model::LoadOptions;
use crate::serving::batch::BatchingHints;

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
    /// Bytes of memory available for it; `None`: no limit.
    pub room: Option<u64>,
    /// How its requests are batched. Takes precedence over the hints in its manifest.
    pub batching: BatchingHints,
}
