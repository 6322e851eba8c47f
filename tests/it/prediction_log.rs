//! The prediction log contains a sample of the requests without sensitive inputs, and no other log contains inputs.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::{TestGateway, good, rows};
use crate::process::{Process, run, serve, taper};
use crate::tiny;

/// A version of `m` whose `color` is sensitive, and whose `n` is hashed.
fn sensitive(root: &Path) {
    tiny::publish_with(root, "m", 1, |manifest| {
        manifest["inputs"][1]["sensitive"] = "hash".into();
        manifest["inputs"][2]["sensitive"] = true.into();
    });
    fs::write(root.with_file_name("log.key"), "0123456789abcdef").expect("a key");
}

#[tokio::test]
async fn all_sampled_requests_are_on_disk_after_the_drain() {
    let config =
        "[prediction_log]\npath = \"predictions.jsonl\"\nsample = 1.0\nhash_key_file = \"log.key\"";
    let mut gateway = TestGateway::start(config, sensitive).await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        let answer = gateway.predict(rows("m", [good()])).await.expect("answer");
        ids.push(answer.response_id);
    }
    let mut wrong = good();
    wrong["x"] = 1000.0.into();
    let refused = gateway.predict(rows("m", [wrong])).await;
    refused.expect_err("out of range");
    let dir = gateway.drain_and_keep().await;
    let text = fs::read_to_string(dir.path().join("predictions.jsonl")).expect("a log");
    let lines = text.lines().map(serde_json::from_str);
    let lines: Vec<Value> = lines.collect::<Result<_, _>>().expect("JSON lines");
    assert_eq!(lines.len(), 21, "{text}");
    for (line, id) in lines.iter().zip(&ids) {
        assert_eq!(line["request_id"], **id);
        assert_eq!((&line["model"], &line["version"]), (&"m".into(), &1.into()));
        assert_eq!(line["inputs"][0]["x"], 1.0);
        assert_eq!(line["outputs"][0][0], 1.0);
        assert_eq!(line["inputs"][0].get("color"), None, "sensitive: {line}");
        let hash = line["inputs"][0]["n"].as_str().expect("a hash");
        assert!(
            hash.len() == 32 && line["inputs"][0]["n"] == lines[0]["inputs"][0]["n"],
            "{line}"
        );
    }
    assert_eq!(lines[20]["code"], "INVALID_ARGUMENT");
    assert!(!text.contains("green"), "{text}");
}

#[test]
fn no_other_log_contains_an_input() {
    let dir = tempfile::tempdir().expect("a folder");
    tiny::publish(&dir.path().join("models"), "m", 1);
    let folder = |name: &str| dir.path().join(name).display().to_string();
    let (models, state) = (folder("models"), folder("state"));
    let mut gateway = Process::start(&mut taper(&[
        "serve",
        "--log",
        "debug",
        "--registry",
        &models,
        "--state",
        &state,
        "--data",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
    ]));
    let data = gateway.address("data").to_string();
    let ask = |row: &str| run(&["predict", "m", "--row", row, "--address", &data]);
    let ended = ask(r#"{"x": 61.25, "n": 3, "color": "red", "pair": [0, 1]}"#);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ended = ask(r#"{"x": 1, "color": "marker-of-a-caller", "pair": [0, 1]}"#);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    gateway.signal("TERM");
    let ended = gateway.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("DEBUG"), "{}", ended.stderr);
    for marker in ["61.25", "marker-of-a-caller"] {
        assert!(!ended.stderr.contains(marker), "{}", ended.stderr);
    }
}

#[test]
fn an_impossible_log_path_is_reported_by_check_and_before_a_port_is_bound() {
    let dir = tempfile::tempdir().expect("a folder");
    tiny::publish(&dir.path().join("models"), "m", 1);
    let config = dir.path().join("taper.toml");
    let refused = |path: &str, check: bool| {
        let text = format!("[prediction_log]\npath = \"{path}\"\n");
        fs::write(&config, text).expect("a configuration");
        let mut command = serve(dir.path());
        command.arg("--config").arg(&config);
        if check {
            command.arg("--check");
        }
        let ended = Process::start(&mut command).end();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(!ended.stdout.contains("grpc://"), "{ended:?}");
        ended.stderr
    };
    fs::write(dir.path().join("notes.txt"), "not mine\nno end").expect("a file");
    for check in [true, false] {
        let error = refused("gone/log.jsonl", check);
        assert!(error.contains("$.prediction_log.path: "), "{error}");
        assert!(
            error.contains("gone is not a folder: create it first"),
            "{error}"
        );
        let error = refused("notes.txt", check);
        assert!(
            error.contains("notes.txt is not a prediction log"),
            "{error}"
        );
    }
    let kept = fs::read_to_string(dir.path().join("notes.txt")).expect("the file");
    assert_eq!(kept, "not mine\nno end");
}

#[test]
fn a_first_start_has_no_warnings_and_a_second_gateway_is_refused_with_the_process_id_of_the_first()
{
    let dir = tempfile::tempdir().expect("a folder");
    tiny::publish(&dir.path().join("models"), "m", 1);
    let config = dir.path().join("taper.toml");
    let text = "[models.m]\nsplit = { 1 = 10000 }\n[prediction_log]\npath = \"log.jsonl\"\n";
    fs::write(&config, text).expect("a configuration");
    let mut gateway = Process::start(serve(dir.path()).arg("--config").arg(&config));
    gateway.address("http");
    let other = tempfile::tempdir().expect("a folder");
    tiny::publish(&other.path().join("models"), "m", 1);
    let mut second = serve(other.path());
    second.arg("--config").arg(&config);
    let refused = Process::start(&mut second).end();
    let holder = format!("process {} is writing to it", gateway.id());
    assert!(
        refused.code == Some(1) && refused.stderr.contains(&holder),
        "{refused:?}"
    );
    gateway.signal("TERM");
    let ended = gateway.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stderr.contains("WARN"), "{}", ended.stderr);
}
