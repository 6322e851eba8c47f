//! Versions that are created before the measurement, so that publishing one is one rename.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::tiny;

/// The model that answers and is swapped.
pub(crate) const MODEL: &str = "m";
/// The model that loads next to it.
pub(crate) const LARGE: &str = "large";
/// Width and height of its second layer, which make 200 MB.
const WIDTH: usize = 7_072;

/// A registry and the versions that will be published.
pub(crate) struct Pool {
    dir: PathBuf,
    /// The version of each model that was published last.
    pub(crate) newest: u64,
    pub(crate) large: u64,
    /// Number of versions that were moved outside the registry.
    decoys: u64,
}

impl Pool {
    /// Creates a registry below `dir` with the first version of the model, and `versions` prepared ones, including the first; with
    /// `large`, those of the large model too.
    pub(crate) fn new(dir: &Path, versions: u64, large: bool) -> Self {
        let pool = Self {
            dir: dir.to_owned(),
            newest: 1,
            large: 0,
            decoys: 0,
        };
        fs::create_dir_all(dir.join("aside")).expect("made");
        (1..=versions).for_each(|version| tiny::publish(&dir.join("decoys"), MODEL, version));
        (2..=versions).for_each(|version| tiny::publish(&pool.to_come(), MODEL, version));
        tiny::drop_in(&pool.registry(), MODEL, 1, |root| {
            tiny::publish(root, MODEL, 1);
        });
        if large {
            tiny::publish_wide(&pool.to_come(), LARGE, 1, WIDTH, 64);
            fs::create_dir_all(pool.registry().join(LARGE)).expect("made");
        }
        pool
    }

    pub(crate) fn registry(&self) -> PathBuf {
        self.dir.join("models")
    }

    fn to_come(&self) -> PathBuf {
        self.dir.join("to-come")
    }

    /// The same work on the disk as [`swap`](Self::swap), outside the registry.
    pub(crate) fn decoy(&mut self) {
        let folder = |version: u64| self.dir.join("aside").join(version.to_string());
        let next = self.decoys + 1;
        let from = self.dir.join("decoys").join(MODEL).join(next.to_string());
        fs::rename(from, folder(next)).expect("moved");
        if self.decoys > 0 {
            fs::remove_dir_all(folder(self.decoys)).expect("removed");
        }
        self.decoys = next;
    }

    /// Publishes the next version of the model. Removes the folder of the last but one.
    pub(crate) fn swap(&mut self) {
        let folder = |root: PathBuf, version: u64| root.join(MODEL).join(version.to_string());
        let next = self.newest + 1;
        let [from, to] = [self.to_come(), self.registry()].map(|root| folder(root, next));
        fs::rename(from, to).expect("published");
        if let Some(old) = self.newest.checked_sub(1).filter(|old| *old > 0) {
            fs::remove_dir_all(folder(self.registry(), old)).expect("removed");
        }
        self.newest = next;
    }

    /// Publishes the next version of the large model: the same weights under another number. Removes the folder of the last but
    /// one.
    pub(crate) fn swap_large(&mut self) {
        let folder = |root: PathBuf, version: u64| root.join(LARGE).join(version.to_string());
        let (first, next) = (folder(self.to_come(), 1), self.large + 1);
        let beside = folder(self.to_come(), next).with_extension("new");
        fs::create_dir(&beside).expect("made");
        let weights = "weights.safetensors";
        fs::hard_link(first.join(weights), beside.join(weights)).expect("linked");
        let manifest = fs::read(first.join("metadata.json")).expect("read");
        let mut manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
        manifest["version"] = json!(next);
        fs::write(beside.join("metadata.json"), manifest.to_string()).expect("written");
        fs::rename(beside, folder(self.registry(), next)).expect("published");
        if let Some(old) = self.large.checked_sub(1).filter(|old| *old > 0) {
            fs::remove_dir_all(folder(self.registry(), old)).expect("removed");
        }
        self.large = next;
    }
}
