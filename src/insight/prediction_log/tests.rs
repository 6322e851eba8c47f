use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::*;
use crate::insight::metrics::Telemetry;
use crate::model::payload::{Cell, Tensor, TensorData};
use crate::model::samples;

fn settings(path: PathBuf) -> LogSettings {
    LogSettings {
        path,
        sample: 1.0,
        max_bytes: 100,
        max_age: Duration::from_secs(3600),
        keep: 2,
        key: None,
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| !name.ends_with(".lock"));
    names.sort();
    names
}

fn unpacked(path: &Path) -> String {
    let mut text = String::new();
    let mut packed = GzDecoder::new(fs::File::open(path).unwrap());
    packed.read_to_string(&mut text).unwrap();
    text
}

fn entry(inputs: Payload) -> Entry {
    // `b` is sensitive.
    let mut document = samples::document("m", 3);
    document["inputs"][1]["sensitive"] = true.into();
    Entry {
        subject: Arc::new(Subject::new(&samples::manifest(document))),
        role: Role::Primary,
        request_id: ResponseId::try_from("an-id".to_owned()).unwrap(),
        inputs,
        outputs: Some(Scores::new(vec![0.25], 1).unwrap()),
        code: Code::Ok,
        latency: Duration::from_micros(1_500),
    }
}

fn row() -> Payload {
    let cell = |name: &str, cell| (name.to_owned(), cell);
    Payload::Rows(vec![vec![
        cell("a", Cell::Number(1.5)),
        cell("b", Cell::Number(42.0)),
        cell("nobody-knows", Cell::Text("secret".into())),
    ]])
}

fn written(entry: &Entry) -> Value {
    written_with(None, entry)
}

fn written_with(key: Option<&HashKey>, entry: &Entry) -> Value {
    let mut text = Vec::new();
    line::write(entry, SystemTime::UNIX_EPOCH, key, &mut text);
    assert_eq!(text.pop(), Some(b'\n'));
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn a_line_holds_what_was_asked_and_answered_but_nothing_sensitive() {
    let wanted = json!({
        "timestamp": "1970-01-01T00:00:00Z", "request_id": "an-id", "model": "m", "version": 3,
        "role": "primary", "inputs": [{"a": 1.5}], "outputs": [[0.25]], "latency_ms": 1.5, "code": "OK",
    });
    assert_eq!(written(&entry(row())), wanted);
    let tensor = |name: &str, shape: &[i64], values: &[f32]| Tensor {
        name: name.into(),
        shape: shape.to_vec(),
        data: TensorData::Fp32(values.to_vec()),
    };
    let tensors = Payload::Tensors(vec![tensor("a", &[1], &[1.5]), tensor("b", &[1], &[42.0])]);
    assert_eq!(written(&entry(tensors)), wanted, "the same as tensors");
    let wide = Payload::Tensors(vec![tensor("a", &[2, 2], &[1.0, f32::NAN, 3.0, 4.0])]);
    let rows = json!([{"a": [1.0, null]}, {"a": [3.0, 4.0]}]);
    assert_eq!(written(&entry(wide))["inputs"], rows);
    let refused = Entry {
        outputs: None,
        code: Code::InvalidArgument,
        ..entry(row())
    };
    let line = written(&refused);
    assert_eq!(
        (&line["outputs"], &line["code"]),
        (&Value::Null, &json!("INVALID_ARGUMENT"))
    );
}

/// HMAC-SHA-256 by Python's `hmac`: `hmac.new(b"0123456789abcdef", b"b\0" + value, "sha256").hexdigest()[:32]`.
const HASHED: [(&str, &str); 3] = [
    ("42", "b46d3b220aaa5cbcd85ac9519c77596b"),
    ("0.1", "3f4e1f109565a0e35f77f0f6ab0bf45f"),
    ("secret", "ceee2dcc15896daeb717543678ab329c"),
];

#[test]
fn an_input_marked_hash_is_written_as_keyed_hashes_and_not_at_all_without_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    fs::write(&file, "0123456789abcdef\n").unwrap();
    let key = HashKey::read(&file).unwrap();
    let mut document = samples::document("m", 3);
    document["inputs"][1]["sensitive"] = "hash".into();
    let subject = Arc::new(Subject::new(&samples::manifest(document)));
    let of = |inputs| Entry {
        subject: Arc::clone(&subject),
        ..entry(inputs)
    };
    let cell = |cell| Payload::Rows(vec![vec![("b".to_owned(), cell)]]);
    let [(_, whole), (_, tenth), (_, text)] = HASHED;
    for (value, wanted) in [
        (Cell::Number(42.0), json!(whole)),
        (Cell::Number(0.1), json!(tenth)),
        (Cell::Text("42".into()), json!(whole)),
        (Cell::Text("secret".into()), json!(text)),
        (
            Cell::List(vec![Cell::Number(42.0), Cell::Missing]),
            json!([whole, null]),
        ),
        (Cell::Missing, json!(null)),
    ] {
        let asked = of(cell(value));
        assert_eq!(
            written_with(Some(&key), &asked)["inputs"],
            json!([{"b": wanted}])
        );
        assert_eq!(written(&asked)["inputs"], json!([{}]), "no key");
    }
    let tensor = |data| {
        Payload::Tensors(vec![Tensor {
            name: "b".into(),
            shape: vec![1],
            data,
        }])
    };
    for data in [
        TensorData::Int64(vec![42]),
        TensorData::Fp32(vec![42.0]),
        TensorData::Bytes(vec!["42".into()]),
    ] {
        let line = written_with(Some(&key), &of(tensor(data)));
        assert_eq!(line["inputs"], json!([{"b": whole}]), "of any type");
    }
    let hidden = written_with(Some(&key), &entry(row()));
    assert_eq!(
        hidden["inputs"],
        json!([{"a": 1.5}]),
        "true means nothing at all"
    );
}

