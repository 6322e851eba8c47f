//! What happens by itself, and what does not: traffic stays where it is, and the fault of one part stays with that part.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use crate::cli::two_versions;
use crate::harness::http_get;
use crate::process::{self, Process, run, serve, stdout_of};
use crate::tiny;

fn serving(dir: &Path) -> (Process, String, SocketAddr) {
    let mut gateway = Process::start(serve(dir).arg("--config").arg(config(dir)));
    let admin = gateway.address("admin").to_string();
    let http = gateway.address("http");
    (gateway, admin, http)
}

/// A configuration under which the registry is scanned often.
fn config(dir: &Path) -> std::path::PathBuf {
    let file = dir.join("taper.toml");
    fs::write(&file, "[watch]\npoll_ms = 100\nsettle_ms = 100\n").expect("configuration");
    file
}

fn get(http: SocketAddr, path: &str) -> (String, String) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(http_get(http, path))
}

/// Whether `/metrics` has this line.
fn exports(http: SocketAddr, line: &str) -> bool {
    let (_, text) = get(http, "/metrics");
    text.lines().any(|have| have == line)
}

/// Pushes version 3 of `m` and returns what is printed.
fn push_third(admin: &str) -> String {
    let from = tempfile::tempdir().expect("temporary folder");
    tiny::publish(from.path(), "m", 3);
    let folder = from.path().join("m/3");
    let folder = folder.to_str().expect("UTF-8");
    stdout_of(&["push", folder, "--address", admin])
}

#[test]
fn a_pushed_version_gets_no_traffic_and_every_message_says_so() {
    let dir = two_versions();
    let (gateway, admin, _) = serving(dir.path());
    let pushed = push_third(&admin);
    assert!(
        pushed.contains("it gets no traffic until `taper split set m 3=5%"),
        "{pushed}"
    );
    let split = stdout_of(&["split", "get", "m", "--address", &admin]);
    assert!(split.contains("│       2 ┆   100%"), "{split}");
    let versions = stdout_of(&["versions", "--address", &admin]);
    assert_eq!(
        versions.matches("no traffic").count(),
        2,
        "of 1 and 3: {versions}"
    );
    let history = stdout_of(&["history", "--json", "--address", &admin]);
    let history: serde_json::Value = serde_json::from_str(&history).expect("JSON");
    let revisions = history["revisions"].as_array().expect("revisions");
    assert_eq!(revisions.len(), 1, "{history}");
    assert_eq!(
        (&revisions[0]["actor"], &revisions[0]["action"]),
        (&"taper".into(), &"first version 2".into())
    );
    let undone = run(&["undo", "--address", &admin]);
    assert!(undone.stderr.contains("NOTHING_TO_CHANGE"), "{undone:?}");
    gateway.signal("TERM");
    let log = gateway.end().stderr;
    assert!(
        log.contains("none until an operator gives it some"),
        "{log}"
    );
}

#[test]
fn a_version_that_follows_latest_takes_over_by_a_revision_that_can_be_undone() {
    let dir = two_versions();
    let (_gateway, admin, _) = serving(dir.path());
    stdout_of(&["split", "set", "m", "latest=100%", "--address", &admin]);
    let pushed = push_third(&admin);
    assert!(
        pushed.contains("it takes traffic: split (latest: 100%)"),
        "{pushed}"
    );
    let split = stdout_of(&["split", "get", "m", "--address", &admin]);
    assert!(split.contains("latest (3)"), "{split}");
    let undone = stdout_of(&["undo", "--address", &admin]);
    assert!(undone.contains("labels.latest"), "{undone}");
    let split = stdout_of(&["split", "get", "m", "--address", &admin]);
    assert!(split.contains("latest (2)"), "{split}");
}

