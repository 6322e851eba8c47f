//! The verbs that change a policy or a version, and their effect on traffic.

use std::fs;

use serde_json::{Value, json};

use crate::cli::two_versions;
use crate::harness::good;
use crate::process::{self, Ended, Process, run, taper};
use crate::tiny;

const CANARY: &str =
    "[models.m]\nlabels = { stable = 1, canary = 2 }\nsplit = { stable = 10000 }\n";

/// A gateway process with two versions of `m`. `stable` has all the traffic and `canary` none.
struct ServingProcess {
    _gateway: Process,
    data: String,
    admin: String,
    _dir: tempfile::TempDir,
}

impl ServingProcess {
    fn start() -> Self {
        Self::over(two_versions())
    }

    fn over(dir: tempfile::TempDir) -> Self {
        let config = dir.path().join("taper.toml");
        fs::write(&config, CANARY).expect("configuration");
        let mut serve = process::serve(dir.path());
        let mut gateway = Process::start(serve.arg("--config").arg(&config));
        let data = gateway.address("data").to_string();
        let admin = gateway.address("admin").to_string();
        Self {
            _gateway: gateway,
            data,
            admin,
            _dir: dir,
        }
    }

    /// Runs `taper ARGS`.
    fn ends(&self, args: &[&str]) -> Ended {
        run(&[args, &["--address", &self.admin]].concat())
    }

    /// Runs `taper ARGS`, which must succeed, and returns its stdout.
    fn does(&self, args: &[&str]) -> String {
        let ended = self.ends(args);
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
        ended.stdout
    }

    /// Runs `taper ARGS`, which must be refused, and returns its stderr.
    fn refuses(&self, args: &[&str]) -> String {
        let ended = self.ends(args);
        assert_eq!(ended.code, Some(1), "{args:?}: {ended:?}");
        assert_eq!(ended.stdout, "", "{args:?}");
        ended.stderr
    }

    fn json(&self, args: &[&str]) -> Value {
        let stdout = self.does(&[args, &["--json"]].concat());
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
    }

    /// Returns the version that answers a request.
    fn answering_version(&self) -> Value {
        let row = good().to_string();
        let ended = run(&[
            "predict",
            "m",
            "--row",
            &row,
            "--json",
            "--address",
            &self.data,
        ]);
        let answer: Value = serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|error| panic!("{error}: {ended:?}"));
        answer["version"].clone()
    }

    fn labels(&self) -> Value {
        self.json(&["label", "list"])["labels"].clone()
    }
}

#[test]
fn labels_are_created_moved_and_deleted_and_traffic_follows() {
    let gateway = ServingProcess::start();
    assert_eq!(gateway.answering_version(), 1);
    let output = gateway.does(&["label", "set", "stable", "2", "-m", "better"]);
    assert!(output.contains("labels.stable"), "{output}");
    assert_eq!(gateway.answering_version(), 2);
    let made = gateway.json(&["label", "set", "trial", "1"]);
    assert_eq!(
        made["differences"],
        json!([{"field": "labels.trial", "before": "", "after": "1"}])
    );
    assert!(gateway.does(&["label", "list"]).contains("trial"));
    let same = gateway.does(&["label", "set", "trial", "1"]);
    assert!(same.contains("nothing differs"), "{same}");
    gateway.does(&["label", "delete", "trial"]);
    assert_eq!(
        gateway.labels(),
        json!({"canary": 2, "latest": 2, "stable": 2})
    );
    let held = gateway.refuses(&["label", "delete", "stable"]);
    assert!(
        held.contains("(VERSION_HELD)") && held.contains("taper split set"),
        "{held}"
    );
}

#[test]
fn promoting_undoing_and_rolling_back_move_traffic() {
    let gateway = ServingProcess::start();
    let first = gateway.json(&["label", "list"])["revision"].to_string();
    let output = gateway.does(&["promote", "canary"]);
    assert!(output.contains("labels.stable"), "{output}");
    assert_eq!(gateway.answering_version(), 2);
    gateway.does(&["undo"]);
    assert_eq!(gateway.answering_version(), 1);
    gateway.does(&["promote", "canary", "--to", "stable"]);
    assert_eq!(gateway.answering_version(), 2);
    gateway.does(&["rollback", &first]);
    assert_eq!(gateway.answering_version(), 1);
    let unknown = gateway.refuses(&["rollback", "99"]);
    assert!(unknown.contains("(UNKNOWN_REVISION)"), "{unknown}");
}

#[test]
fn a_dry_run_prints_the_differences_and_changes_nothing() {
    let gateway = ServingProcess::start();
    let before = gateway.json(&["label", "list"]);
    for change in [
        &["promote", "canary"][..],
        &["label", "set", "stable", "2"],
        &["split", "set", "m", "2=100%"],
    ] {
        let output = gateway.does(&[change, &["--dry-run"]].concat());
        assert!(output.contains("dry run: nothing was changed"), "{output}");
    }
    assert_eq!(gateway.json(&["label", "list"]), before);
    assert_eq!(gateway.answering_version(), 1);
}

#[test]
fn a_change_that_reverts_says_how_to_keep_it() {
    let gateway = ServingProcess::start();
    let trial = gateway.does(&["promote", "canary", "--confirm-within", "10m"]);
    let keep = format!("`taper confirm --model m --address {}`", gateway.admin);
    assert!(trial.contains(&keep), "{trial}");
    let second = gateway.refuses(&["label", "set", "canary", "1"]);
    assert!(
        second.contains("(UNCONFIRMED_CHANGE)") && second.contains("`taper confirm`"),
        "{second}"
    );
    let kept = gateway.does(&["confirm"]);
    assert!(
        kept.contains("kept: the change no longer reverts"),
        "{kept}"
    );
    gateway.does(&["label", "set", "canary", "1"]);
    assert_eq!(gateway.answering_version(), 2);
    let nothing = gateway.refuses(&["confirm"]);
    assert!(nothing.contains("(NOTHING_TO_CHANGE)"), "{nothing}");
    let trial = gateway.json(&["split", "set", "m", "1=100%", "--confirm-within", "1h"]);
    assert!(trial["confirm_by"].is_string(), "{trial}");
}

