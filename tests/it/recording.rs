//! Records conversations with a gateway over the command line, with the binary under test and with an earlier one.
//!
//! The files and the output of the earlier binary are in `state`, `json` and `names` of `tests/fixtures`. `earlier_state` and
//! `stable_names` compare the present binary with them. `tests/fixtures/README.md` describes how to record again.

mod changes;
mod names;
mod verbs;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::flights::{copy_models, example};
use crate::harness::registry;
use crate::json_shape;
use crate::process::{Ended, Process, command, eventually};
use crate::tiny;

pub use changes::changes;
pub use names::{fields_of_files, verbs_and_flags};
pub use verbs::{RecordedOutput, all_verbs};

/// Returns the path of a file or folder below `tests/fixtures`.
pub fn fixture(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/fixtures").join(path)
}

/// Returns the path of the binary under test.
pub fn present() -> PathBuf {
    env!("CARGO_BIN_EXE_taper").into()
}

/// The configuration of both conversations. Every shadow copy is computed, and every request is in the prediction log.
const CONFIG: &str = r#"
[watch]
poll_ms = 100

[limits]
shadow_compute_share = 6400

[insight]
drift_interval_seconds = 1

[prediction_log]
path = "predictions.jsonl"
sample = 1.0
hash_key_file = "log.key"

[models.m]
labels = { stable = 1 }
split = { stable = 10000 }
"#;

/// Creates a folder with the configuration and a registry: the example `flight-delay`, and versions 1 and 2 of the tiny `m`.
pub fn folder() -> TempDir {
    let dir = registry(|root| {
        copy_models(root);
        publish_m(root, 1);
        publish_m(root, 2);
    });
    fs::write(dir.path().join("taper.toml"), CONFIG).expect("configuration");
    fs::write(dir.path().join("log.key"), "0123456789abcdef").expect("a key");
    dir
}

/// Publishes a version of the tiny `m`. Version 2 fails for `x` above 1, because the product with its weight is infinite.
/// Values of `n` are hashed in the prediction log, and those of `color` are left out.
fn publish_m(root: &Path, version: u64) {
    let mut tensors = tiny::tensors(version);
    if version == 2 {
        let (_, (_, weights)) = &mut tensors[0];
        weights[..4].copy_from_slice(&f32::MAX.to_le_bytes());
    }
    tiny::publish_tensors(root, "m", version, &tensors, |manifest| {
        manifest["inputs"][1]["sensitive"] = "hash".into();
        manifest["inputs"][2]["sensitive"] = true.into();
        manifest["golden"][0]["row"]["x"] = 0.0.into();
    });
}

/// Returns a row of `m`.
pub fn row_of_m(x: f64) -> String {
    json!({"x": x, "n": 3, "color": "green", "pair": [0.5, -0.5]}).to_string()
}

/// Returns the first `number` flights of the second half of the year as rows, one JSON object each, and whether each was late.
fn flights(number: usize) -> Vec<(Value, bool)> {
    let text = ["carrier", "origin", "dest"];
    let no_input = ["date", "month", "late"];
    let file = fs::File::open(example("live.csv.gz")).expect("the live flights");
    let mut reader = csv::Reader::from_reader(GzDecoder::new(file));
    let row = |flight: BTreeMap<String, String>| {
        let late = flight["late"] == "1";
        let inputs = flight.into_iter();
        let inputs = inputs.filter(|(name, _)| !no_input.contains(&&**name));
        let row = inputs.map(|(name, value)| {
            let value = match text.contains(&&*name) {
                true => Value::from(value),
                false => serde_json::from_str(&value).expect("a number"),
            };
            (name, value)
        });
        (Value::Object(row.collect()), late)
    };
    let flights = reader.deserialize().take(number);
    flights
        .map(|flight| row(flight.expect("a flight")))
        .collect()
}

/// Splits `text` into arguments. None of them may contain a space.
pub fn args(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// A running gateway and the command line of the same binary.
pub struct Gateway<'a> {
    binary: &'a Path,
    process: Process,
    data: String,
    admin: String,
    pub http: SocketAddr,
}

