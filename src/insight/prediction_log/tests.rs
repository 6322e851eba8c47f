//! The log as a whole: lines, the queue and failed writes.

mod files;
mod values;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::log_file::{CHECK_INTERVAL, LogFile};
use super::queue::MAX_BYTES;
use super::*;
use crate::error::Code;
use crate::ident::{ResponseId, Role};
use crate::insight::metrics::Telemetry;
use crate::model::Scores;
use crate::model::payload::{Cell, Payload, Tensor, TensorData};
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
        outputs: Some(LoggedOutput::Scores(Scores::new(vec![0.25], 1).unwrap())),
        code: Code::Ok,
        latency: Duration::from_micros(1_500),
    }
}

fn row() -> Payload {
    let cell = |name: &str, cell| (name.to_owned(), cell);
    Payload::Rows(vec![vec![
        cell("a", Cell::Number(1.5)),
        cell("b", Cell::Number(42.0)),
        cell("unknown", Cell::Text("secret".into())),
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
fn a_line_holds_inputs_and_outputs_but_nothing_sensitive() {
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
    assert_eq!(
        written(&entry(tensors)),
        wanted,
        "tensors give the same line"
    );
    let wide = Payload::Tensors(vec![tensor("a", &[2, 2], &[1.0, f32::NAN, 3.0, 4.0])]);
    let rows = json!([{"a": [1.0, null]}, {"a": [3.0, 4.0]}]);
    assert_eq!(written(&entry(wide))["inputs"], rows);
    let value = |shape: &[usize], data| crate::model::Value {
        shape: shape.to_vec(),
        data,
    };
    for (tensor, outputs) in [
        (
            value(&[2], TensorData::Bytes(vec!["no".into(), "yes".into()])),
            json!([["no"], ["yes"]]),
        ),
        (
            value(&[2, 1], TensorData::Int64(vec![7, -1])),
            json!([[7], [-1]]),
        ),
        (
            value(&[2, 2], TensorData::Fp32(vec![0.1, 2.0, 3.0, 4.5])),
            json!([[0.1, 2.0], [3.0, 4.5]]),
        ),
    ] {
        let labelled = Entry {
            outputs: Some(LoggedOutput::Tensor(tensor)),
            ..entry(row())
        };
        assert_eq!(written(&labelled)["outputs"], outputs);
    }
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
fn a_failed_write_drops_its_lines_and_the_next_line_is_a_new_try() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gone/log.jsonl");
    fs::create_dir(dir.path().join("gone")).unwrap();
    let telemetry = Telemetry::new().unwrap();
    let (log, thread) = PredictionLog::start(settings(path.clone()), telemetry.log()).unwrap();
    let after = |log: &PredictionLog, lines: u64| {
        log.enqueue(entry(row()));
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
    assert_eq!(after(&log, 1), (1, 0));
    // The next line needs a new file, but the folder for it is gone.
    fs::rename(dir.path().join("gone"), dir.path().join("away")).unwrap();
    assert_eq!(after(&log, 2), (1, 1));
    fs::rename(dir.path().join("away"), dir.path().join("gone")).unwrap();
    assert_eq!(after(&log, 3), (2, 1));
    thread.finish();
    assert_eq!(fs::read_to_string(path).unwrap().lines().count(), 1);
}

#[test]
fn a_full_queue_drops_lines_counts_them_and_never_blocks() {
    let telemetry = Telemetry::new().unwrap();
    let (lines, inbox) = sync_channel(2);
    let log = PredictionLog {
        lines,
        size: Arc::default(),
        below: 1,
        meters: telemetry.log(),
    };
    // Nothing receives the lines, so a blocking call would never return.
    (0..5).for_each(|_| log.enqueue(entry(row())));
    let text = telemetry.render();
    assert!(
        text.contains("taper_prediction_log_dropped_total 3"),
        "{text}"
    );
    drop(inbox);
    log.enqueue(entry(row()));
    assert!(
        telemetry
            .render()
            .contains("taper_prediction_log_dropped_total 4")
    );
    assert!(log.has_room(), "the queue is empty");
    log.size.add(MAX_BYTES);
    assert!(!log.has_room());
    assert!(
        telemetry
            .render()
            .contains("taper_prediction_log_dropped_total 5"),
        "counted before anything is copied"
    );
    assert!(log.samples(0) && !log.samples(1), "one in 2^32");
}

#[test]
fn all_queued_lines_are_written_before_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.jsonl");
    let large = LogSettings {
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
    let (log, thread) = PredictionLog::start(large, telemetry.log()).unwrap();
    assert!(log.samples(u32::MAX), "a sample of 1 is everything");
    (0..500).for_each(|_| log.enqueue(entry(row())));
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
    log.enqueue(entry(row()));
    assert!(
        telemetry
            .render()
            .contains("taper_prediction_log_dropped_total 1")
    );
}
