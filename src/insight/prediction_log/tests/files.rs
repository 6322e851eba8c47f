//! The files: created, rotated, compressed, and left unchanged if they are not the log's.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;

use flate2::read::GzDecoder;

use super::*;

fn uncompressed(path: &Path) -> String {
    let mut text = String::new();
    let mut compressed = GzDecoder::new(fs::File::open(path).unwrap());
    compressed.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn full_files_are_compressed_and_the_oldest_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.jsonl");
    let mut file = LogFile::open(settings(path.clone())).unwrap();
    let line = |at: u8| format!("{{\"at\": {at:050}}}\n");
    for at in 0..10 {
        file.write(line(at).as_bytes()).unwrap();
        assert_eq!(file.take_rotated(), at > 0);
        if at % 2 == 0 {
            file.full().tidy(&AtomicBool::new(false)).unwrap();
        }
    }
    let ended = AtomicBool::new(true);
    file.full().tidy(&ended).unwrap();
    let plain = dir.path().join("log.jsonl.000009");
    assert_eq!(
        fs::read_to_string(&plain).unwrap(),
        line(8),
        "the end does not wait for compression"
    );
    file.full().tidy(&AtomicBool::new(false)).unwrap();
    let kept = ["log.jsonl", "log.jsonl.000008.gz", "log.jsonl.000009.gz"];
    assert_eq!(names(dir.path()), kept);
    assert_eq!(fs::read_to_string(&path).unwrap(), line(9));
    let old = dir.path().join("log.jsonl.000009.gz");
    assert_eq!(uncompressed(&old), line(8));
    for file in [path, old, dir.path().join("log.jsonl.lock")] {
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(
            mode & 0o777,
            0o600,
            "{}: it contains inputs",
            file.display()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_moved_or_removed_is_followed_by_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.jsonl");
    let small = LogSettings {
        max_bytes: 20,
        ..settings(path.clone())
    };
    let mut file = LogFile::open(small).unwrap();
    let text = || fs::read_to_string(&path).unwrap();
    file.write(b"{\"at\": 1}\n").unwrap();
    // The next line needs a new file, so the path is checked at once.
    fs::remove_file(&path).unwrap();
    file.write(b"{\"at\": 2, \"x\": 1}\n").unwrap();
    assert!(file.is_well() && text() == "{\"at\": 2, \"x\": 1}\n");
    file.write(b"{\"at\": 3}\n").unwrap();
    assert_eq!(text(), "{\"at\": 3}\n");
    // As logrotate does.
    let moved = dir.path().join("moved");
    fs::rename(&path, &moved).unwrap();
    fs::write(&path, "").unwrap();
    tokio::time::advance(CHECK_INTERVAL).await;
    file.write(b"{}\n").unwrap();
    assert_eq!(fs::read_to_string(&moved).unwrap(), "{\"at\": 3}\n");
    assert_eq!(text(), "{}\n");
    // As its `copytruncate` does: the size now counts from there.
    fs::write(&path, "").unwrap();
    tokio::time::advance(CHECK_INTERVAL).await;
    for _ in 0..6 {
        file.write(b"{}\n").unwrap();
    }
    assert_eq!(text().lines().count(), 6);
    fs::remove_file(&path).unwrap();
    tokio::time::advance(CHECK_INTERVAL).await;
    file.write(b"").unwrap();
    assert!(!path.exists(), "no file is created without a line");
}

#[test]
fn a_file_that_is_not_a_prediction_log_is_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("passwd");
    let refused = |path: &Path| {
        let reason = settings(path.into()).check().unwrap_err();
        let error = LogFile::open(settings(path.into())).unwrap_err();
        assert_eq!(error.to_string(), reason);
        reason
    };
    fs::write(&path, "root:x:0:0\nno end").unwrap();
    assert!(refused(&path).contains("passwd is not a prediction log"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "root:x:0:0\nno end");
    assert!(refused(dir.path()).contains("is not a regular file"));
    assert!(refused(&dir.path().join("none/log")).contains("none is not a folder"));
    assert_eq!(names(dir.path()), ["passwd"], "nothing was created");
    // Next to a good log: files with names of other forms, and one that is not a log.
    let others = ["a.so.1", "a.so.1.part", "a.so.0000001", "a.so.000001"];
    for name in others {
        fs::write(dir.path().join(name), "ELF").unwrap();
    }
    let keeps_none = LogSettings {
        keep: 0,
        ..settings(dir.path().join("a.so"))
    };
    let file = LogFile::open(keeps_none).unwrap();
    file.full().tidy(&AtomicBool::new(false)).unwrap();
    for name in others {
        assert_eq!(fs::read_to_string(dir.path().join(name)).unwrap(), "ELF");
    }
}

#[test]
fn a_second_gateway_is_refused_with_the_process_id_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.jsonl");
    let first = LogFile::open(settings(path.clone())).unwrap();
    let error = LogFile::open(settings(path.clone())).unwrap_err();
    let holder = format!("process {} is writing to it", std::process::id());
    assert_eq!(error.to_string(), holder);
    drop(first);
    LogFile::open(settings(path)).unwrap();
}

#[test]
fn a_gateway_starts_although_a_file_cannot_be_compressed() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("log.jsonl.000001"), "{}\n").unwrap();
    // Nothing can be written there, as on a full disk.
    fs::create_dir(at("log.jsonl.000001.part")).unwrap();
    let telemetry = Telemetry::new().unwrap();
    let started = PredictionLog::start(settings(at("log.jsonl")), telemetry.log());
    let (log, thread) = started.unwrap();
    log.enqueue(entry(row()));
    thread.finish();
    assert_eq!(fs::read_to_string(at("log.jsonl.000001")).unwrap(), "{}\n");
    let text = fs::read_to_string(at("log.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_old_file_is_rotated_even_without_a_new_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = LogFile::open(settings(dir.path().join("log.jsonl"))).unwrap();
    file.write(b"{}\n").unwrap();
    tokio::time::advance(Duration::from_secs(3599)).await;
    file.write(b"").unwrap();
    assert_eq!(names(dir.path()), ["log.jsonl"]);
    tokio::time::advance(Duration::from_secs(1)).await;
    file.write(b"").unwrap();
    assert_eq!(names(dir.path()), ["log.jsonl.000001"]);
}

#[test]
fn the_next_start_completes_what_a_crash_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("log.jsonl"), "{}\n{\"hal").unwrap();
    fs::write(at("log.jsonl.000001"), "{\"packed\": false}\n").unwrap();
    fs::write(at("log.jsonl.000001.part"), "half of it").unwrap();
    fs::write(at("log.jsonl.bak"), "not of the log").unwrap();
    let mut file = LogFile::open(settings(at("log.jsonl"))).unwrap();
    file.write(b"{\"next\": 1}\n").unwrap();
    assert_eq!(
        fs::read_to_string(at("log.jsonl")).unwrap(),
        "{}\n{\"next\": 1}\n"
    );
    file.full().tidy(&AtomicBool::new(false)).unwrap();
    assert_eq!(
        uncompressed(&at("log.jsonl.000001.gz")),
        "{\"packed\": false}\n"
    );
    assert_eq!(
        names(dir.path()),
        ["log.jsonl", "log.jsonl.000001.gz", "log.jsonl.bak"]
    );
}
