//! The complete list of what the registry holds, and what in it is not all there yet.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};
use crate::registry::complete::{Completeness, complete};
use crate::registry::scan::{Found, Scan, scan};
use crate::registry::stamp::Stamp;

/// Everything that the registry holds, each time: what is not listed has gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Every model, also one that has no version.
    pub versions: BTreeMap<ModelName, BTreeMap<VersionNumber, Seen>>,
    /// What stands where a model or version should and is none.
    pub refused: Faults,
}

impl Listing {
    /// Whether a version is still to come as a whole.
    pub(super) fn waits(&self) -> bool {
        let mut seen = self.versions.values().flat_map(BTreeMap::values);
        seen.any(|seen| seen.waits.is_some())
    }
}

/// One version's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The folder.
    pub dir: PathBuf,
    /// Another one than before: something in the folder has changed.
    pub stamp: Stamp,
    /// What is missing, while it is worth waiting for; a version is not to be loaded before this is `None`.
    pub waits: Option<String>,
}

/// One look, for the start: what is not all there waits.
///
/// # Errors
/// A folder cannot be read, so that the list would not be complete.
pub fn look(root: &Path) -> Result<Listing, Faults> {
    Ok(Memory::default().list(scan(root)?, Duration::ZERO, Duration::MAX))
}

/// What was found out about each folder, kept until the folder changes or goes.
#[derive(Debug, Default)]
pub(super) struct Memory(HashMap<(ModelName, VersionNumber), Known>);

#[derive(Debug)]
struct Known {
    dir: PathBuf,
    stamp: Stamp,
    missing: Option<String>,
    since: Duration,
}

impl Memory {
    /// What `scan` means at `now`, which is the time since the first look. A folder that has not changed for `stable_after` is
    /// not waited for any longer, so that loading fails it with the reason.
    pub(super) fn list(&mut self, scan: Scan, now: Duration, stable_after: Duration) -> Listing {
        let mut before = std::mem::take(&mut self.0);
        let mut versions: BTreeMap<ModelName, BTreeMap<_, _>> = BTreeMap::new();
        for model in scan.models {
            versions.entry(model).or_default();
        }
        for found in scan.found {
            let key = (found.model.clone(), found.version);
            let same = |known: &Known| known.stamp == found.stamp && known.dir == found.dir;
            let known = before.remove(&key).filter(same);
            let known = known.unwrap_or_else(|| Known::new(&found, now));
            let missing = known.missing.clone();
            let seen = Seen {
                dir: found.dir,
                stamp: found.stamp,
                waits: missing.filter(|_| !is_stable(known.since, now, stable_after)),
            };
            versions
                .entry(found.model)
                .or_default()
                .insert(found.version, seen);
            self.0.insert(key, known);
        }
        Listing {
            versions,
            refused: scan.refused,
        }
    }
}

impl Known {
    /// The stamp was taken before this looks closer, so what changes in between changes the next stamp.
    fn new(found: &Found, now: Duration) -> Self {
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

/// Whether what has looked the same since `since` is taken for all that will come.
fn is_stable(since: Duration, now: Duration, stable_after: Duration) -> bool {
    now.saturating_sub(since) >= stable_after
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::samples;

    const SETTLE: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Why version 1 of `m` waits.
    fn waits(listing: &Listing) -> Option<&str> {
        let versions = listing.versions.get("m").unwrap();
        let seen = versions.values().next().unwrap();
        seen.waits.as_deref()
    }

    #[test]
    fn a_folder_that_is_written_file_by_file_waits_until_it_is_whole() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("m/1");
        fs::create_dir_all(&dir).unwrap();
        let mut memory = Memory::default();
        let mut list = |now| memory.list(scan(root.path()).unwrap(), at(now), SETTLE);
        assert_eq!(waits(&list(0)), Some("metadata.json is missing"));
        fs::write(dir.join("metadata.json"), "{").unwrap();
        assert_eq!(waits(&list(9)), Some("metadata.json is cut off"));
        samples::write(&dir, &samples::document("m", 1));
        let weights = fs::read(dir.join("weights.safetensors")).unwrap();
        fs::write(dir.join("weights.safetensors"), &weights[..10]).unwrap();
        let want = format!("weights.safetensors has 10 of {} bytes", weights.len());
        let half = list(18);
        assert_eq!(
            waits(&half),
            Some(&*want),
            "each change starts the wait anew"
        );
        fs::write(dir.join("weights.safetensors"), &weights).unwrap();
        let whole = list(19);
        assert_eq!(waits(&whole), None);
        assert_ne!(half.versions["m"], whole.versions["m"]);
        assert_eq!(list(500), whole, "nothing changes where nothing changed");
    }

    #[test]
    fn what_stops_half_way_is_handed_over_once_it_has_settled() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("m/1");
        fs::create_dir_all(&dir).unwrap();
        let mut memory = Memory::default();
        let mut list = |now| memory.list(scan(root.path()).unwrap(), at(now), SETTLE);
        assert!(list(5).waits());
        assert!(list(14).waits(), "nine seconds are not ten");
        assert!(!list(15).waits());
        assert!(!list(99).waits(), "and it does not wait again");
        fs::write(dir.join("metadata.json"), "").unwrap();
        assert_eq!(waits(&list(100)), Some("metadata.json is cut off"));
        assert!(look(root.path()).unwrap().waits(), "a first look waits");
    }

    #[test]
    fn a_version_that_has_gone_is_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("m/1");
        fs::create_dir_all(&dir).unwrap();
        let mut memory = Memory::default();
        let mut list = |now| memory.list(scan(root.path()).unwrap(), at(now), SETTLE);
        assert!(list(0).waits());
        fs::remove_dir(&dir).unwrap();
        let empty = list(1);
        assert_eq!(empty.versions.len(), 1, "the model stays");
        assert!(empty.versions["m"].is_empty());
        fs::create_dir(&dir).unwrap();
        assert!(list(11).waits(), "it has been there since 11");
        assert_eq!(memory.0.len(), 1);
    }

    #[test]
    fn settling_counts_from_the_last_change() {
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
