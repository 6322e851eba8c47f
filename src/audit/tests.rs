use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::read::CURRENT;
use super::*;

const ROOMY: LogSettings = LogSettings {
    max_bytes: 1 << 20,
    keep: 8,
};
/// Two or three lines per file.
const TIGHT: LogSettings = LogSettings {
    max_bytes: 1000,
    keep: 2,
};

fn entry(revision: u64) -> Entry {
    Entry {
        at_ms: 1_767_323_045_678 + revision,
        actor: "ann".into(),
        action: "set policy".into(),
        model: "fraud".into(),
        revision: Some(revision),
        outcome: Entry::DONE.into(),
        ..Entry::default()
    }
}

fn fill(dir: &Path, settings: LogSettings, lines: u64) -> Log {
    let mut log = Log::open(dir, settings).unwrap();
    for _ in 0..lines {
        let revision = log.last_revision() + 1;
        log.append(&entry(revision)).unwrap();
    }
    log
}

fn folder(lines: u64) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    drop(fill(dir.path(), ROOMY, lines));
    let file = dir.path().join(CURRENT);
    (dir, file)
}

fn sequences(dir: &Path, after: u64) -> Vec<u64> {
    let place = |line: String| serde_json::from_str::<ParsedLine>(&line).unwrap().sequence;
    read(dir, after)
        .unwrap()
        .map(|line| place(line.unwrap()))
        .collect()
}

/// The expected hashes were computed with Python's `hashlib`.
#[test]
fn lines_and_hashes_are_as_specified() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), ROOMY).unwrap();
    let first = Entry {
        at_ms: 1_767_323_045_678,
        expected: Some(0),
        before: Some(json!({})),
        after: Some(json!({"labels": {"stable": 2}})),
        ..entry(1)
    };
    let second = Entry {
        at_ms: 1_767_323_046_000,
        actor: "b\"é\n".into(),
        reason: "try".into(),
        action: "undo".into(),
        model: "fraud".into(),
        outcome: "REVISION_CONFLICT".into(),
        message: "`,\"hash\":\"` inside".into(),
        ..Entry::default()
    };
    assert_eq!(log.append(&first).unwrap(), 1);
    assert_eq!(log.append(&second).unwrap(), 2);
    let text = fs::read_to_string(dir.path().join(CURRENT)).unwrap();
    assert_eq!(
        text,
        concat!(
            r#"{"sequence":1,"time":"2026-01-02T03:04:05.678Z","actor":"ann","reason":"","action":"set policy","model":"fraud","expected":0,"revision":1,"outcome":"done","before":{},"after":{"labels":{"stable":2}},"previous":"0000000000000000000000000000000000000000000000000000000000000000","hash":"754522de49f1a9258389a66f6463c925e8f5023cb8a451dccd6ba638823ce43e"}"#,
            "\n",
            r#"{"sequence":2,"time":"2026-01-02T03:04:06.000Z","actor":"b\"é\n","reason":"try","action":"undo","model":"fraud","through":1,"outcome":"REVISION_CONFLICT","message":"`,\"hash\":\"` inside","previous":"754522de49f1a9258389a66f6463c925e8f5023cb8a451dccd6ba638823ce43e","hash":"6067e0440596afb8960ef6d8f20fcfe3c49cc9be845eb8b3106166d8619efb7c"}"#,
            "\n"
        )
    );
    let mut chain = Chain::default();
    for line in text.lines() {
        chain.line(line).unwrap();
    }
    let want = Head {
        lines: 2,
        first_sequence: 1,
        last_sequence: 2,
        hash: "6067e0440596afb8960ef6d8f20fcfe3c49cc9be845eb8b3106166d8619efb7c".into(),
    };
    assert_eq!(*chain.head(), want);
    assert_eq!(verify(&files(dir.path()).unwrap()), Ok(want));
}

