use std::fs;

use notify::event::{CreateKind, Flag, ModifyKind, RenameMode};

use super::*;
use crate::model::samples;
use crate::registry::publish;

/// Nothing is waited for so long unless something is broken.
const SOON: Duration = Duration::from_secs(60);
/// A poll that no test lives to see.
const NEVER: Duration = Duration::from_secs(3600);

fn settings(poll: Duration, settle: Duration) -> WatchSettings {
    WatchSettings { poll, settle }
}

/// A watch, and what it hands over.
fn watching(root: &Path, settings: WatchSettings) -> (Watch, Receiver<Listing>) {
    let (lists, seen) = mpsc::channel();
    let hand = move |listing| drop(lists.send(listing));
    (watch(root.to_owned(), settings, hand).unwrap(), seen)
}

/// The next list that `wanted` holds for.
fn next(seen: &Receiver<Listing>, wanted: impl Fn(&Listing) -> bool) -> Listing {
    loop {
        let listing = seen.recv_timeout(SOON).expect("a list in time");
        if wanted(&listing) {
            return listing;
        }
    }
}

/// Versions of `m`, and what they wait for.
fn of_m(listing: &Listing) -> Vec<(u64, Option<&str>)> {
    let versions = listing.versions.get("m").into_iter().flatten();
    versions
        .map(|(version, seen)| (version.get(), seen.waits.as_deref()))
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
fn versions_that_come_and_go_are_seen_without_waiting_for_the_poll() {
    let root = tempfile::tempdir().unwrap();
    let (watch, seen) = watching(root.path(), settings(NEVER, NEVER));
    assert_eq!(next(&seen, |_| true), Listing::default(), "what there is");
    put(root.path(), 1);
    next(&seen, |listing| of_m(listing) == [(1, None)]);
    put(root.path(), 2);
    next(&seen, |listing| of_m(listing) == [(1, None), (2, None)]);
    fs::remove_dir_all(root.path().join("m/1")).unwrap();
    next(&seen, |listing| of_m(listing) == [(2, None)]);
    fs::remove_dir_all(root.path().join("m/2")).unwrap();
    let empty = next(&seen, |listing| of_m(listing).is_empty());
    assert_eq!(empty.versions.len(), 1, "the model is still there");
    watch.stop();
    assert!(seen.recv().is_err(), "the thread has ended");
}

#[test]
fn a_folder_that_is_written_in_place_is_handed_over_when_it_is_whole() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("m/1");
    let (_watch, seen) = watching(root.path(), settings(NEVER, NEVER));
    fs::create_dir_all(&dir).unwrap();
    next(&seen, |l| {
        of_m(l) == [(1, Some("metadata.json is missing"))]
    });
    let manifest = samples::document("m", 1).to_string();
    fs::write(dir.join("metadata.json"), manifest).unwrap();
    next(&seen, |l| {
        of_m(l) == [(1, Some("weights.safetensors is missing"))]
    });
    fs::write(dir.join("weights.safetensors"), samples::weights()).unwrap();
    next(&seen, |listing| of_m(listing) == [(1, None)]);
}

#[test]
fn a_folder_that_stays_half_is_handed_over_once_it_has_settled() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("m/1")).unwrap();
    let settle = Duration::from_millis(300);
    let (_watch, seen) = watching(root.path(), settings(NEVER, settle));
    next(&seen, |l| {
        of_m(l) == [(1, Some("metadata.json is missing"))]
    });
    next(&seen, |listing| of_m(listing) == [(1, None)]);
}

#[cfg(unix)]
#[test]
fn who_asks_is_answered_even_if_nothing_has_changed_and_nobody_else_is() {
    let above = tempfile::tempdir().unwrap();
    let (root, elsewhere) = (above.path().join("models"), above.path().join("elsewhere"));
    put(&elsewhere, 1);
    fs::create_dir(&root).unwrap();
    // Behind a link only polls see a change.
    std::os::unix::fs::symlink(elsewhere.join("m"), root.join("m")).unwrap();
    let (watch, seen) = watching(&root, settings(QUIET, NEVER));
    let mut last = next(&seen, |_| true);
    for version in 2..=5 {
        put(&elsewhere, version);
        last = next(&seen, |_| true);
        let numbers: Vec<u64> = of_m(&last).iter().map(|(number, _)| *number).collect();
        let wants: Vec<u64> = (1..=version).collect();
        assert_eq!(
            numbers, wants,
            "polls that find nothing new hand nothing over"
        );
    }
    watch.look_now();
    assert_eq!(next(&seen, |_| true), last);
}

#[test]
fn a_registry_that_cannot_be_read_is_not_handed_over_as_an_empty_one() {
    let above = tempfile::tempdir().unwrap();
    let (root, aside) = (above.path().join("models"), above.path().join("aside"));
    put(&root, 1);
    let (watch, seen) = watching(&root, settings(QUIET, NEVER));
    let first = next(&seen, |_| true);
    fs::rename(&root, &aside).unwrap();
    watch.look_now();
    assert!(seen.recv_timeout(QUIET * 6).is_err(), "nothing is known");
    fs::rename(&aside, &root).unwrap();
    assert_eq!(seen.recv_timeout(SOON).unwrap(), first, "who asked is told");
}

#[cfg(unix)]
#[test]
fn what_lies_behind_a_link_is_seen_by_the_poll() {
    let above = tempfile::tempdir().unwrap();
    let (root, elsewhere) = (above.path().join("models"), above.path().join("elsewhere"));
    put(&elsewhere, 1);
    fs::create_dir(&root).unwrap();
    std::os::unix::fs::symlink(elsewhere.join("m"), root.join("m")).unwrap();
    let (_watch, seen) = watching(&root, settings(QUIET, NEVER));
    next(&seen, |listing| of_m(listing) == [(1, None)]);
    put(&elsewhere, 2);
    next(&seen, |listing| of_m(listing) == [(1, None), (2, None)]);
}

#[test]
fn a_watch_on_nothing_relies_on_the_poll() {
    let above = tempfile::tempdir().unwrap();
    let root = above.path().join("models");
    let (_watch, seen) = watching(&root, settings(QUIET, NEVER));
    assert!(seen.recv_timeout(QUIET * 6).is_err(), "there is nothing");
    put(&root, 1);
    next(&seen, |listing| of_m(listing) == [(1, None)]);
}

#[test]
fn only_what_may_change_the_list_causes_a_look() {
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
        (event(created, "/r/m/3/f"), true, "a file comes"),
        (event(access(open), "/r/m/3/f"), false, "loading reads"),
        (event(access(closed), "/r/m/3/f"), true, "it was written"),
        (event(created, "/r/m/.staging-3-x/f"), false, "an upload"),
        (publishing, true, "the upload has its place"),
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
fn looks_come_at_the_poll_or_when_something_may_have_settled() {
    let s = Duration::from_secs;
    for (poll, settle, waits, want) in [
        (30, 5, false, s(30)),
        (30, 5, true, s(5)),
        (3, 5, true, s(3)),
        (0, 5, false, QUIET),
    ] {
        let settings = settings(s(poll), s(settle));
        assert_eq!(settings.next_look(waits), want, "{settings:?} {waits}");
    }
    assert_eq!(quiet(Duration::from_millis(1)), QUIET);
    assert_eq!(quiet(s(1)), s(9), "a tenth of the time");
}
