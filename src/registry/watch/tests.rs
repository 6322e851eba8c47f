use std::fs;

use notify::event::{CreateKind, Flag, ModifyKind, RenameMode};

use super::*;
use crate::model::samples;
use crate::registry::publish;

/// A timeout that is reached only in a failing test.
const SOON: Duration = Duration::from_secs(60);
/// An interval that is longer than any test.
const NEVER: Duration = Duration::from_secs(3600);

fn settings(poll: Duration, stable_after: Duration) -> WatchSettings {
    WatchSettings { poll, stable_after }
}

/// Starts a watcher. Returns it with the lists that it reports.
fn watching(root: &Path, settings: WatchSettings) -> (RegistryWatcher, Receiver<Listing>) {
    let (lists, listings) = mpsc::channel();
    let hand = move |listing| drop(lists.send(listing));
    let watcher = RegistryWatcher::start(root.to_owned(), settings, hand);
    (watcher.unwrap(), listings)
}

/// Waits for the next list for which `wanted` returns true.
fn next(listings: &Receiver<Listing>, wanted: impl Fn(&Listing) -> bool) -> Listing {
    loop {
        let listing = listings.recv_timeout(SOON).expect("a list in time");
        if wanted(&listing) {
            return listing;
        }
    }
}

/// Returns the versions of `m` with what they wait for.
fn of_m(listing: &Listing) -> Vec<(u64, Option<&str>)> {
    let versions = listing.versions.get("m").into_iter().flatten();
    versions
        .map(|(version, listed)| (version.get(), listed.waits_for.as_deref()))
        .collect()
}

fn put(root: &Path, version: u64) {
    let (m, number) = ("m".parse().unwrap(), version.try_into().unwrap());
    let fill = |dir: &Path| -> io::Result<()> {
        samples::write(dir, &samples::document("m", version));
        Ok(())
    };
    publish(root, &m, number, fill).unwrap();
}

#[test]
fn added_and_removed_versions_are_reported_before_the_next_poll() {
    let root = tempfile::tempdir().unwrap();
    let (watch, listings) = watching(root.path(), settings(NEVER, NEVER));
    assert_eq!(
        next(&listings, |_| true),
        Listing::default(),
        "the first list"
    );
    put(root.path(), 1);
    next(&listings, |listing| of_m(listing) == [(1, None)]);
    put(root.path(), 2);
    next(&listings, |listing| of_m(listing) == [(1, None), (2, None)]);
    fs::remove_dir_all(root.path().join("m/1")).unwrap();
    next(&listings, |listing| of_m(listing) == [(2, None)]);
    fs::remove_dir_all(root.path().join("m/2")).unwrap();
    let empty = next(&listings, |listing| of_m(listing).is_empty());
    assert_eq!(empty.versions.len(), 1, "the model is still there");
    watch.stop();
    assert!(listings.recv().is_err(), "the thread has ended");
}

#[test]
fn a_folder_that_is_written_in_place_is_reported_when_it_is_complete() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("m/1");
    let (_watch, listings) = watching(root.path(), settings(NEVER, NEVER));
    fs::create_dir_all(&dir).unwrap();
    next(&listings, |l| {
        of_m(l) == [(1, Some("metadata.json is missing"))]
    });
    let manifest = samples::document("m", 1).to_string();
    fs::write(dir.join("metadata.json"), manifest).unwrap();
    next(&listings, |l| {
        of_m(l) == [(1, Some("weights.safetensors is missing"))]
    });
    fs::write(dir.join("weights.safetensors"), samples::weights()).unwrap();
    next(&listings, |listing| of_m(listing) == [(1, None)]);
}

#[test]
fn an_incomplete_folder_is_reported_once_it_is_stable() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("m/1")).unwrap();
    let stable_after = Duration::from_millis(300);
    let (_watch, listings) = watching(root.path(), settings(NEVER, stable_after));
    next(&listings, |l| {
        of_m(l) == [(1, Some("metadata.json is missing"))]
    });
    next(&listings, |listing| of_m(listing) == [(1, None)]);
}