impl<'a> Gateway<'a> {
    /// Starts a gateway in a folder of [`folder`].
    pub fn start(binary: &'a Path, dir: &Path) -> Self {
        let any = args("serve --data 127.0.0.1:0 --admin 127.0.0.1:0 --http 127.0.0.1:0");
        let mut serve = command(binary, &any);
        serve.arg("--config").arg(dir.join("taper.toml"));
        serve.arg("--registry").arg(dir.join("models"));
        serve.arg("--state").arg(dir.join("state"));
        let mut process = Process::start(&mut serve);
        let [data, admin, http] = ["data", "admin", "http"].map(|port| process.address(port));
        Self {
            binary,
            process,
            data: data.to_string(),
            admin: admin.to_string(),
            http,
        }
    }

    /// Returns the command of a verb that calls this gateway.
    fn verb(&self, args: &[&str]) -> Command {
        let to_data = matches!(args, ["predict" | "bench", ..] | ["outcomes", "report", ..]);
        let address = if to_data { &self.data } else { &self.admin };
        let mut command = command(self.binary, args);
        command.args(["--address", address]);
        command
    }

    /// Runs a verb and waits for its end.
    fn run(&self, args: &[&str]) -> Ended {
        Process::start(&mut self.verb(args)).end()
    }

    /// Runs a verb, which must succeed, and returns its JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let args = [args, &["--json"]].concat();
        let ended = self.run(&args);
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
        serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|error| panic!("{args:?}: {error}: {}", ended.stdout))
    }

    /// Makes a change that must succeed.
    pub fn change(&self, actor: &str, reason: &str, args: &[&str]) -> Value {
        self.json(&[args, &["--actor", actor, "--reason", reason]].concat())
    }

    /// Requests a change that must be refused for the reason `why`.
    pub fn refused(&self, args: &[&str], why: &str) {
        let args = [args, &["--actor", "eve", "--reason", "refused"]].concat();
        let ended = self.run(&args);
        assert_eq!(ended.code, Some(1), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(why), "{args:?}: {ended:?}");
    }

    /// Runs a verb until `is_complete` accepts its JSON.
    fn until(&self, args: &[&str], is_complete: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("{args:?}"), || {
            Some(self.json(args)).filter(&is_complete)
        })
    }

    /// Ends the gateway with SIGTERM, as an operator does.
    pub fn end(self) {
        self.process.signal("TERM");
        let ended = self.process.end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
}

/// Number of recordings of all verbs. Values that differ between two recordings are not compared.
const RECORDINGS: usize = 4;

/// Writes the fixtures.
#[test]
#[ignore = "writes tests/fixtures with the binary RECORD_WITH"]
fn record() {
    let binary = std::env::var_os("RECORD_WITH").expect("RECORD_WITH is the path of a taper");
    let binary = Path::new(&binary);
    let write_lines = |to: &str, lines: &[String]| {
        fs::write(fixture(to), lines.join("\n") + "\n").expect("written");
    };
    write_lines("names/0.1.0/verbs.txt", &verbs_and_flags(binary));
    write_lines("names/0.1.0/files.txt", &fields_of_files(binary));
    let dir = changes(binary);
    for file in ["state/state.redb", "state/audit.jsonl", "predictions.jsonl"] {
        let name = Path::new(file).file_name().expect("a name");
        let to = fixture("state/0.1.0").join(name);
        fs::copy(dir.path().join(file), to).expect("copied");
    }
    let all: Vec<RecordedOutput> = (0..RECORDINGS).map(|_| all_verbs(binary, &[])).collect();
    for name in all[0].documents.keys() {
        let documents = all.iter().map(|one| one.documents[name].clone());
        let kept = json_shape::common_part(&documents.collect::<Vec<_>>());
        let text = serde_json::to_string_pretty(&kept).expect("JSON");
        let to = fixture("json/0.1.0").join(format!("{name}.json"));
        fs::write(to, text + "\n").expect("written");
    }
    let in_all = |series: &&String| all.iter().all(|one| one.series.contains(series));
    let series: Vec<String> = all[0].series.iter().filter(in_all).cloned().collect();
    write_lines("names/0.1.0/series.txt", &series);
}
