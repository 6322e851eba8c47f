//! The complete content of the registry, including versions that are still incomplete.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};
use crate::registry::complete::{Completeness, complete};
use crate::registry::scan::{Scan, VersionFolder, scan};
use crate::registry::stamp::Stamp;

/// The complete content of the registry: what is not listed no longer exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Every model, including models without a version.
    pub versions: BTreeMap<ModelName, BTreeMap<VersionNumber, ListedVersion>>,
    /// Folders with invalid names, and folders and links that cannot be read. What was known of these stays in `versions`.
    pub refused: Faults,
}

impl Listing {
    /// Returns whether a version is still incomplete.
    pub(super) fn is_waiting(&self) -> bool {
        let mut listed = self.versions.values().flat_map(BTreeMap::values);
        listed.any(|listed| listed.waits_for.is_some())
    }
}

/// The folder of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVersion {
    /// The folder.
    pub dir: PathBuf,
    /// Fingerprint of the folder, which differs after a change.
    pub stamp: Stamp,
    /// What is missing, as long as it may still be written. The version must not be loaded before this is `None`.
    pub waits_for: Option<String>,
}

/// Lists the registry once, at startup. Incomplete versions wait.
///
/// # Errors
/// Returns an error if `root` cannot be read.
pub fn list(root: &Path) -> Result<Listing, Faults> {
    Ok(Memory::default().list(scan(root)?, Duration::ZERO, Duration::MAX))
}

/// The state of each folder at the last scan, kept until the folder changes or is removed.
#[derive(Debug, Default)]
pub(super) struct Memory(HashMap<(ModelName, VersionNumber), FolderState>);

#[derive(Debug)]
struct FolderState {
    dir: PathBuf,
    stamp: Stamp,
    missing: Option<String>,
    /// Time of the last change, since the first scan.
    since: Duration,
}

impl Memory {
    /// Turns `scan` into a list at `now`, the time since the first scan. A folder without a change for `stable_after` no longer waits;
    /// loading it then reports what is missing.
    pub(super) fn list(&mut self, scan: Scan, now: Duration, stable_after: Duration) -> Listing {
        let mut before = std::mem::take(&mut self.0);
        let mut versions: BTreeMap<ModelName, BTreeMap<_, _>> = BTreeMap::new();
        for model in scan.models {
            versions.entry(model).or_default();
        }
        for found in scan.found {
            let key = (found.model.clone(), found.version);
            let unchanged =
                |state: &FolderState| state.stamp == found.stamp && state.dir == found.dir;
            let state = before
                .remove(&key)
                .filter(unchanged)
                .unwrap_or_else(|| FolderState::new(&found, now));
            let missing = state.missing.clone();
            let listed = ListedVersion {
                dir: found.dir,
                stamp: found.stamp,
                waits_for: missing.filter(|_| !is_stable(state.since, now, stable_after)),
            };
            versions
                .entry(found.model)
                .or_default()
                .insert(found.version, listed);
            self.0.insert(key, state);
        }
        // What cannot be read now is not removed.
        for ((model, version), state) in before {
            if scan.unreadable.contains(&model, version) {
                let missing = state.missing.clone();
                let listed = ListedVersion {
                    dir: state.dir.clone(),
                    stamp: state.stamp,
                    waits_for: missing.filter(|_| !is_stable(state.since, now, stable_after)),
                };
                let known = versions.entry(model.clone()).or_default();
                known.insert(version, listed);
                self.0.insert((model, version), state);
            }
        }
        Listing {
            versions,
            refused: scan.refused,
        }
    }
}

impl FolderState {
    /// Examines a folder. Its stamp was taken before, so a change in between changes the next stamp.
    fn new(found: &VersionFolder, now: Duration) -> Self {
        Self {
            dir: found.dir.clone(),
            stamp: found.stamp,
            missing: match complete(&found.dir) {
                Completeness::Complete => None,
                Completeness::Waits(missing) => Some(missing),
            },
            since: now,
        }
    }
}

