//! What the log does when the disk does not.

use std::process::Command;

use super::*;
use crate::audit::{read, verify};

const ROOMY: LogSettings = LogSettings {
    max_bytes: 1 << 20,
    keep: 8,
};
/// Where the process with the small disk finds its folder.
const FOLDER: &str = "TAPER_TEST_AUDIT_FOLDER";

fn entry() -> Entry {
    Entry {
        reason: "r".repeat(1000),
        outcome: Entry::DONE.into(),
        ..Entry::default()
    }
}

/// The bound on the size of a file gives short writes and then an error, as a full disk does.
#[test]
fn on_a_full_disk_only_whole_lines_stay_and_the_chain_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" --exact --ignored --nocapture \"$1\"";
    // Its output goes through a pipe: the bound would hold for a file that it is printed to as well.
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
#[ignore = "the other half of the test before it, in a process of its own"]
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
    // A shorter line still fits, and has the next place.
    let sequence = log.append(&Entry::default()).unwrap();
    assert_eq!(sequence, before.last_sequence + 1);
}

#[test]
fn half_a_line_that_could_not_be_cut_off_is_cut_off_before_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), ROOMY).unwrap();
    log.append(&entry()).unwrap();
    // A handle that can neither write nor cut, and half a line that it left.
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
fn a_file_that_cannot_be_put_aside_costs_no_line() {
    let dir = tempfile::tempdir().unwrap();
    let tight = LogSettings {
        max_bytes: 1500,
        keep: 0,
    };
    let mut log = Log::open(dir.path(), tight).unwrap();
    log.append(&entry()).unwrap();
    let taken = dir.path().join("audit-000000000001.jsonl");
    fs::write(&taken, "mine").unwrap();
    let error = log.append(&entry()).unwrap_err().to_string();
    assert!(error.contains("is there already"), "{error}");
    assert_eq!(fs::read_to_string(&taken).unwrap(), "mine");
    fs::remove_file(&taken).unwrap();
    // Put aside, and then the new file cannot be made: the next call goes on.
    log.rotate().unwrap();
    fs::create_dir(dir.path().join(CURRENT)).unwrap();
    log.append(&entry()).unwrap_err();
    fs::remove_dir(dir.path().join(CURRENT)).unwrap();
    assert_eq!(log.append(&entry()).unwrap(), 2);
    assert!(!taken.exists(), "none beside the current one is kept");
    assert_eq!(read(dir.path(), 1).unwrap().count(), 1);
    assert_eq!(
        Log::open(dir.path(), tight)
            .unwrap()
            .append(&entry())
            .unwrap(),
        3
    );
}