#[test]
fn a_key_is_neither_short_nor_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    let why = HashKey::read(&file).unwrap_err();
    assert!(why.contains("cannot be read"), "{why}");
    fs::write(&file, "0123456789abcde\n").unwrap();
    let why = HashKey::read(&file).unwrap_err();
    assert!(why.contains("holds 15 bytes, wants 16 to 4096"), "{why}");
    fs::write(&file, "0123456789abcdef").unwrap();
    let shown = format!("{:?}", HashKey::read(&file).unwrap());
    assert_eq!(shown, "HashKey(..)");
}

#[test]
fn full_files_are_compressed_and_the_oldest_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.jsonl");
    let mut file = Rotating::open(settings(path.clone())).unwrap();
    let line = |at: u8| format!("{{\"at\": {at:050}}}\n");
    for at in 0..10 {
        file.write(line(at).as_bytes()).unwrap();
        assert_eq!(file.has_put_aside(), at > 0);
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
        "nobody waits for compression at the end"
    );
    file.full().tidy(&AtomicBool::new(false)).unwrap();
    let kept = ["log.jsonl", "log.jsonl.000008.gz", "log.jsonl.000009.gz"];
    assert_eq!(names(dir.path()), kept);
    assert_eq!(fs::read_to_string(&path).unwrap(), line(9));
    let old = dir.path().join("log.jsonl.000009.gz");
    assert_eq!(unpacked(&old), line(8));
    for file in [path, old, dir.path().join("log.jsonl.lock")] {
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}: it holds inputs", file.display());
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_moved_or_removed_is_followed_by_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.jsonl");
    let of = LogSettings {
        max_bytes: 20,
        ..settings(path.clone())
    };
    let mut file = Rotating::open(of).unwrap();
    let text = || fs::read_to_string(&path).unwrap();
    file.write(b"{\"at\": 1}\n").unwrap();
    // The next line does not fit, so the file is looked for at once.
    fs::remove_file(&path).unwrap();
    file.write(b"{\"at\": 2, \"x\": 1}\n").unwrap();
    assert!(file.is_well() && text() == "{\"at\": 2, \"x\": 1}\n");
    file.write(b"{\"at\": 3}\n").unwrap();
    assert_eq!(text(), "{\"at\": 3}\n");
    // As logrotate does.
    let moved = dir.path().join("moved");
    fs::rename(&path, &moved).unwrap();
    fs::write(&path, "").unwrap();
    tokio::time::advance(LOOK).await;
    file.write(b"{}\n").unwrap();
    assert_eq!(fs::read_to_string(&moved).unwrap(), "{\"at\": 3}\n");
    assert_eq!(text(), "{}\n");
    // As its `copytruncate` does: what is full now is what came since.
    fs::write(&path, "").unwrap();
    tokio::time::advance(LOOK).await;
    for _ in 0..6 {
        file.write(b"{}\n").unwrap();
    }
    assert_eq!(text().lines().count(), 6);
    fs::remove_file(&path).unwrap();
    tokio::time::advance(LOOK).await;
    file.write(b"").unwrap();
    assert!(!path.exists(), "nothing to write, nothing to make");
}