/// Returns whether a folder that has not changed since `since` counts as fully written.
fn is_stable(since: Duration, now: Duration, stable_after: Duration) -> bool {
    now.saturating_sub(since) >= stable_after
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::samples;

    const STABLE_AFTER: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[cfg(unix)]
    #[test]
    fn what_cannot_be_read_stays_as_it_was_until_it_is_removed() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let (root, behind) = (dir.path().join("models"), dir.path().join("behind"));
        for (model, version) in [("m", "1"), ("m", "2"), ("n", "1")] {
            fs::create_dir_all(behind.join(model).join(version)).unwrap();
        }
        fs::create_dir_all(root.join("m")).unwrap();
        symlink(behind.join("m/1"), root.join("m/1")).unwrap();
        symlink(behind.join("m/2"), root.join("m/2")).unwrap();
        symlink(behind.join("n"), root.join("n")).unwrap();
        let mut memory = Memory::default();
        let mut list_at = |now| memory.list(scan(&root).unwrap(), at(now), STABLE_AFTER);
        let before = list_at(0);
        let names = |listing: &Listing| {
            let models = listing.versions.iter();
            let count = models.map(|(model, versions)| (model.to_string(), versions.len()));
            count.collect::<Vec<_>>()
        };
        let all = [("m".to_owned(), 2), ("n".to_owned(), 1)];
        assert_eq!(names(&before), all);
        fs::rename(&behind, dir.path().join("unmounted")).unwrap();
        let unread = list_at(1);
        assert_eq!(unread.versions, before.versions);
        assert_eq!(unread.refused.iter().count(), 3);
        fs::remove_file(root.join("n")).unwrap();
        fs::remove_file(root.join("m/2")).unwrap();
        assert_eq!(names(&list_at(2)), [("m".to_owned(), 1)]);
    }

    /// Returns what version 1 of `m` waits for.
    fn waits_for(listing: &Listing) -> Option<&str> {
        let versions = listing.versions.get("m").unwrap();
        let listed = versions.values().next().unwrap();
        listed.waits_for.as_deref()
    }

    #[test]
    fn a_folder_that_is_written_file_by_file_waits_until_it_is_complete() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("m/1");
        fs::create_dir_all(&dir).unwrap();
        let mut memory = Memory::default();
        let mut list_at = |now| memory.list(scan(root.path()).unwrap(), at(now), STABLE_AFTER);
        assert_eq!(waits_for(&list_at(0)), Some("metadata.json is missing"));
        fs::write(dir.join("metadata.json"), "{").unwrap();
        assert_eq!(waits_for(&list_at(9)), Some("metadata.json is truncated"));
        samples::write(&dir, &samples::document("m", 1));
        let weights = fs::read(dir.join("weights.safetensors")).unwrap();
        fs::write(dir.join("weights.safetensors"), &weights[..10]).unwrap();
        let want = format!("weights.safetensors has 10 of {} bytes", weights.len());
        let half = list_at(18);
        assert_eq!(
            waits_for(&half),
            Some(&*want),
            "each change restarts the wait"
        );
        fs::write(dir.join("weights.safetensors"), &weights).unwrap();
        let whole = list_at(19);
        assert_eq!(waits_for(&whole), None);
        assert_ne!(half.versions["m"], whole.versions["m"]);
        assert_eq!(list_at(500), whole, "no change, so an equal list");
    }

    #[test]
    fn an_incomplete_folder_no_longer_waits_once_it_is_stable() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("m/1");
        fs::create_dir_all(&dir).unwrap();
        let mut memory = Memory::default();
        let mut list_at = |now| memory.list(scan(root.path()).unwrap(), at(now), STABLE_AFTER);
        assert!(list_at(5).is_waiting());
        assert!(list_at(14).is_waiting(), "nine seconds are not ten");
        assert!(!list_at(15).is_waiting());
        assert!(!list_at(99).is_waiting(), "and does not wait again");
        fs::write(dir.join("metadata.json"), "").unwrap();
        assert_eq!(waits_for(&list_at(100)), Some("metadata.json is truncated"));
        assert!(
            list(root.path()).unwrap().is_waiting(),
            "the first list waits"
        );
    }

    #[test]
    fn a_removed_version_is_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("m/1");
        fs::create_dir_all(&dir).unwrap();
        let mut memory = Memory::default();
        let mut list_at = |now| memory.list(scan(root.path()).unwrap(), at(now), STABLE_AFTER);
        assert!(list_at(0).is_waiting());
        fs::remove_dir(&dir).unwrap();
        let empty = list_at(1);
        assert_eq!(empty.versions.len(), 1, "the model stays");
        assert!(empty.versions["m"].is_empty());
        fs::create_dir(&dir).unwrap();
        assert!(list_at(11).is_waiting(), "the folder is new again");
        assert_eq!(memory.0.len(), 1);
    }

    #[test]
    fn stability_counts_from_the_last_change() {
        for (since, now, stable_after, want) in [
            (5, 14, 10, false),
            (5, 15, 10, true),
            (5, 5, 0, true),
            (9, 5, 1, false),
        ] {
            let got = is_stable(at(since), at(now), at(stable_after));
            assert_eq!(
                got, want,
                "since {since}, now {now}, stable_after {stable_after}"
            );
        }
    }
}
