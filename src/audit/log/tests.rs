//! The log on a disk that fails.

use std::process::Command;

use super::*;
use crate::audit::{read, verify};

const ROOMY: LogSettings = LogSettings {
    max_bytes: 1 << 20,
    keep: 8,
};
/// Environment variable with the folder for the child process.
const FOLDER: &str = "TAPER_TEST_AUDIT_FOLDER";

fn entry() -> Entry {
    Entry {
        reason: "r".repeat(1000),
        outcome: Entry::DONE.into(),
        ..Entry::default()
    }
}

/// A limit on the size of files causes a short write and then an error, like a full disk.
#[test]
fn on_a_full_disk_only_complete_lines_stay_and_the_chain_continues_later() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" --exact --ignored --nocapture \"$1\"";
    // Its output goes through a pipe, because the limit would apply to a file too.
    let child = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(format!(
            "{}::fills_the_disk",
            module_path!().split_once("::").unwrap().1
        ))
        .env(FOLDER, dir.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");
    let whole = verify(&files(dir.path()).unwrap()).unwrap();
    assert!(whole.lines >= 2, "{whole:?}");
    let mut log = Log::open(dir.path(), ROOMY).unwrap();
    assert_eq!(log.append(&entry()).unwrap(), whole.last_sequence + 1);
    assert!(verify(&files(dir.path()).unwrap()).is_ok());
}

#[test]
#[ignore = "runs in the child process of the previous test"]
fn fills_the_disk() {
    let Some(dir) = std::env::var_os(FOLDER) else {
        return;
    };
    let dir = Path::new(&dir);
    let mut log = Log::open(dir, ROOMY).unwrap();
    let error = (0..100).find_map(|_| log.append(&entry()).err());
    let error = error.expect("a write that fails").to_string();
    assert!(error.contains("audit.jsonl"), "{error}");
    let before = verify(&files(dir).unwrap()).unwrap();
    assert!(log.append(&entry()).is_err());
    assert_eq!(verify(&files(dir).unwrap()).unwrap(), before);
    // A shorter line still fits and gets the next sequence.
    let sequence = log.append(&Entry::default()).unwrap();
    assert_eq!(sequence, before.last_sequence + 1);
}

#[test]
fn a_partial_line_that_could_not_be_removed_is_removed_before_the_next_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), ROOMY).unwrap();
    log.append(&entry()).unwrap();
    // A handle that can neither write nor truncate, and a partial line.
    let current = dir.path().join(CURRENT);
    let good = log.file.replace(File::open(&current).unwrap());
    log.append(&entry()).unwrap_err();
    fs::write(
        &current,
        [fs::read(&current).unwrap(), b"{\"sequ".to_vec()].concat(),
    )
    .unwrap();
    log.append(&entry()).unwrap_err();
    log.file = good;
    assert_eq!(log.append(&entry()).unwrap(), 2);
    assert_eq!(verify(&[current]).unwrap().lines, 2);
}

#[test]
fn a_failed_rotation_loses_no_line() {
    let dir = tempfile::tempdir().unwrap();
    let tight = LogSettings {
        max_bytes: 1500,
        keep: 0,
    };
    let mut log = Log::open(dir.path(), tight).unwrap();
    log.append(&entry()).unwrap();
    let in_use = dir.path().join("audit-000000000001.jsonl");
    fs::write(&in_use, "other").unwrap();
    let error = log.append(&entry()).unwrap_err().to_string();
    assert!(error.contains("already exists"), "{error}");
    assert_eq!(fs::read_to_string(&in_use).unwrap(), "other");
    fs::remove_file(&in_use).unwrap();
    // The file is renamed, but the new one cannot be created: the next call continues.
    log.rotate().unwrap();
    fs::create_dir(dir.path().join(CURRENT)).unwrap();
    log.append(&entry()).unwrap_err();
    fs::remove_dir(dir.path().join(CURRENT)).unwrap();
    assert_eq!(log.append(&entry()).unwrap(), 2);
    assert!(!in_use.exists(), "no old file is kept");
    assert_eq!(read(dir.path(), 1).unwrap().count(), 1);
    assert_eq!(
        Log::open(dir.path(), tight)
            .unwrap()
            .append(&entry())
            .unwrap(),
        3
    );
}
