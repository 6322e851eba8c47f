//! What only a store on a disk must do: come back.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use tokio::signal::unix::{SignalKind, signal};

use super::*;
use crate::control::store::tests::{draft, model, revisions, set};
use crate::control::wanted::Pending;

/// Where a child finds its folder. Without it, a child's test does nothing.
const FOLDER: &str = "TAPER_TEST_STATE_FOLDER";

async fn everything(store: &EmbeddedStore) -> Vec<Record> {
    let span = Span {
        limit: 100_000,
        ..Span::default()
    };
    store.history(span).await.unwrap()
}

/// A folder with the changes a: 1 3, b: 2.
async fn folder_of_three() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = patiently(dir.path()).unwrap();
    set(&store, "a", 0).await;
    set(&store, "b", 0).await;
    set(&store, "a", 1).await;
    dir
}

/// Opens once the lock is free: a child that another test starts holds copies of all files until its program begins.
#[expect(
    clippy::disallowed_methods,
    reason = "a test waits for another process"
)]
fn patiently(dir: &Path) -> Result<EmbeddedStore, OpenError> {
    for _ in 0..6_000 {
        match EmbeddedStore::open(dir) {
            Err(OpenError::InUse { .. }) => {
                std::thread::sleep(std::time::Duration::from_millis(10))
            }
            other => return other,
        }
    }
    EmbeddedStore::open(dir)
}

#[tokio::test]
async fn what_was_stored_is_there_after_reopening() {
    let above = tempfile::tempdir().unwrap();
    let dir = above.path().join("new/state");
    let store = EmbeddedStore::keeping(&dir, 2);
    assert_eq!(
        fs::metadata(&dir).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let (mut a, b) = (0, set(&store, "b", 0).await);
    for _ in 0..3 {
        a = set(&store, "a", a).await;
    }
    let (before, all) = (everything(&store).await, store.all().await.unwrap());
    assert_eq!(revisions(&before), [1, 3, 4]);
    drop(store);
    let store = EmbeddedStore::open(&dir).unwrap();
    assert_eq!(everything(&store).await, before);
    assert_eq!(store.all().await.unwrap(), all);
    assert_eq!(*store.watch().borrow(), Revision(4));
    assert_eq!(store.compacted().await.unwrap(), Revision(2));
    assert_eq!(set(&store, "b", b).await, 5);
}

#[tokio::test]
async fn a_second_process_is_told_who_has_the_folder() {
    let dir = folder_of_three().await;
    let store = patiently(dir.path()).unwrap();
    let error = EmbeddedStore::open(dir.path()).unwrap_err();
    let wants = format!(
        "the state folder {} is used by another taper, process {}: stop it, or give this one another state folder",
        dir.path().display(),
        std::process::id()
    );
    assert_eq!(error.to_string(), wants);
    drop(store);
    patiently(dir.path()).unwrap();
}

#[tokio::test]
async fn the_newest_records_are_read_while_the_store_is_open_and_written() {
    let dir = tempfile::tempdir().unwrap();
    let absent = EmbeddedStore::read_only_records(&dir.path().join("none")).unwrap();
    assert!(absent.is_empty() && fs::read_dir(dir.path()).unwrap().next().is_none());
    let store = Arc::new(patiently(dir.path()).unwrap());
    assert!(
        EmbeddedStore::read_only_records(dir.path())
            .unwrap()
            .is_empty()
    );
    set(&*store, "b", 0).await;
    let writer = Arc::clone(&store);
    let mut writing = tokio::task::JoinSet::new();
    writing.spawn(async move {
        let mut last = 0;
        for _ in 0..50 {
            last = set(&*writer, "a", last).await;
        }
    });
    while !writing.is_empty() {
        let path = dir.path().to_owned();
        let read = spawn_blocking(move || EmbeddedStore::read_only_records(&path).unwrap());
        assert!(!read.await.unwrap().is_empty());
        writing.try_join_next().transpose().unwrap();
    }
    let mut waits = draft("set", 51);
    waits.wanted.pending = Some(Pending {
        restores: Revision(50),
        until_ms: 1,
    });
    store
        .compare_and_set(&model("a"), Revision(51), waits)
        .await
        .unwrap();
    let records = EmbeddedStore::read_only_records(dir.path()).unwrap();
    assert_eq!(
        revisions(&records),
        [50, 52, 1],
        "50 comes back unless 52 is confirmed"
    );
}

#[tokio::test]
async fn a_newer_format_is_refused_with_its_number() {
    let dir = folder_of_three().await;
    let file = dir.path().join("state.redb");
    let (database, _) = open::existing(&file).unwrap();
    tables::set_format(&database, 2);
    drop(database);
    let error = EmbeddedStore::open(dir.path()).unwrap_err().to_string();
    for wants in [
        file.to_str().unwrap(),
        "format 2",
        "knows format 1",
        "newer taper",
    ] {
        assert!(error.contains(wants), "{error}: wants {wants}");
    }
    assert!(matches!(
        EmbeddedStore::read_only_records(dir.path()),
        Err(OpenError::Newer { found: 2, .. })
    ));
}

#[tokio::test]
async fn a_damaged_file_is_refused_by_name_and_left_alone() {
    let dir = folder_of_three().await;
    let file = dir.path().join("state.redb");
    let whole = fs::read(&file).unwrap();
    for (content, what) in [
        (&b""[..], "empty"),
        (b"policies, labels and history\n", "a text"),
        (&vec![0; whole.len()], "zeros"),
        (&whole[..whole.len() / 2], "half of it"),
        (&whole[..4096], "one page of it"),
    ] {
        fs::write(&file, content).unwrap();
        let error = EmbeddedStore::open(dir.path()).unwrap_err();
        assert!(
            matches!(error, OpenError::Damaged { .. }),
            "{what}: {error:?}"
        );
        assert!(
            error.to_string().contains(file.to_str().unwrap()),
            "{what}: {error}"
        );
        assert!(
            EmbeddedStore::read_only_records(dir.path()).is_err(),
            "{what}"
        );
        assert_eq!(fs::read(&file).unwrap().len(), content.len(), "{what}");
    }
}

#[tokio::test]
async fn a_flipped_byte_is_refused_or_harmless() {
    let dir = folder_of_three().await;
    let file = dir.path().join("state.redb");
    let store = patiently(dir.path()).unwrap();
    assert_eq!(set(&store, "c", 0).await, 4);
    // As a process that is killed leaves it: closing would tidy up.
    let whole = fs::read(&file).unwrap();
    drop(store);
    let mut refused = 0;
    // Every byte of the header, and some of every page.
    for place in (0..320).step_by(7).chain((320..whole.len()).step_by(509)) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x55;
        fs::write(&file, damaged).unwrap();
        match patiently(dir.path()) {
            Ok(store) => assert_eq!(
                revisions(&everything(&store).await),
                [1, 2, 3, 4],
                "byte {place}"
            ),
            Err(OpenError::Damaged { .. }) => refused += 1,
            Err(other) => panic!("byte {place}: {other:?}"),
        }
    }
    assert!(refused > 5, "only {refused} refused");
}

