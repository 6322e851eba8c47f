//! Tests of durability: what a store on a disk must do beyond the common guarantees.

mod stored_documents;

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use tokio::signal::unix::{SignalKind, signal};

use super::*;
use crate::control::store::tests::{draft, model, revisions, set};
use crate::control::wanted::Pending;

/// Environment variable with the folder of a child process. Without it, a child's test does nothing.
const FOLDER: &str = "TAPER_TEST_STATE_FOLDER";

async fn all_changes(store: &EmbeddedStore) -> Vec<Record> {
    let range = RevisionRange {
        limit: 100_000,
        ..RevisionRange::default()
    };
    store.history(range).await.unwrap()
}

/// Returns a folder with the changes a: 1 and 3, b: 2.
async fn folder_of_three() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = open_when_unlocked(dir.path()).unwrap();
    set(&store, "a", 0).await;
    set(&store, "b", 0).await;
    set(&store, "a", 1).await;
    dir
}

/// Opens the store once the lock is free: a child process that another test starts inherits all open files until it executes
/// its program.
#[expect(
    clippy::disallowed_methods,
    reason = "a test waits for another process"
)]
fn open_when_unlocked(dir: &Path) -> Result<EmbeddedStore, OpenError> {
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
async fn a_folder_that_is_removed_or_replaced_takes_no_change_until_it_is_back() {
    let above = tempfile::tempdir().unwrap();
    let [dir, moved] = ["state", "moved"].map(|name| above.path().join(name));
    let store = open_when_unlocked(&dir).unwrap();
    assert_eq!(set(&store, "a", 0).await, 1);
    store.check().await.unwrap();
    let is_lost = async || {
        let (model, draft) = (model("a"), draft("lost", 1));
        let refused = store.compare_and_set(&model, Revision(1), draft).await;
        let found = store.check().await;
        for error in [refused.map(drop), found] {
            assert!(matches!(error, Err(StoreError::Lost(_))), "{error:?}");
        }
    };
    fs::rename(&dir, &moved).unwrap();
    is_lost().await;
    // A second gateway begins there.
    let second = open_when_unlocked(&dir).unwrap();
    is_lost().await;
    drop(second);
    fs::remove_dir_all(&dir).unwrap();
    fs::rename(&moved, &dir).unwrap();
    store.check().await.unwrap();
    assert_eq!(set(&store, "a", 1).await, 2);
    assert_eq!(revisions(&all_changes(&store).await), [1, 2]);
}

#[tokio::test]
async fn stored_changes_are_there_after_reopening() {
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
    let (before, all) = (all_changes(&store).await, store.all().await.unwrap());
    assert_eq!(revisions(&before), [1, 3, 4]);
    drop(store);
    let store = EmbeddedStore::open(&dir).unwrap();
    assert_eq!(all_changes(&store).await, before);
    assert_eq!(store.all().await.unwrap(), all);
    assert_eq!(*store.watch().borrow(), Revision(4));
    assert_eq!(store.compacted().await.unwrap(), Revision(2));
    assert_eq!(set(&store, "b", b).await, 5);
}

#[tokio::test]
async fn a_second_process_gets_the_id_of_the_process_that_has_the_folder() {
    let dir = folder_of_three().await;
    let store = open_when_unlocked(dir.path()).unwrap();
    let error = EmbeddedStore::open(dir.path()).unwrap_err();
    let expected = format!(
        "the state folder {} is used by another taper, process {}: stop it, or give this one another state folder",
        dir.path().display(),
        std::process::id()
    );
    assert_eq!(error.to_string(), expected);
    drop(store);
    open_when_unlocked(dir.path()).unwrap();
}

#[tokio::test]
async fn the_newest_records_are_read_while_the_store_is_open_and_written() {
    let dir = tempfile::tempdir().unwrap();
    let absent = EmbeddedStore::read_only_records(&dir.path().join("none")).unwrap();
    assert!(absent.is_empty() && fs::read_dir(dir.path()).unwrap().next().is_none());
    let store = Arc::new(open_when_unlocked(dir.path()).unwrap());
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
    let mut pending = draft("set", 51);
    pending.wanted.pending = Some(Pending {
        restores: Revision(50),
        until_ms: 1,
    });
    store
        .compare_and_set(&model("a"), Revision(51), pending)
        .await
        .unwrap();
    let records = EmbeddedStore::read_only_records(dir.path()).unwrap();
    assert_eq!(
        revisions(&records),
        [50, 52, 1],
        "50 is restored unless 52 is confirmed"
    );
}

#[tokio::test]
async fn a_newer_format_is_refused_with_its_number() {
    let dir = folder_of_three().await;
    let file = dir.path().join("state.redb");
    let database = open::open_existing(&file).unwrap().database;
    tables::set_format(&database, 2);
    drop(database);
    let error = EmbeddedStore::open(dir.path()).unwrap_err().to_string();
    for expected in [
        file.to_str().unwrap(),
        "format 2",
        "knows format 1",
        "newer taper",
    ] {
        assert!(error.contains(expected), "{error}: expected {expected}");
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
    let store = open_when_unlocked(dir.path()).unwrap();
    assert_eq!(set(&store, "c", 0).await, 4);
    // The file as a killed process leaves it: dropping the store would clean up.
    let whole = fs::read(&file).unwrap();
    drop(store);
    let mut refused = 0;
    // Every byte of the header, and some of every page.
    for place in (0..320).step_by(7).chain((320..whole.len()).step_by(509)) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x55;
        fs::write(&file, damaged).unwrap();
        match open_when_unlocked(dir.path()) {
            Ok(store) => assert_eq!(
                revisions(&all_changes(&store).await),
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
async fn a_change_that_returned_an_error_is_taken_back() {
    let dir = folder_of_three().await;
    let store = open_when_unlocked(dir.path()).unwrap();
    // As after a commit that failed although the change is in the file.
    for (name, previous) in [("a", Revision(3)), ("c", Revision(0))] {
        let record = draft("set", 0).into_record(&model(name), Revision(3), previous);
        let inner = &store.inner;
        inner
            .run(None, |database| tables::append(database, &record, 1000))
            .unwrap();
        *inner.uncertain.lock().unwrap() = Some(UncertainWrite::Change(Box::new(record)));
        *inner.database.write().unwrap() = None;
        assert_eq!(revisions(&all_changes(&store).await), [1, 2, 3]);
    }
    assert_eq!(set(&store, "c", 0).await, 4);
    drop(store);
    let store = open_when_unlocked(dir.path()).unwrap();
    assert_eq!(revisions(&store.all().await.unwrap()), [3, 2, 4]);
}

/// Runs the test `name` of this file in a child process whose folder is `dir`.
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

/// Writes a line to the test that started this process.
fn print_line(line: std::fmt::Arguments<'_>) {
    io::stdout()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

#[tokio::test]
async fn as_a_child_it_makes_changes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(FOLDER) else {
        return;
    };
    print_line(format_args!("opens"));
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
                print_line(format_args!("acknowledged {last}"));
            }
        });
    }
    writers.join_all().await;
}

/// Returns the revisions in complete `acknowledged` lines.
fn acknowledged(output: &str) -> impl Iterator<Item = u64> {
    let lines = output
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    // The name of the test may precede the first.
    lines.filter_map(|line| line.trim_end().split_once("acknowledged ")?.1.parse().ok())
}

#[tokio::test]
async fn every_acknowledged_change_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut highest = 0;
    for round in 0..20 {
        let mut child = child("as_a_child_it_makes_changes_until_it_is_killed", dir.path());
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        // Every fourth child is killed at its start, possibly while it repairs the file that the previous child left. The others are
        // killed after some changes.
        let changes = if round % 4 == 3 { 0 } else { 1 + round };
        while !text.contains("opens") || acknowledged(&text).count() < changes {
            assert_ne!(
                output.read_line(&mut text).unwrap(),
                0,
                "the child ended early: {text}"
            );
        }
        child.kill().unwrap();
        output.read_to_string(&mut text).unwrap();
        child.wait().unwrap();
        highest = acknowledged(&text).fold(highest, u64::max);

        let store = open_when_unlocked(dir.path()).unwrap();
        let kept = all_changes(&store).await;
        let there = revisions(&kept);
        let expected: Vec<u64> = (1..=there.len() as u64).collect();
        assert_eq!(there, expected, "round {round}: a revision is missing");
        assert!(
            there.len() as u64 >= highest,
            "round {round}: {highest} was acknowledged"
        );
        for record in store.all().await.unwrap() {
            let last = kept.iter().rfind(|kept| kept.model == record.model);
            assert_eq!(last, Some(&record), "round {round}");
        }
        // A change that was not acknowledged may be there. From here on it must stay.
        highest = there.len() as u64;
    }
    assert!(highest > 20, "only {highest} changes");
}

