mod files;
mod values;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

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