#[tokio::test]
async fn a_change_that_was_answered_with_an_error_is_taken_back() {
    let dir = folder_of_three().await;
    let store = patiently(dir.path()).unwrap();
    // As after a transaction that failed at the end, and is in the file all the same.
    for (name, previous) in [("a", Revision(3)), ("c", Revision(0))] {
        let record = draft("set", 0).into_record(&model(name), Revision(3), previous);
        let inner = &store.inner;
        inner
            .run(None, |database| tables::append(database, &record, 1000))
            .unwrap();
        *inner.doubtful.lock().unwrap() = Some(record);
        *inner.database.write().unwrap() = None;
        assert_eq!(revisions(&everything(&store).await), [1, 2, 3]);
    }
    assert_eq!(set(&store, "c", 0).await, 4);
    drop(store);
    let store = patiently(dir.path()).unwrap();
    assert_eq!(revisions(&store.all().await.unwrap()), [3, 2, 4]);
}

/// Runs the test `name` of this file in a process of its own, with `dir` as its folder.
fn child(name: &str, dir: &Path) -> Child {
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    let command = command.args([&format!("{module}::{name}"), "--exact", "--nocapture"]);
    let command = command
        .env(FOLDER, dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command.spawn().unwrap()
}

/// Says something to the test that started this process.
fn say(words: std::fmt::Arguments<'_>) {
    io::stdout()
        .write_all(format!("{words}\n").as_bytes())
        .unwrap();
}

#[tokio::test]
async fn as_a_child_changes_are_made_until_the_process_is_killed() {
    let Some(dir) = std::env::var_os(FOLDER) else {
        return;
    };
    say(format_args!("opens"));
    let store = Arc::new(EmbeddedStore::open(Path::new(&dir)).unwrap());
    let mut writers = tokio::task::JoinSet::new();
    for name in ["a", "b", "c"] {
        let store = Arc::clone(&store);
        let records = store.all().await.unwrap();
        let mut last = records
            .iter()
            .find(|record| record.model == model(name))
            .map_or(0, |r| r.revision.0);
        writers.spawn(async move {
            loop {
                last = set(&*store, name, last).await;
                say(format_args!("acknowledged {last}"));
            }
        });
    }
    writers.join_all().await;
}

/// The numbers in whole lines that say so.
fn acknowledged(said: &str) -> impl Iterator<Item = u64> {
    let whole = said
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    // The test's own name may stand before the first.
    whole.filter_map(|line| line.trim_end().split_once("acknowledged ")?.1.parse().ok())
}

#[tokio::test]
async fn every_acknowledged_change_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut highest = 0;
    for round in 0..20 {
        let mut child = child(
            "as_a_child_changes_are_made_until_the_process_is_killed",
            dir.path(),
        );
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        // Every fourth is killed at its start, perhaps while it repairs what the one before has left; the others after some changes.
        let changes = if round % 4 == 3 { 0 } else { 1 + round };
        while !text.contains("opens") || acknowledged(&text).count() < changes {
            assert_ne!(
                said.read_line(&mut text).unwrap(),
                0,
                "ended by itself: {text}"
            );
        }
        child.kill().unwrap();
        said.read_to_string(&mut text).unwrap();
        child.wait().unwrap();
        highest = acknowledged(&text).fold(highest, u64::max);

        let store = patiently(dir.path()).unwrap();
        let kept = everything(&store).await;
        let there = revisions(&kept);
        let wants: Vec<u64> = (1..=there.len() as u64).collect();
        assert_eq!(there, wants, "round {round}: a gap");
        assert!(
            there.len() as u64 >= highest,
            "round {round}: {highest} was acknowledged"
        );
        for record in store.all().await.unwrap() {
            let last = kept.iter().rfind(|kept| kept.model == record.model);
            assert_eq!(last, Some(&record), "round {round}");
        }
        // One that was not acknowledged may be there; from here on it counts.
        highest = there.len() as u64;
    }
    assert!(highest > 20, "only {highest} changes");
}