#[tokio::test]
async fn as_a_child_it_has_a_full_disk_for_a_while() {
    let Some(dir) = std::env::var_os(FOLDER) else {
        return;
    };
    // A process that handles this signal gets an error from the write instead.
    let _handled = signal(SignalKind::from_raw(25)).unwrap();
    let store = EmbeddedStore::open(Path::new(&dir)).unwrap();
    let mut last = set(&store, "a", 0).await;
    let (_, hard) = rlimit::Resource::FSIZE.get().unwrap();
    for _ in 0..3 {
        let length = fs::metadata(&store.inner.file).unwrap().len();
        rlimit::Resource::FSIZE.set(length, hard).unwrap();
        let error = loop {
            let mut large = draft("set", last);
            large.author.reason = "x".repeat(20_000);
            match store
                .compare_and_set(&model("a"), Revision(last), large)
                .await
            {
                Ok(record) => last = record.revision.0,
                Err(error) => break error,
            }
            assert!(last < 1000, "the disk is never full");
        };
        assert!(matches!(error, StoreError::Full), "{error:?}");
        let stale = store
            .compare_and_set(&model("a"), Revision(0), draft("set", 0))
            .await;
        assert!(matches!(stale, Err(StoreError::Conflict { current }) if current.0 == last));
        assert_eq!(store.all().await.unwrap()[0].revision.0, last);
        rlimit::Resource::FSIZE.set(hard, hard).unwrap();
        last = set(&store, "a", last).await;
        let expected: Vec<u64> = (1..=last).collect();
        assert_eq!(revisions(&all_changes(&store).await), expected);
    }
    print_line(format_args!("acknowledged {last}"));
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_the_store_works_again_once_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let ended = child("as_a_child_it_has_a_full_disk_for_a_while", dir.path())
        .wait_with_output()
        .unwrap();
    let output = String::from_utf8(ended.stdout).unwrap();
    assert!(ended.status.success(), "{output}");
    let store = open_when_unlocked(dir.path()).unwrap();
    let last = acknowledged(&output).last();
    assert_eq!(last, Some(store.watch().borrow().0), "{output}");
}
