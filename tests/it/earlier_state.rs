//! This build accepts the state folder and the logs of an earlier build and continues to write the same lines.
//!
//! `tests/fixtures/state/0.1.0/README.md` describes how they were made.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::http_get;
use crate::process::stdout_of;
use crate::recording::{Gateway, args, changes, fixture, folder, present, row_of_m};

/// Number of lines of the earlier audit log, and the hash of the last line.
const LINES: usize = 23;
const HASH: &str = "f7f547636e4a6a0c15b49becdc7962f54166f08207ca9722e7ceb1cf07c3cb6d";

/// Every change in the earlier store, newest first: revision, model, actor, action, reason, and the revision that an undo restores.
#[rustfmt::skip]
const HISTORY: [(u64, &str, &str, &str, &str, u64); 19] = [
    (19, "m", "carol", "undo to revision 14", "half of it", 13),
    (18, "flight-delay", "ann", "delete label blue", "", 17),
    (17, "flight-delay", "ann", "roll back to revision 9", "after all", 8),
    (16, "flight-delay", "ann", "roll back to revision 4", "as it was", 3),
    (15, "m", "carol", "set policy", "", 14),
    (14, "m", "carol", "set policy", "", 13),
    (13, "m", "carol", "confirm", "does not", 11),
    (12, "m", "carol", "set policy", "may revert", 11),
    (11, "m", "carol", "load version 2", "", 10),
    (10, "m", "carol", "unload version 2", "", 1),
    (9, "flight-delay", "ann", "move label blue to 3", "", 8),
    (8, "flight-delay", "ann", "undo to revision 6", "it is not", 5),
    (7, "flight-delay", "ann", "promote canary (2) to stable", "it is better", 6),
    (6, "flight-delay", "bob", "set policy", "", 5),
    (5, "flight-delay", "bob", "set policy", "", 4),
    (4, "flight-delay", "bob", "set policy", "a first look", 3),
    (3, "flight-delay", "ann", "move label canary to 2", "", 2),
    (2, "flight-delay", "ann", "move label stable to 1", "the first label", 0),
    (1, "m", "configuration", "configure", "first start", 0),
];

/// Returns a folder with the files of the earlier gateway.
fn earlier_state_folder() -> TempDir {
    let dir = folder();
    let state = dir.path().join("state");
    fs::create_dir(&state).expect("the state folder");
    for (file, to) in [
        ("state.redb", state.join("state.redb")),
        ("audit.jsonl", state.join("audit.jsonl")),
        ("predictions.jsonl", dir.path().join("predictions.jsonl")),
    ] {
        fs::write(to, earlier(file)).expect("a copy");
    }
    dir
}

/// Reads a file of the earlier gateway.
fn earlier(file: &str) -> Vec<u8> {
    fs::read(fixture("state/0.1.0").join(file)).expect("the fixture")
}

fn lines(file: impl AsRef<[u8]>) -> Vec<Value> {
    let text = std::str::from_utf8(file.as_ref()).expect("UTF-8");
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("JSON lines")
}

fn history(gateway: &Gateway<'_>) -> Vec<Value> {
    let all = gateway.json(&["history", "--all"]);
    all["revisions"].as_array().expect("revisions").clone()
}

#[test]
fn the_history_of_an_earlier_build_is_read_unchanged() {
    let (dir, binary) = (earlier_state_folder(), present());
    let gateway = Gateway::start(&binary, dir.path());
    let history = history(&gateway);
    let read: Vec<_> = history
        .iter()
        .map(|one| {
            let number = |name: &str| one[name].as_u64().expect("a revision");
            let text = |name: &str| one[name].as_str().expect("a text");
            let [model, actor, action, reason] = ["model", "actor", "action", "reason"].map(text);
            (
                number("revision"),
                model,
                actor,
                action,
                reason,
                number("undoes_to"),
            )
        })
        .collect();
    assert_eq!(read, HISTORY);
    for line in lines(earlier("audit.jsonl")) {
        let change = history
            .iter()
            .find(|one| one["revision"] == line["revision"]);
        let times = change.map(|change| (&change["time"], &line["time"]));
        assert!(
            times.is_none_or(|(read, written)| read == written),
            "{line}"
        );
    }
    let of = |revision: usize| &history[HISTORY.len() - revision];
    let waited = lines(earlier("audit.jsonl"))[14]["after"]["pending"].clone();
    assert_eq!(waited["restores"], 11);
    assert!(of(12)["confirm_by"].is_string(), "it had to be confirmed");
    assert_eq!(
        (&of(10)["unloaded"], &of(11)["loaded"]),
        (&json!([2]), &json!([2]))
    );
    assert_eq!(
        of(7)["policy"]["split"],
        json!([{"target": "stable", "basis_points": 10_000}])
    );
    assert_eq!(
        of(9)["labels"],
        json!({"blue": 3, "canary": 2, "stable": 1})
    );
    gateway.end();
}