#[tokio::test]
async fn as_a_child_the_disk_is_full_for_a_while() {
    let Some(dir) = std::env::var_os(FOLDER) else {
        return;
    };
    // Whoever handles the signal gets an error instead of it.
    let _handled = signal(SignalKind::from_raw(25)).unwrap();
    let store = EmbeddedStore::open(Path::new(&dir)).unwrap();
    let mut last = set(&store, "a", 0).await;
    let (_, hard) = rlimit::Resource::FSIZE.get().unwrap();
    for _ in 0..3 {
        let length = fs::metadata(&store.inner.file).unwrap().len();
        rlimit::Resource::FSIZE.set(length, hard).unwrap();
        let error = loop {
            let mut large = draft("set", last);
            large.signed.reason = "x".repeat(20_000);
            match store
                .compare_and_set(&model("a"), Revision(last), large)
                .await
            {
                Ok(record) => last = record.revision.0,
                Err(error) => break error,
            }
            assert!(last < 1000, "never full");
        };
        assert!(matches!(error, StoreError::Full), "{error:?}");
        let stale = store
            .compare_and_set(&model("a"), Revision(0), draft("set", 0))
            .await;
        assert!(matches!(stale, Err(StoreError::Conflict { current }) if current.0 == last));
        assert_eq!(store.all().await.unwrap()[0].revision.0, last);
        rlimit::Resource::FSIZE.set(hard, hard).unwrap();
        last = set(&store, "a", last).await;
        let wants: Vec<u64> = (1..=last).collect();
        assert_eq!(revisions(&everything(&store).await), wants);
    }
    say(format_args!("acknowledged {last}"));
}

#[tokio::test]
async fn a_full_disk_is_told_and_the_store_goes_on_once_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let ended = child("as_a_child_the_disk_is_full_for_a_while", dir.path())
        .wait_with_output()
        .unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    assert!(ended.status.success(), "{said}");
    let store = patiently(dir.path()).unwrap();
    let last = acknowledged(&said).last();
    assert_eq!(last, Some(store.watch().borrow().0), "{said}");
}