#[test]
fn tampering_is_reported_with_its_line() {
    type Tamper = fn(&mut Vec<String>);
    let rows: [(Tamper, u64, &str); 8] = [
        (
            |lines| lines[1] = lines[1].replace("ann", "eve"),
            2,
            "the line was changed",
        ),
        (|lines| drop(lines.remove(2)), 3, "got sequence 4, wants 3"),
        (
            |lines| lines.insert(2, lines[0].clone()),
            3,
            "got sequence 1, wants 3",
        ),
        (
            |lines| lines.insert(2, lines[1].clone()),
            3,
            "got sequence 2, wants 3",
        ),
        (|lines| lines.swap(1, 3), 2, "got sequence 4, wants 2"),
        (|lines| lines[3].clear(), 4, "no hash"),
        (|lines| lines[4].push(' '), 5, "the line was changed"),
        (
            // A changed line with a recomputed hash.
            |lines| {
                let previous = &serde_json::from_str::<ParsedLine>(&lines[0]).unwrap().hash;
                lines[1] = entry(9)
                    .line(2, previous, 1)
                    .unwrap()
                    .0
                    .trim_end()
                    .to_owned();
            },
            3,
            "is not the hash of the previous line",
        ),
    ];
    for (tamper, line, why) in rows {
        let (dir, file) = folder(5);
        let text = fs::read_to_string(&file).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        tamper(&mut lines);
        fs::write(&file, lines.join("\n") + "\n").unwrap();
        let broken = verify(std::slice::from_ref(&file)).unwrap_err();
        assert_eq!(
            (broken.line, &broken.file),
            (line, &file),
            "{why}: {broken}"
        );
        assert!(broken.why.contains(why), "{broken}, wants {why}");
        // The file is not modified.
        let before = fs::read(&file).unwrap();
        let error = Log::open(dir.path(), ROOMY).unwrap_err();
        assert!(
            matches!(&error, AuditError::Broken(found) if *found == broken),
            "{error}"
        );
        assert!(error.to_string().contains("taper audit --file"), "{error}");
        assert_eq!(fs::read(&file).unwrap(), before);
    }
}

#[test]
fn a_line_that_is_not_utf_8_is_reported() {
    let (dir, file) = folder(3);
    let mut bytes = fs::read(&file).unwrap();
    bytes[5] = 0xff;
    fs::write(&file, bytes).unwrap();
    assert_eq!(verify(&files(dir.path()).unwrap()).unwrap_err().line, 1);
    let error = Log::open(dir.path(), ROOMY).unwrap_err();
    assert!(
        matches!(error, AuditError::Broken(Broken { line: 1, .. })),
        "{error}"
    );
}

#[test]
fn a_partial_line_after_a_crash_is_removed_and_the_chain_continues() {
    let (dir, file) = folder(3);
    let whole = fs::read(&file).unwrap();
    let second = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in [whole.len() - 1, whole.len() - 70, second + 1, 1] {
        fs::write(&file, &whole[..cut]).unwrap();
        let lines = whole[..cut].iter().filter(|byte| **byte == b'\n').count() as u64;
        let broken = verify(std::slice::from_ref(&file)).unwrap_err();
        assert_eq!(broken.line, lines + 1);
        assert!(broken.why.contains("no end"), "{broken}");
        assert_eq!(sequences(dir.path(), 0).len() as u64, lines);
        let mut log = Log::open(dir.path(), ROOMY).unwrap();
        assert_eq!(log.last_revision(), lines);
        assert_eq!(log.append(&entry(lines + 1)).unwrap(), lines + 1);
        assert_eq!(
            verify(std::slice::from_ref(&file)).unwrap().lines,
            lines + 1
        );
    }
}

#[test]
fn a_full_file_is_rotated_and_the_last_files_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let log = fill(dir.path(), TIGHT, 40);
    let all = files(dir.path()).unwrap();
    assert_eq!(all.len(), 3, "{all:?}");
    for file in &all {
        assert!(fs::metadata(file).unwrap().len() <= TIGHT.max_bytes);
    }
    let head = verify(&all).unwrap();
    assert!(head.first_sequence > 30, "{head:?}");
    assert_eq!((head.last_sequence, log.last_revision()), (40, 40));
    assert_eq!(head.lines, 40 - head.first_sequence + 1);
    // A file without its first line does not match its name.
    let text = fs::read_to_string(&all[0]).unwrap();
    fs::write(&all[0], text.split_once('\n').unwrap().1).unwrap();
    let broken = verify(&all).unwrap_err();
    assert_eq!(
        (broken.file.clone(), broken.line),
        (all[0].clone(), 1),
        "{broken}"
    );
    // A partial line in an old file is not removed, because that file was not being written.
    fs::write(&all[0], &text[..text.len() - 1]).unwrap();
    let error = Log::open(dir.path(), TIGHT).unwrap_err();
    assert!(
        matches!(&error, AuditError::Broken(broken) if broken.file == all[0]),
        "{error}"
    );
    // A missing file is detected in the next one.
    let broken = verify(&[all[0].clone(), all[2].clone()]).unwrap_err();
    assert_eq!(broken.file, all[0]);
    fs::write(&all[0], text).unwrap();
    let broken = verify(&[all[0].clone(), all[2].clone()]).unwrap_err();
    assert_eq!((broken.file, broken.line), (all[2].clone(), 1));
}

