//! Lines, their chain, and every way of tampering with it.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::{AuditError, Entry, Log, LogSettings, files, read, verify};

const ROOMY: LogSettings = LogSettings {
    max_bytes: 1 << 20,
    keep: 3,
};

fn entry(revision: u64) -> Entry {
    Entry {
        actor: "ann".into(),
        reason: "why".into(),
        action: "undo".into(),
        model: "m".into(),
        revision: Some(revision),
        outcome: Entry::DONE.into(),
        ..Entry::default()
    }
}

/// A log of `lines` lines in a folder of its own.
fn log_of(lines: u64, settings: LogSettings) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), settings).unwrap();
    for revision in 1..=lines {
        assert_eq!(log.append(&entry(revision)).unwrap(), revision);
    }
    dir
}

fn current(dir: &Path) -> PathBuf {
    dir.join("audit.jsonl")
}

/// The line that is named after `tamper` had a hand in the lines of a log of four.
fn named(tamper: impl FnOnce(&mut Vec<String>)) -> Option<u64> {
    let dir = log_of(4, ROOMY);
    let path = current(dir.path());
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    tamper(&mut lines);
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    verify(&[path]).err().map(|broken| broken.line)
}

#[test]
fn what_was_appended_is_read_back_and_a_log_goes_on_where_it_ended() {
    let dir = log_of(2, ROOMY);
    let mut log = Log::open(dir.path(), ROOMY).unwrap();
    assert_eq!(log.last_revision(), 2);
    assert_eq!(log.append(&entry(9)).unwrap(), 3);
    let lines: Vec<_> = read(dir.path(), 1).unwrap().map(Result::unwrap).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[1].contains("\"revision\":9"), "{lines:?}");
    let head = verify(&files(dir.path()).unwrap()).unwrap();
    assert_eq!(
        (head.lines, head.first_sequence, head.last_sequence),
        (3, 1, 3)
    );
    assert!(lines[1].contains(&head.hash));
}

/// The hashes were computed with hashlib over the lines as the module's documentation describes them.
#[test]
fn two_lines_have_the_bytes_that_another_program_gives_them() {
    const FIRST: &str = "361346fa1042f250ed2f9cfcb1b7640d6215c71d4ae150d5004e66959dd60e78";
    const SECOND: &str = "e1b2f9934a1b675b2fe2ab76b57446ed557da2e0b4f10cde24e9be9b21b0e800";
    let line = |sequence: u64, previous: &str, hash: &str| {
        format!(
            "{{\"sequence\":{sequence},\"time\":\"1970-01-01T00:00:00Z\",\"actor\":\"ann\",\"reason\":\"why\",\
             \"action\":\"undo\",\"model\":\"m\",\"revision\":{sequence},\"outcome\":\"done\",\
             \"previous\":\"{previous}\",\"hash\":\"{hash}\"}}\n"
        )
    };
    let dir = log_of(2, ROOMY);
    let text = fs::read_to_string(current(dir.path())).unwrap();
    let wanted = line(1, &"0".repeat(64), FIRST) + &line(2, FIRST, SECOND);
    assert_eq!(text, wanted);
}

#[test]
fn every_kind_of_tampering_names_its_line() {
    assert_eq!(named(|_| ()), None);
    assert_eq!(
        named(|lines| lines[1] = lines[1].replace("ann", "bob")),
        Some(2)
    );
    assert_eq!(named(|lines| drop(lines.remove(1))), Some(2));
    assert_eq!(named(|lines| lines.insert(2, lines[0].clone())), Some(3));
    assert_eq!(named(|lines| lines.swap(1, 2)), Some(2));
    assert_eq!(
        named(|lines| {
            let at = lines[2].len() - 66;
            lines[2].replace_range(at..at + 64, &"a".repeat(64));
        }),
        Some(3)
    );
    // Whoever changes a line and gives it its right hash is told by the line after it.
    assert_eq!(
        named(|lines| {
            let changed = lines[1].replace("ann", "bob");
            let (body, _) = changed.rsplit_once(",\"hash\":\"").unwrap();
            lines[1] = format!("{body},\"hash\":\"{}\"}}", super::entry::hash(body));
        }),
        Some(3)
    );
}

#[test]
fn a_torn_last_line_is_cut_off_when_the_log_is_opened() {
    let dir = log_of(3, ROOMY);
    let path = current(dir.path());
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() - 10]).unwrap();
    assert_eq!(verify(std::slice::from_ref(&path)).unwrap_err().line, 3);
    let mut log = Log::open(dir.path(), ROOMY).unwrap();
    assert_eq!(
        (log.last_revision(), log.append(&entry(3)).unwrap()),
        (2, 3)
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_broken_log_is_not_opened_and_stays_as_it_is() {
    let dir = log_of(3, ROOMY);
    let path = current(dir.path());
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replacen("ann", "bob", 1);
    fs::write(&path, &text).unwrap();
    match Log::open(dir.path(), ROOMY) {
        Err(AuditError::Broken(broken)) => assert_eq!(broken.line, 1),
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn rotation_keeps_the_chain_and_the_last_few_files() {
    let tight = LogSettings {
        max_bytes: 1,
        keep: 2,
    };
    let dir = log_of(5, tight);
    let kept = files(dir.path()).unwrap();
    let names: Vec<_> = kept.iter().map(|file| file.file_name().unwrap()).collect();
    assert_eq!(
        names,
        [
            "audit-000000000003.jsonl",
            "audit-000000000004.jsonl",
            "audit.jsonl"
        ]
    );
    let head = verify(&kept).unwrap();
    assert_eq!((head.first_sequence, head.last_sequence), (3, 5));
    let mut log = Log::open(dir.path(), tight).unwrap();
    assert_eq!(log.append(&entry(6)).unwrap(), 6);
    // A file in the middle is missed.
    let kept = files(dir.path()).unwrap();
    let broken = verify(&[kept[0].clone(), kept[2].clone()]).unwrap_err();
    assert_eq!((&broken.file, broken.line), (&kept[2], 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_flipped_byte_is_named_by_its_line_or_the_next(at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let dir = log_of(3, ROOMY);
        let path = current(dir.path());
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
        bytes[at] ^= flip;
        fs::write(&path, bytes).unwrap();
        let broken = verify(&[path]).unwrap_err();
        prop_assert!(broken.line == line || broken.line == line + 1, "{broken}, flipped in line {line}");
    }
}