#[test]
fn what_is_no_prediction_log_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("passwd");
    let refused = |path: &Path| {
        let told = settings(path.into()).check().unwrap_err();
        let error = Rotating::open(settings(path.into())).unwrap_err();
        assert_eq!(error.to_string(), told);
        told
    };
    fs::write(&path, "root:x:0:0\nno end").unwrap();
    assert!(refused(&path).contains("passwd holds something else than a prediction log"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "root:x:0:0\nno end");
    assert!(refused(dir.path()).contains("is not a file"));
    assert!(refused(&dir.path().join("none/log")).contains("none is not a folder"));
    assert_eq!(names(dir.path()), ["passwd"], "nothing was made");
    // Beside a good log: names of other forms, and a file that is none of its own.
    let others = ["a.so.1", "a.so.1.part", "a.so.0000001", "a.so.000001"];
    for name in others {
        fs::write(dir.path().join(name), "ELF").unwrap();
    }
    let of = LogSettings {
        keep: 0,
        ..settings(dir.path().join("a.so"))
    };
    let file = Rotating::open(of).unwrap();
    file.full().tidy(&AtomicBool::new(false)).unwrap();
    for name in others {
        assert_eq!(fs::read_to_string(dir.path().join(name)).unwrap(), "ELF");
    }
}

#[test]
fn one_gateway_at_a_time_has_the_log_and_the_other_is_told_who() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.jsonl");
    let first = Rotating::open(settings(path.clone())).unwrap();
    let error = Rotating::open(settings(path.clone())).unwrap_err();
    let told = format!("process {} has it", std::process::id());
    assert_eq!(error.to_string(), told);
    drop(first);
    Rotating::open(settings(path)).unwrap();
}

#[test]
fn a_file_that_cannot_be_compressed_keeps_no_gateway_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("log.jsonl.000001"), "{}\n").unwrap();
    // Nothing can be written there, as on a full disk.
    fs::create_dir(at("log.jsonl.000001.part")).unwrap();
    let telemetry = Telemetry::new().unwrap();
    let started = PredictionLog::start(settings(at("log.jsonl")), telemetry.log());
    let (log, thread) = started.unwrap();
    log.leave(entry(row()));
    thread.finish();
    assert_eq!(fs::read_to_string(at("log.jsonl.000001")).unwrap(), "{}\n");
    let text = fs::read_to_string(at("log.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_old_file_is_put_aside_without_a_new_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = Rotating::open(settings(dir.path().join("log.jsonl"))).unwrap();
    file.write(b"{}\n").unwrap();
    tokio::time::advance(Duration::from_secs(3599)).await;
    file.write(b"").unwrap();
    assert_eq!(names(dir.path()), ["log.jsonl"]);
    tokio::time::advance(Duration::from_secs(1)).await;
    file.write(b"").unwrap();
    assert_eq!(names(dir.path()), ["log.jsonl.000001"]);
}

#[test]
fn the_next_start_mends_what_a_crash_left() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("log.jsonl"), "{}\n{\"hal").unwrap();
    fs::write(at("log.jsonl.000001"), "{\"packed\": false}\n").unwrap();
    fs::write(at("log.jsonl.000001.part"), "half of it").unwrap();
    fs::write(at("log.jsonl.bak"), "somebody's own").unwrap();
    let mut file = Rotating::open(settings(at("log.jsonl"))).unwrap();
    file.write(b"{\"next\": 1}\n").unwrap();
    assert_eq!(
        fs::read_to_string(at("log.jsonl")).unwrap(),
        "{}\n{\"next\": 1}\n"
    );
    file.full().tidy(&AtomicBool::new(false)).unwrap();
    assert_eq!(
        unpacked(&at("log.jsonl.000001.gz")),
        "{\"packed\": false}\n"
    );
    assert_eq!(
        names(dir.path()),
        ["log.jsonl", "log.jsonl.000001.gz", "log.jsonl.bak"]
    );
}