#[test]
fn the_chain_continues_after_a_stop_between_two_files() {
    let dir = tempfile::tempdir().unwrap();
    drop(fill(dir.path(), ROOMY, 5));
    let aside = dir.path().join("audit-000000000001.jsonl");
    fs::rename(dir.path().join(CURRENT), aside).unwrap();
    let mut log = Log::open(dir.path(), ROOMY).unwrap();
    assert_eq!(log.last_revision(), 5);
    // A line without a revision keeps the last one.
    let refused = Entry {
        revision: None,
        ..entry(0)
    };
    assert_eq!(log.append(&refused).unwrap(), 6);
    drop(log);
    assert_eq!(Log::open(dir.path(), ROOMY).unwrap().last_revision(), 5);
    assert_eq!(verify(&files(dir.path()).unwrap()).unwrap().lines, 6);
}

/// Otherwise, many rejected changes would cause the gateway to record all kept changes a second time.
#[test]
fn the_last_revision_is_known_after_its_line_was_removed() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = fill(dir.path(), TIGHT, 5);
    let refused = Entry {
        revision: None,
        outcome: "REVISION_CONFLICT".into(),
        ..entry(0)
    };
    for _ in 0..20 {
        log.append(&refused).unwrap();
    }
    drop(log);
    assert!(verify(&files(dir.path()).unwrap()).unwrap().first_sequence > 5);
    assert_eq!(Log::open(dir.path(), TIGHT).unwrap().last_revision(), 5);
}

#[test]
fn a_line_longer_than_a_file_has_its_own_file_and_long_texts_are_truncated() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = fill(dir.path(), TIGHT, 1);
    let long = "\u{1}".repeat(5000);
    let entry = Entry {
        actor: long.clone(),
        reason: long.clone(),
        action: long.clone(),
        model: long.clone(),
        outcome: long.clone(),
        message: long.clone(),
        before: Some(json!("y".repeat((256 << 10) - 2))),
        after: Some(json!("x".repeat(256 << 10))),
        ..entry(2)
    };
    log.append(&entry).unwrap();
    log.append(&self::entry(3)).unwrap();
    let line = read(dir.path(), 1).unwrap().next().unwrap().unwrap();
    assert!(line.len() <= 640 << 10);
    let parsed: ParsedLine = serde_json::from_str(&line).unwrap();
    let lengths = [
        parsed.actor,
        parsed.reason,
        parsed.action,
        parsed.model,
        parsed.outcome,
        parsed.message,
    ];
    assert_eq!(
        lengths.map(|text| text.len()),
        [256, 1024, 256, 256, 256, 2048]
    );
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(Some(&value["before"]), entry.before.as_ref());
    assert_eq!(value["after"]["bytes"], (256 << 10) + 2);
    assert_eq!(value["after"]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(verify(&files(dir.path()).unwrap()).unwrap().lines, 3);
}

#[test]
fn reading_starts_after_any_line_of_any_file() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(sequences(dir.path(), 0), [0; 0]);
    drop(fill(dir.path(), LogSettings { keep: 99, ..TIGHT }, 20));
    for after in [0, 1, 2, 3, 4, 7, 18, 19, 20, 21, u64::MAX] {
        let want: Vec<u64> = (after.saturating_add(1)..=20).collect();
        assert_eq!(sequences(dir.path(), after), want, "after {after}");
    }
}

#[test]
fn a_reader_loses_no_line_during_rotations() {
    let dir = tempfile::tempdir().unwrap();
    let settings = LogSettings { keep: 99, ..TIGHT };
    let mut log = fill(dir.path(), settings, 4);
    let mut lines = read(dir.path(), 0).unwrap();
    let mut chain = Chain::default();
    // One line is written per line read, so the reader falls behind and is always in a file that was renamed.
    for revision in 5..=60 {
        log.append(&entry(revision)).unwrap();
        chain.line(&lines.next().unwrap().unwrap()).unwrap();
    }
    for line in lines {
        chain.line(&line.unwrap()).unwrap();
    }
    assert_eq!(chain.head().last_sequence, 60);
}

#[test]
fn a_concurrent_reader_sees_complete_lines_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let settings = LogSettings { keep: 999, ..TIGHT };
    drop(fill(dir.path(), settings, 1));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| fill(dir.path(), settings, 300));
        while !writer.is_finished() {
            let mut chain = Chain::default();
            for line in read(dir.path(), 0).unwrap() {
                chain.line(&line.unwrap()).unwrap();
            }
            assert_eq!(chain.head().first_sequence, 1);
        }
    });
    assert_eq!(sequences(dir.path(), 0).len(), 301);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_flipped_byte_anywhere_is_reported_with_its_line(
        lines in 1_u64..6,
        at in any::<prop::sample::Index>(),
        mask in 1_u8..,
    ) {
        let (_dir, file) = folder(lines);
        let mut bytes = fs::read(&file).unwrap();
        let at = at.index(bytes.len());
        let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        bytes[at] ^= mask;
        fs::write(&file, bytes).unwrap();
        let broken = verify(&[file]).expect_err("a flipped byte");
        prop_assert_eq!(broken.line, line);
    }
}
