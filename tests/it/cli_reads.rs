//! The verbs that only read, and `taper push`, against a real gateway.

use std::fs;

use serde_json::Value;

use crate::cli::two_versions;
use crate::process::{Process, run, stdout_of, taper};
use crate::tiny;

fn serving(dir: &tempfile::TempDir) -> (Process, String, String) {
    let mut gateway = Process::serve(dir.path());
    let data = gateway.address("data").to_string();
    let admin = gateway.address("admin").to_string();
    (gateway, data, admin)
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&stdout_of(args)).expect("JSON")
}

#[test]
fn a_change_appears_in_watch_history_and_audit() {
    let dir = two_versions();
    let (_gateway, _, admin) = serving(&dir);
    let watch = ["watch", "--after", "0", "--address", &admin];
    let mut watching = Process::start(&mut taper(&watch));
    watching.line_with("state   m");
    stdout_of(&["split", "set", "m", "1=100%", "--address", &admin]);
    let line = watching.line_with("change  m revision 2");
    assert!(line.contains("split"), "{line}");
    watching.signal("INT");
    assert_eq!(watching.end().code, Some(0));

    let first = stdout_of(&[
        "watch",
        "--after",
        "1",
        "--count",
        "1",
        "--json",
        "--address",
        &admin,
    ]);
    let first: Value = serde_json::from_str(first.trim_end()).expect("one JSON line");
    assert_eq!(first["change"]["revision"], 2);

    let history = json(&["history", "--model", "m", "--json", "--address", &admin]);
    assert_eq!(history["revisions"][0]["revision"], 2, "{history}");
    assert_eq!(history["revisions"][0]["policy"]["split"][0]["target"], "1");
    assert_eq!(
        json(&["history", "--all", "--json", "--address", &admin]),
        history
    );
    assert!(stdout_of(&["history", "--address", &admin]).contains("what differs"));
    assert_eq!(
        json(&["models", "m", "--json", "--address", &admin])["revision"],
        2
    );

    let audit = json(&["audit", "--json", "--address", &admin]);
    assert_eq!(audit["last"][0]["revision"], 1, "{audit}");
    let file = dir.path().join("state/audit.jsonl");
    let file = file.to_str().expect("UTF-8");
    assert_eq!(json(&["audit", "--json", "--file", file]), audit);
    assert!(stdout_of(&["audit", "--address", &admin]).contains("the chain is intact"));

    let copy = dir.path().join("copy.jsonl");
    let text = fs::read_to_string(file).expect("the log");
    fs::write(
        &copy,
        text.replacen("\"model\":\"m\"", "\"model\":\"n\"", 1),
    )
    .expect("a copy");
    let broken = run(&["audit", "--file", copy.to_str().expect("UTF-8")]);
    assert_eq!(broken.code, Some(1), "{broken:?}");
    assert!(broken.stderr.contains("broken at line 1 of"), "{broken:?}");
}

#[test]
fn a_pushed_version_is_served_and_a_broken_folder_is_not_uploaded() {
    let dir = two_versions();
    let (_gateway, _, admin) = serving(&dir);
    let from = tempfile::tempdir().expect("temporary folder");
    tiny::publish(from.path(), "m", 3);
    tiny::publish_with(from.path(), "m", 4, |manifest| {
        manifest["golden"][0]["answer"] = 5.into();
    });
    let push = |version: &str| {
        let folder = from.path().join("m").join(version);
        run(&[
            "push",
            folder.to_str().expect("UTF-8"),
            "--json",
            "--address",
            &admin,
        ])
    };
    let pushed = push("3");
    assert_eq!(pushed.code, Some(0), "{pushed:?}");
    let pushed: Value = serde_json::from_str(&pushed.stdout).expect("JSON");
    assert_eq!(
        (&pushed["version"], &pushed["state"]),
        (&3.into(), &"READY".into())
    );
    let again = push("3");
    assert!(again.stderr.contains("VERSION_EXISTS"), "{again:?}");
    let broken = push("4");
    assert_eq!(broken.code, Some(1), "{broken:?}");
    assert!(broken.stderr.contains("nothing was sent"), "{broken:?}");
    assert!(!dir.path().join("models/m/4").exists());
}

#[test]
fn a_pushed_folder_may_have_any_name_and_its_author_is_audited() {
    let dir = two_versions();
    let (_gateway, _, admin) = serving(&dir);
    let from = tempfile::tempdir().expect("temporary folder");
    tiny::publish(from.path(), "m", 3);
    let folder = from.path().join("candidate");
    fs::rename(from.path().join("m/3"), &folder).expect("renamed");
    let folder = folder.to_str().expect("UTF-8");
    let other = run(&["push", folder, "--version", "4", "--address", &admin]);
    assert_eq!(other.code, Some(1), "{other:?}");
    assert!(
        other.stderr.contains("nothing was sent") && other.stderr.contains("$.version"),
        "{other:?}"
    );
    let why = ["--actor", "ann", "-m", "the third", "--no-wait"];
    let pushed = stdout_of(&[&["push", folder, "--address", &admin], &why[..]].concat());
    assert!(pushed.contains("m 3 is published"), "{pushed}");
    let audit = json(&["audit", "--json", "--address", &admin]);
    let lines = audit["last"].as_array().expect("lines");
    let line = lines.last().expect("the upload");
    assert_eq!(
        (&line["actor"], &line["reason"]),
        (&"ann".into(), &"the third".into())
    );
}

#[test]
fn a_watch_resumes_after_the_last_revision_when_the_gateway_restarts() {
    let dir = two_versions();
    let (mut gateway, _, admin) = serving(&dir);
    let watch = ["watch", "--after", "0", "--address", &admin];
    let mut watching = Process::start(&mut taper(&watch));
    stdout_of(&["label", "set", "stable", "1", "--address", &admin]);
    watching.line_with("change  m revision 2");
    gateway.signal("TERM");
    assert_eq!(gateway.end().code, Some(0));
    // A restarted service uses the same folder and the same port.
    let any = "127.0.0.1:0";
    let mut again = taper(&["serve", "--data", any, "--http", any, "--admin", &admin]);
    again.arg("--registry").arg(dir.path().join("models"));
    again.arg("--state").arg(dir.path().join("state"));
    gateway = Process::start(&mut again);
    gateway.address("admin");
    stdout_of(&["label", "set", "stable", "2", "--address", &admin]);
    watching.line_with("change  m revision 3");
    watching.signal("INT");
    let ended = watching.end();
    assert_eq!(ended.code, Some(0));
    let changes = ended
        .stdout
        .lines()
        .filter(|line| line.starts_with("change"));
    assert_eq!(changes.count(), 3, "none twice: {}", ended.stdout);
}

#[test]
fn a_watch_of_a_closed_port_fails_at_once() {
    let ended = run(&["watch", "--address", "127.0.0.1:1"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("nothing listens"), "{ended:?}");
}