#[test]
fn a_disk_that_refuses_costs_lines_and_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gone/log.jsonl");
    fs::create_dir(dir.path().join("gone")).unwrap();
    let telemetry = Telemetry::new().unwrap();
    let (log, thread) = PredictionLog::start(settings(path.clone()), telemetry.log()).unwrap();
    let settle = |log: &PredictionLog, lines: u64| {
        log.leave(entry(row()));
        let line = |name: &str| format!("taper_prediction_log_{name}_total ");
        let count = |name| {
            let text = telemetry.render();
            let found = text
                .lines()
                .find_map(|have| have.strip_prefix(&line(name)).map(str::to_owned));
            found.and_then(|count| count.parse::<u64>().ok()).unwrap()
        };
        while count("lines") + count("dropped") < lines {
            thread::yield_now();
        }
        (count("lines"), count("dropped"))
    };
    assert_eq!(settle(&log, 1), (1, 0));
    // The next line does not fit, and there is nowhere to put the old one aside, or a new one.
    fs::rename(dir.path().join("gone"), dir.path().join("away")).unwrap();
    assert_eq!(settle(&log, 2), (1, 1));
    fs::rename(dir.path().join("away"), dir.path().join("gone")).unwrap();
    assert_eq!(settle(&log, 3), (2, 1));
    thread.finish();
    assert_eq!(fs::read_to_string(path).unwrap().lines().count(), 1);
}

#[test]
fn a_full_channel_drops_and_counts_and_holds_nobody_up() {
    let telemetry = Telemetry::new().unwrap();
    let (lines, inbox) = sync_channel(2);
    let log = PredictionLog {
        lines,
        waiting: Arc::default(),
        below: 1,
        meters: telemetry.log(),
    };
    // Nobody reads: were this to wait, it would wait for ever.
    (0..5).for_each(|_| log.leave(entry(row())));
    let text = telemetry.render();
    assert!(
        text.contains("taper_prediction_log_dropped_total 3"),
        "{text}"
    );
    drop(inbox);
    log.leave(entry(row()));
    assert!(
        telemetry
            .render()
            .contains("taper_prediction_log_dropped_total 4")
    );
    assert!(log.has_room(), "nothing waits any more");
    log.waiting.add(BYTES);
    assert!(!log.has_room());
    assert!(
        telemetry
            .render()
            .contains("taper_prediction_log_dropped_total 5"),
        "counted, though nothing was copied"
    );
    assert!(log.samples(0) && !log.samples(1), "one in 2^32");
}

#[test]
fn everything_left_before_the_end_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.jsonl");
    let of = LogSettings {
        max_bytes: 1 << 20,
        ..settings(path.clone())
    };
    let mut old = OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .unwrap();
    old.write_all(b"{}\n").unwrap();
    let telemetry = Telemetry::new().unwrap();
    let (log, thread) = PredictionLog::start(of, telemetry.log()).unwrap();
    assert!(log.samples(u32::MAX), "a sample of 1 is everything");
    (0..500).for_each(|_| log.leave(entry(row())));
    thread.finish();
    let text = fs::read_to_string(path).unwrap();
    assert_eq!(text.lines().count(), 501);
    assert!(
        text.lines()
            .all(|line| serde_json::from_str::<Value>(line).is_ok())
    );
    assert!(
        !text.contains("\"b\"") && !text.contains("secret"),
        "sensitive"
    );
    log.leave(entry(row()));
    assert!(
        telemetry
            .render()
            .contains("taper_prediction_log_dropped_total 1")
    );
}