#[test]
fn state_of_an_earlier_build_is_in_force() {
    let (dir, binary) = (earlier_state_folder(), present());
    let gateway = Gateway::start(&binary, dir.path());
    let ready = tokio::runtime::Runtime::new()
        .expect("a runtime")
        .block_on(http_get(gateway.http, "/readyz"));
    assert!(ready.0.contains("200"), "{ready:?}");
    let split = |model: &str| gateway.json(&["split", "get", model]);
    let of_flights = json!({
        "model": "flight-delay",
        "revision": 18,
        "split": [
            {"label": "stable", "version": 1, "basis_points": 9_500, "requests": 0},
            {"label": "canary", "version": 2, "basis_points": 500, "requests": 0},
        ],
        "header_rules": [
            {"header": "x-team", "value": "ops", "version": 2},
            {"header": "x-tier", "value": "gold", "label": "canary", "version": 2},
        ],
        "sticky_header": "x-user",
        "salt": "spring",
        "shadows": [
            {"version": 3, "basis_points": 2_500},
            {"label": "canary", "version": 2, "basis_points": 100},
        ],
        "fallback": {"label": "stable", "version": 1},
    });
    assert_eq!(split("flight-delay"), of_flights);
    let shadow = |target: &str, version: u64, share: u64| {
        json!({"target": target, "version": version, "basis_points": share,
            "deadline_ms": 5_000, "max_queue": 128, "max_concurrent": 2})
    };
    let shadows = gateway.json(&["shadow", "list", "flight-delay"]);
    assert_eq!(
        shadows["shadows"],
        json!([shadow("3", 3, 2_500), shadow("canary", 2, 100)])
    );
    let of_m = split("m");
    assert_eq!(
        (&of_m["revision"], &of_m["split"], &of_m["fallback"]),
        (
            &json!(19),
            &json!([
                {"version": 1, "basis_points": 1_000, "requests": 0},
                {"version": 2, "basis_points": 9_000, "requests": 0},
            ]),
            &json!({"version": 1}),
        )
    );
    let labels = |model: &str| gateway.json(&["label", "list", "--model", model])["labels"].clone();
    assert_eq!(
        labels("flight-delay"),
        json!({"canary": 2, "latest": 3, "stable": 1})
    );
    assert_eq!(labels("m"), json!({"latest": 2, "stable": 1}));
    gateway.end();
}

#[test]
fn state_of_an_earlier_build_can_be_undone_and_changed() {
    let (dir, binary) = (earlier_state_folder(), present());
    let gateway = Gateway::start(&binary, dir.path());
    let undone = gateway.json(&args("undo --model flight-delay"));
    let difference = |field: &str, before: &str, after: &str| json!([{"field": field, "before": before, "after": after}]);
    assert_eq!(
        (&undone["revision"], &undone["differences"]),
        (&json!(20), &difference("labels.blue", "", "3"))
    );
    let undone = gateway.json(&args("undo --model m"));
    assert_eq!(
        (&undone["revision"], &undone["differences"]),
        (&json!(21), &difference("fallback", "1", ""))
    );
    let changed = gateway.change("dora", "next", &args("label set new 1 --model m"));
    assert_eq!(
        (&changed["revision"], &changed["differences"]),
        (&json!(22), &difference("labels.new", "", "1"))
    );
    gateway.refused(&args("split set m 1=100% --expect 19"), "REVISION_CONFLICT");
    assert_eq!(history(&gateway).len(), HISTORY.len() + 3);
    gateway.json(&["predict", "m", "--row", &row_of_m(0.0)]);
    gateway.end();
    let log = fs::read(dir.path().join("predictions.jsonl")).expect("the log");
    assert!(
        log.starts_with(&earlier("predictions.jsonl")),
        "the log continues"
    );
    assert_eq!(
        lines(&log).len(),
        lines(earlier("predictions.jsonl")).len() + 1
    );
}