#[test]
fn an_outdated_revision_is_refused_with_advice() {
    let gateway = ServingProcess::start();
    let seen = gateway.json(&["label", "list"])["revision"].to_string();
    gateway.does(&["label", "set", "canary", "1", "--expect", &seen]);
    let late = gateway.refuses(&["label", "set", "canary", "2", "--expect", &seen]);
    for output in ["(REVISION_CONFLICT)", "taper label list", "--expect"] {
        assert!(late.contains(output), "{output}: {late}");
    }
    assert_eq!(gateway.labels()["canary"], 1);
}

#[test]
fn an_unreferenced_version_can_be_unloaded_and_loaded_again() {
    let gateway = ServingProcess::start();
    let listed = gateway.does(&["versions"]);
    assert!(listed.contains("label stable"), "{listed}");
    let held = gateway.refuses(&["versions", "unload", "1"]);
    for output in ["(VERSION_HELD)", "stable", "taper label set"] {
        assert!(held.contains(output), "{output}: {held}");
    }
    gateway.does(&["label", "set", "stable", "2"]);
    let unloaded = gateway.json(&["versions", "unload", "1"]);
    assert_eq!(unloaded["differences"][0]["field"], "unloaded");
    gateway.does(&["versions", "load", "1"]);
    let listed = gateway.json(&["versions", "list"]);
    assert_eq!(listed["versions"][0]["state"], "READY", "{listed}");
    assert!(
        listed["versions"][0]["weight_bytes"].as_u64() > Some(0),
        "{listed}"
    );
}

#[test]
fn a_retried_version_that_fails_again_reports_its_faults() {
    let dir = two_versions();
    tiny::publish_with(&dir.path().join("models"), "m", 3, |manifest| {
        manifest["golden"][0]["answer"] = json!([30]);
    });
    let gateway = ServingProcess::over(dir);
    let failed = gateway.refuses(&["versions", "retry", "3"]);
    assert!(
        failed.contains("(VERSION_NOT_READY)") && failed.contains("wants 30"),
        "{failed}"
    );
    let dry = gateway.ends(&["versions", "retry", "3", "--dry-run"]);
    assert_eq!(
        dry.code,
        Some(2),
        "there is no trying without trying: {dry:?}"
    );
    // It is loaded again from time to time, and is not FAILED meanwhile.
    process::eventually("version 3 is listed as FAILED", || {
        let listed = gateway.does(&["versions"]);
        (listed.contains("FAILED") && listed.contains("tried")).then_some(())
    });
}

#[test]
fn with_several_models_one_must_be_named() {
    let dir = two_versions();
    tiny::publish(&dir.path().join("models"), "other", 1);
    let gateway = ServingProcess::over(dir);
    let which = gateway.refuses(&["label", "list"]);
    assert!(
        which.contains("(m, other)") && which.contains("--model NAME"),
        "{which}"
    );
    assert_eq!(
        gateway.json(&["label", "list", "--model", "other"])["model"],
        "other"
    );
}

#[test]
fn the_history_has_author_and_reason() {
    let gateway = ServingProcess::start();
    let set = [
        "label",
        "set",
        "canary",
        "1",
        "-m",
        "a try",
        "--address",
        &gateway.admin,
    ];
    let ended = Process::start(taper(&set).env("TAPER_ACTOR", "ops")).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let history = gateway.does(&["history"]);
    assert!(
        history.contains("ops") && history.contains("a try"),
        "{history}"
    );
}

#[test]
fn completions_for_every_shell_contain_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = run(&["completions", shell]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.contains("rollback"), "{shell}");
    }
    assert_eq!(run(&["completions", "nonsense"]).code, Some(2));
}

#[test]
fn a_new_split_keeps_shadows_and_the_fallback() {
    let gateway = ServingProcess::start();
    let set = gateway.does(&["shadow", "set", "m", "canary=100%", "--max-queue", "9"]);
    assert!(set.contains("shadows[canary]"), "{set}");
    gateway.does(&["fallback", "set", "m", "stable", "--within-ms", "500"]);
    gateway.does(&["split", "set", "m", "stable=100%"]);
    let listed = gateway.json(&["shadow", "list", "m"]);
    let shadow = &listed["shadows"][0];
    assert_eq!(
        (&shadow["target"], &shadow["version"], &shadow["max_queue"]),
        (&json!("canary"), &json!(2), &json!(9)),
        "{listed}"
    );
    let split = gateway.does(&["split", "get", "m"]);
    for output in [
        "shadow: canary (2) gets copies of 100%",
        "fallback: stable (1)",
    ] {
        assert!(split.contains(output), "{output}: {split}");
    }
    let held = gateway.refuses(&["label", "delete", "canary"]);
    assert!(held.contains("a shadow"), "{held}");
    let wrong = gateway.refuses(&["shadow", "set", "m", "2=0%"]);
    assert!(wrong.contains("shadows[0].basis_points"), "{wrong}");
    gateway.does(&["shadow", "clear", "m"]);
    gateway.does(&["fallback", "clear", "m"]);
    let output = gateway.does(&["shadow", "list", "m"]);
    assert!(output.contains("no shadows"), "{output}");
    assert!(!gateway.does(&["split", "get", "m"]).contains("fallback"));
}
