//! A request to load a version.

use std::path::PathBuf;

use crate::ident::{ModelName, VersionNumber};
use crate::model::Pace;
use crate::serving::batch::BatchingHints;

/// A version to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadRequest {
    /// Its model.
    pub model: ModelName,
    /// Its number.
    pub version: VersionNumber,
    /// Its folder.
    pub dir: PathBuf,
    /// How much of the machine loading may use.
    pub pace: Pace,
    /// Bytes of memory available for it; `None`: no limit.
    pub room: Option<u64>,
    /// How its requests are batched. Takes precedence over the hints in its manifest.
    pub batching: BatchingHints,
}
