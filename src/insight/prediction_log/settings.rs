//! Settings of the prediction log.

use std::path::PathBuf;
use std::time::Duration;

use super::key::HashKey;
use super::paths;

/// Where the log is, and how much of it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSettings {
    /// The file that is written. Full files are next to it as `NAME.000001.gz`, the newest with the highest number.
    pub path: PathBuf,
    /// Share of the requests that are logged, 0 to 1.
    pub sample: f64,
    /// Size in bytes at which a new file begins.
    pub max_bytes: u64,
    /// Age at which a new file begins.
    pub max_age: Duration,
    /// How many full files are kept.
    pub keep: usize,
    /// The key for inputs marked `hash`. If it is `None`, these inputs are left out.
    pub key: Option<HashKey>,
}

impl LogSettings {
    /// Checks that the log can be written to [`path`](Self::path). Changes nothing.
    ///
    /// # Errors
    /// Returns the reason if the folder does not exist, or if the path is taken by something that a log would destroy.
    pub fn check(&self) -> Result<(), String> {
        paths::check(&self.path)
    }
}