#[test]
fn a_state_folder_that_is_removed_refuses_changes_and_is_shown() {
    let dir = two_versions();
    let (_gateway, admin, http) = serving(dir.path());
    let state = dir.path().join("state");
    fs::remove_dir_all(&state).expect("removed");
    // A call that only reads notices it, and it is shown at once.
    let refused = run(&["audit", "--address", &admin]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let (_, body) = get(http, "/readyz");
    assert!(body.contains("was removed or replaced"), "{body}");
    let refused = run(&["label", "set", "stable", "1", "--address", &admin]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("was removed or replaced"),
        "{refused:?}"
    );
    let version = tempfile::tempdir().expect("temporary folder");
    tiny::publish(version.path(), "m", 3);
    let folder = version.path().join("m/3");
    let folder = folder.to_str().expect("a path");
    for command in [&["push", folder][..], &["audit"]] {
        let refused = run(&[command, &["--address", &admin]].concat());
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(
            refused.stderr.contains("was removed or replaced"),
            "{refused:?}"
        );
    }
    assert!(!dir.path().join("models/m/3").exists());
    // A second gateway begins on the same path.
    let (_second, _, _) = serving(dir.path());
    let refused = run(&["label", "set", "stable", "1", "--address", &admin]);
    assert!(
        refused.stderr.contains("was removed or replaced"),
        "{refused:?}"
    );
    let (status, body) = get(http, "/readyz");
    assert!(status.contains("200"), "it serves on: {status}");
    assert!(body.contains("was removed or replaced"), "{body}");
    let models = stdout_of(&["models", "--address", &admin]);
    assert!(models.starts_with("problem: the state folder"), "{models}");
    assert!(exports(http, "taper_state_folder_lost 1"));
}

#[test]
fn replaced_files_are_noticed_and_refused_by_the_next_start_until_they_are_accepted() {
    let dir = two_versions();
    let (gateway, admin, http) = serving(dir.path());
    let models = dir.path().join("models");
    let replace = |root: &Path| {
        tiny::publish_with(root, "m", 2, |manifest| {
            manifest["description"] = "other".into()
        });
    };
    replace(&models);
    process::eventually("the replacement is shown", || {
        let versions = stdout_of(&["versions", "--address", &admin]);
        versions.contains("replaced in the").then_some(())
    });
    assert!(exports(http, "taper_replaced_versions{model=\"m\"} 1"));
    assert!(exports(http, "taper_model_problem{model=\"m\"} 1"));
    gateway.signal("TERM");
    let log = gateway.end().stderr;
    assert!(
        log.contains("the files of a READY version were replaced"),
        "{log}"
    );

    let (_gateway, admin, http) = serving(dir.path());
    // It is retried from time to time, and loads again meanwhile.
    process::eventually("the refusal is shown", || {
        let versions = stdout_of(&["versions", "--json", "--address", &admin]);
        versions
            .contains("taper versions accept 2 --model m")
            .then_some(())
    });
    process::eventually("the problem is shown", || {
        let (_, body) = get(http, "/readyz");
        body.contains("version 2 cannot take traffic").then_some(())
    });
    let dry = stdout_of(&["versions", "accept", "2", "--dry-run", "--address", &admin]);
    assert!(dry.contains("accepted[2]"), "{dry}");
    stdout_of(&["versions", "accept", "2", "--address", &admin]);
    process::eventually("the accepted version answers", || {
        (get(http, "/readyz").1 == "ready\n").then_some(())
    });
}

#[test]
fn a_newcomer_does_not_make_the_gateway_unready() {
    let dir = two_versions();
    let (_gateway, admin, http) = serving(dir.path());
    let models = dir.path().join("models");
    fs::create_dir(models.join("scripts")).expect("a folder");
    fs::create_dir_all(models.join("half/1")).expect("folders");
    tiny::publish_with(&models, "broken", 1, |manifest| {
        manifest["nonsense"] = 1.into()
    });
    for model in ["scripts", "half", "broken"] {
        let line = format!("taper_model_problem{{model=\"{model}\"}} 1");
        process::eventually("the newcomer is known", || {
            exports(http, &line).then_some(())
        });
        let (status, body) = get(http, "/readyz");
        assert!(status.contains("200"), "{model}: {status}");
        assert!(
            body.contains(&format!("model {model}: no version is READY")),
            "{body}"
        );
        let (status, _) = get(http, &format!("/v2/models/{model}/ready"));
        assert!(!status.contains("200"), "{model}: {status}");
    }
    assert!(get(http, "/v2/health/ready").0.contains("200"));
    assert!(get(http, "/v2/models/m/ready").0.contains("200"));
    let gone = run(&["models", "forget", "m", "--address", &admin]);
    assert!(
        gone.stderr.contains("its folder in the registry"),
        "{gone:?}"
    );
}