#[test]
fn the_audit_log_of_an_earlier_build_is_accepted_and_its_chain_continues() {
    let (dir, binary) = (earlier_state_folder(), present());
    let file = dir.path().join("state/audit.jsonl");
    let path = file.to_str().expect("UTF-8");
    let verified = || -> Value {
        serde_json::from_str(&stdout_of(&["audit", "--file", path, "--json"])).expect("JSON")
    };
    let head = |verified: &Value| {
        let of = |name: &str| verified[name].clone();
        [of("first_sequence"), of("last_sequence"), of("lines")]
    };
    let before = verified();
    assert_eq!(head(&before), [json!(1), json!(LINES), json!(LINES)]);
    assert_eq!(before["hash"], HASH);

    let gateway = Gateway::start(&binary, dir.path());
    gateway.change("dora", "next", &args("label set new 1 --model m"));
    let after = gateway.json(&["audit", "--last", "1"]);
    assert_eq!(head(&after), [json!(1), json!(LINES + 1), json!(LINES + 1)]);
    gateway.end();
    let log = fs::read(&file).expect("the log");
    assert!(
        log.starts_with(&earlier("audit.jsonl")),
        "no line is written again"
    );
    let last = lines(&log).pop().expect("a line");
    assert_eq!(last["previous"], HASH);
    assert_eq!(
        (
            &last["sequence"],
            &last["actor"],
            &last["action"],
            &last["revision"]
        ),
        (
            &json!(LINES + 1),
            &json!("dora"),
            &json!("move label new to 1"),
            &json!(20)
        )
    );
    assert_eq!(verified()["hash"], last["hash"]);
}

/// Returns the names of the fields of `line`.
fn names(line: &Value) -> BTreeSet<&str> {
    let fields = line.as_object().expect("an object").keys();
    fields.map(String::as_str).collect()
}

#[test]
fn prediction_log_lines_keep_their_fields_and_values() {
    let lines = lines(earlier("predictions.jsonl"));
    let fields = [
        "code",
        "inputs",
        "latency_ms",
        "model",
        "outputs",
        "request_id",
        "role",
        "timestamp",
        "version",
    ];
    for line in &lines {
        assert_eq!(names(line), BTreeSet::from(fields), "{line}");
        assert!(
            line["timestamp"].is_string() && line["latency_ms"].is_f64(),
            "{line}"
        );
        assert!(line["request_id"].is_string(), "{line}");
    }
    let logged: Vec<_> = lines
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().expect("a text");
            let version = line["version"].as_u64().expect("a version");
            (text("model"), version, text("role"), text("code"))
        })
        .collect();
    assert_eq!(
        logged,
        [
            ("flight-delay", 1, "primary", "OK"),
            ("flight-delay", 1, "primary", "OK"),
            ("m", 2, "primary", "OK"),
            ("m", 2, "primary", "INTERNAL"),
            ("m", 1, "fallback", "OK"),
            ("m", 2, "primary", "INVALID_ARGUMENT"),
        ]
    );
    assert_eq!(lines[3]["request_id"], lines[4]["request_id"]);
    assert_eq!(
        (
            &lines[0]["inputs"][0]["carrier"],
            &lines[0]["inputs"][0]["distance"]
        ),
        (&json!("B6"), &json!(1576.0))
    );
    // HMAC-SHA-256 of the value of `n`; `color` is left out.
    let inputs = json!([{"n": "73283d8248bef570019282b7c3fde4f4", "pair": [0.5, -0.5], "x": 0.0}]);
    assert_eq!(
        (&lines[2]["inputs"], &lines[2]["outputs"]),
        (&inputs, &json!([[2.0]]))
    );
    assert_eq!(lines[3]["outputs"], Value::Null);
}

/// Returns a line without the values that differ between runs: times, random ids, hashes and messages for people.
fn comparable(line: &Value) -> Value {
    const VARIES: [&str; 8] = [
        "time",
        "timestamp",
        "request_id",
        "latency_ms",
        "previous",
        "hash",
        "message",
        "until_ms",
    ];
    match line {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let value = match VARIES.contains(&&**name) {
                    true => json!(value.is_string()),
                    false => comparable(value),
                };
                (name.clone(), value)
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => items.iter().map(comparable).collect(),
        // The last digits of scores may differ between processors.
        Value::Number(number) if number.is_f64() => {
            json!((number.as_f64().expect("a double") * 1e4).round())
        }
        other => other.clone(),
    }
}

#[test]
fn the_same_changes_and_requests_write_the_same_lines_as_an_earlier_build() {
    let dir = changes(&present());
    let read = |file: &Path| lines(fs::read(dir.path().join(file)).expect("a log"));
    for (file, written) in [
        ("audit.jsonl", read(Path::new("state/audit.jsonl"))),
        ("predictions.jsonl", read(Path::new("predictions.jsonl"))),
    ] {
        let earlier = lines(earlier(file));
        assert_eq!(written.len(), earlier.len(), "{file}");
        for (at, (written, earlier)) in written.iter().zip(&earlier).enumerate() {
            assert_eq!(names(written), names(earlier), "{file}, line {}", at + 1);
            assert_eq!(
                comparable(written),
                comparable(earlier),
                "{file}, line {}",
                at + 1
            );
        }
    }
}
