//! Folders outside the registry into which files of versions may be links.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The content stores that the configuration names, such as the cache of Hugging Face or of DVC. A version's file may be a link into one
/// of them; its digest is checked as that of any file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentStores(Arc<[PathBuf]>);

impl ContentStores {
    /// Creates stores from existing folders.
    ///
    /// # Errors
    /// Returns the index of the first one that is not a folder, and why.
    pub fn new(folders: &[PathBuf]) -> Result<Self, (usize, String)> {
        let real = |(at, folder): (usize, &PathBuf)| {
            let fault = |why: String| (at, format!("folder {} {why}", folder.display()));
            let real = folder.canonicalize();
            let real = real.map_err(|error| fault(format!("cannot be read: {error}")))?;
            if !real.is_dir() {
                return Err(fault("is not a folder".into()));
            }
            Ok(real)
        };
        let folders: Result<Vec<_>, _> = folders.iter().enumerate().map(real).collect();
        Ok(Self(folders?.into()))
    }

    /// Returns whether `path`, which contains no link, is inside one of the stores.
    pub(crate) fn contain(&self, path: &Path) -> bool {
        self.0.iter().any(|folder| path.starts_with(folder))
    }
}