#[cfg(unix)]
#[test]
fn an_unchanged_list_is_reported_only_on_request() {
    let above = tempfile::tempdir().unwrap();
    let (root, elsewhere) = (above.path().join("models"), above.path().join("elsewhere"));
    put(&elsewhere, 1);
    fs::create_dir(&root).unwrap();
    // Only polls find a change behind a symbolic link.
    std::os::unix::fs::symlink(elsewhere.join("m"), root.join("m")).unwrap();
    let (watch, listings) = watching(&root, settings(DEBOUNCE, NEVER));
    let mut last = next(&listings, |_| true);
    for version in 2..=5 {
        put(&elsewhere, version);
        last = next(&listings, |_| true);
        let numbers: Vec<u64> = of_m(&last).iter().map(|(number, _)| *number).collect();
        let wants: Vec<u64> = (1..=version).collect();
        assert_eq!(numbers, wants, "polls that find no change report nothing");
    }
    watch.look_now();
    assert_eq!(next(&listings, |_| true), last);
}

#[test]
fn an_unreadable_registry_is_not_reported_as_an_empty_one() {
    let above = tempfile::tempdir().unwrap();
    let (root, aside) = (above.path().join("models"), above.path().join("aside"));
    put(&root, 1);
    let (watch, listings) = watching(&root, settings(DEBOUNCE, NEVER));
    let first = next(&listings, |_| true);
    fs::rename(&root, &aside).unwrap();
    watch.look_now();
    assert!(
        listings.recv_timeout(DEBOUNCE * 6).is_err(),
        "no complete list"
    );
    fs::rename(&aside, &root).unwrap();
    assert_eq!(
        listings.recv_timeout(SOON).unwrap(),
        first,
        "the request is still open"
    );
}

#[cfg(unix)]
#[test]
fn changes_behind_a_link_are_seen_by_the_poll() {
    let above = tempfile::tempdir().unwrap();
    let (root, elsewhere) = (above.path().join("models"), above.path().join("elsewhere"));
    put(&elsewhere, 1);
    fs::create_dir(&root).unwrap();
    std::os::unix::fs::symlink(elsewhere.join("m"), root.join("m")).unwrap();
    let (_watch, listings) = watching(&root, settings(DEBOUNCE, NEVER));
    next(&listings, |listing| of_m(listing) == [(1, None)]);
    put(&elsewhere, 2);
    next(&listings, |listing| of_m(listing) == [(1, None), (2, None)]);
}

#[test]
fn a_watch_on_a_missing_folder_relies_on_the_poll() {
    let above = tempfile::tempdir().unwrap();
    let root = above.path().join("models");
    let (_watch, listings) = watching(&root, settings(DEBOUNCE, NEVER));
    assert!(
        listings.recv_timeout(DEBOUNCE * 6).is_err(),
        "there is nothing"
    );
    put(&root, 1);
    next(&listings, |listing| of_m(listing) == [(1, None)]);
}

#[test]
fn only_events_that_may_change_the_list_trigger_a_scan() {
    let event = |kind, path: &str| Event::new(kind).add_path(path.into());
    let access = |kind| EventKind::Access(kind);
    let (open, closed) = (
        AccessKind::Open(AccessMode::Any),
        AccessKind::Close(AccessMode::Write),
    );
    let created = EventKind::Create(CreateKind::File);
    let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::Both));
    let publishing = event(renamed, "/r/m/.staging-3-x").add_path("/r/m/3".into());
    for (event, want, why) in [
        (event(created, "/r/m/3/f"), true, "a new file"),
        (event(access(open), "/r/m/3/f"), false, "loading reads"),
        (event(access(closed), "/r/m/3/f"), true, "a written file"),
        (event(created, "/r/m/.staging-3-x/f"), false, "an upload"),
        (publishing, true, "the end of an upload"),
        (event(renamed, "/r/..data"), true, "a mount changes"),
        (
            Event::new(EventKind::Other).set_flag(Flag::Rescan),
            true,
            "events were lost",
        ),
    ] {
        assert_eq!(matters(&event), want, "{why}: {event:?}");
    }
}

#[test]
fn the_next_scan_is_at_the_poll_or_when_a_folder_may_be_stable() {
    let s = Duration::from_secs;
    for (poll, stable_after, waits, want) in [
        (30, 5, false, s(30)),
        (30, 5, true, s(5)),
        (3, 5, true, s(3)),
        (0, 5, false, DEBOUNCE),
    ] {
        let settings = settings(s(poll), s(stable_after));
        assert_eq!(settings.next_scan(waits), want, "{settings:?} {waits}");
    }
    assert_eq!(debounce(Duration::from_millis(1)), DEBOUNCE);
    assert_eq!(debounce(s(1)), s(9), "a tenth of the time");
}
