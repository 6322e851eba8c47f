//! The verbs of the command line and the errors of a gateway that they print.

use std::{fs, net::TcpListener};

use serde_json::{Value, json};

use crate::harness::{good, registry};
use crate::process::{self, Process, run, run_with_input};
use crate::tiny;

/// Starts a gateway process. Returns it with the addresses of its data and admin ports.
fn serving(dir: &tempfile::TempDir) -> (Process, String, String) {
    let mut gateway = Process::serve(dir.path());
    let data = gateway.address("data").to_string();
    let admin = gateway.address("admin").to_string();
    (gateway, data, admin)
}

pub fn two_versions() -> tempfile::TempDir {
    registry(|root| {
        tiny::publish(root, "m", 1);
        tiny::publish(root, "m", 2);
    })
}

fn json_of(stdout: &str) -> Value {
    serde_json::from_str(stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
}

#[test]
fn check_refuses_every_configuration_that_serve_refuses() {
    let dir = two_versions();
    let registry = dir.path().join("models");
    let config = dir.path().join("taper.toml");
    let check = |toml: String| {
        fs::write(&config, toml).expect("configuration");
        run(&[
            "serve",
            "--check",
            "--config",
            config.to_str().expect("UTF-8"),
        ])
    };
    let folder = format!("registry = {:?}\n", registry.to_str().expect("UTF-8"));
    let good = check(folder.clone());
    assert_eq!(good.code, Some(0), "{good:?}");
    let bad = check(folder + "[models.m.split]\n1 = 5000\n9 = 5000\n[models.ghost]\n");
    assert_eq!(bad.code, Some(1), "{bad:?}");
    for fault in ["$.models.m.split", "version 9", "$.models.ghost"] {
        assert!(
            bad.stderr.contains(fault),
            "{fault} is missing in {}",
            bad.stderr
        );
    }
}

#[test]
fn all_configuration_faults_are_reported_before_any_port_is_bound() {
    let dir = two_versions();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let config = dir.path().join("taper.toml");
    let toml = format!(
        "[listen]\ndata = \"{}\"\nadmin = \"0.0.0.0:1\"\nhttp = \"nowhere\"\n\
         [models.m.split]\n1 = 9000\n",
        taken.local_addr().expect("address")
    );
    fs::write(&config, toml).expect("configuration");
    let ended = run(&["serve", "--config", config.to_str().expect("UTF-8")]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for fault in [
        "$.listen.admin",
        "$.listen.http: got \"nowhere\"",
        "$.models.m.split",
    ] {
        assert!(
            ended.stderr.contains(fault),
            "{fault} is missing in {}",
            ended.stderr
        );
    }
    assert!(
        !ended.stderr.contains("in use"),
        "a port was bound: {}",
        ended.stderr
    );
    assert_eq!(ended.stdout, "");
}

#[test]
fn every_port_in_use_is_named() {
    let dir = two_versions();
    let taken = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let [data, http] = taken
        .each_ref()
        .map(|one| one.local_addr().expect("address").to_string());
    let [models, state] = ["models", "state"].map(|name| dir.path().join(name));
    let ended = run(&[
        "serve",
        "--registry",
        models.to_str().expect("UTF-8"),
        "--state",
        state.to_str().expect("UTF-8"),
        "--data",
        &data,
        "--http",
        &http,
        "--admin",
        "127.0.0.1:0",
    ]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for address in [&data, &http] {
        assert!(
            ended.stderr.contains(address.as_str()),
            "{address}: {}",
            ended.stderr
        );
    }
}

#[test]
fn environment_variables_set_values_without_flags() {
    let dir = two_versions();
    let mut gateway = Process::start(
        process::taper(&["serve"])
            .env("TAPER_REGISTRY", dir.path().join("models"))
            .env("TAPER_STATE", dir.path().join("state"))
            .env("TAPER_DATA_ADDR", "127.0.0.1:0")
            .env("TAPER_ADMIN_ADDR", "127.0.0.1:0")
            .env("TAPER_HTTP_ADDR", "127.0.0.1:0"),
    );
    assert_ne!(gateway.address("data").port(), 8001);
    gateway.signal("TERM");
    assert_eq!(gateway.end().code, Some(0));
}

#[test]
fn candle_runs_on_one_thread_by_default() {
    let dir = two_versions();
    for (said, expected) in [
        (None, "candle threads: 1"),
        (Some("2"), "candle threads: 2"),
    ] {
        let mut command = process::serve(dir.path());
        command.envs(said.map(|threads| ("RAYON_NUM_THREADS", threads)));
        let mut gateway = Process::start(&mut command);
        assert_eq!(gateway.line_with("candle threads"), expected);
    }
}

#[test]
fn every_schema_is_printed() {
    for (of, field) in [
        ("manifest", "model_name"),
        ("config", "registry"),
        ("train", "features"),
    ] {
        let schema = json_of(&run(&["schema", of]).stdout);
        assert!(schema["properties"][field].is_object(), "{of}: {schema}");
    }
}

#[test]
fn rows_from_stdin_are_answered_in_order() {
    let dir = two_versions();
    let (_gateway, data, _) = serving(&dir);
    let lines = format!("{}\n{}\n{}\n", good(), good(), good());
    let args = [
        "predict",
        "m",
        "--file",
        "-",
        "--version",
        "2",
        "--address",
        &data,
    ];
    let shown = run_with_input(&args, &lines);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(
        shown
            .stdout
            .contains("m version 2, primary, policy revision 1"),
        "{}",
        shown.stdout
    );
    let answer = run_with_input(&[&args[..], &["--json"]].concat(), &lines);
    let answer = json_of(&answer.stdout);
    assert_eq!(answer["version"], 2);
    let row = json!({"outputs": [{"name": "value", "values": [2.0]}]});
    assert_eq!(answer["rows"], json!([row, row, row]));
}

#[test]
fn refused_input_is_reported_by_field_without_predictions() {
    let dir = two_versions();
    let (_gateway, data, _) = serving(&dir);
    let row = r#"{"x": "hot", "color": "blue", "pair": [0, 1]}"#;
    let refused = run(&["predict", "m", "--row", row, "--address", &data]);
    assert_eq!(
        (refused.code, &*refused.stdout),
        (Some(1), ""),
        "{refused:?}"
    );
    for expected in [
        "INVALID_ARGUMENT (INVALID_INPUT)",
        "\n  rows[0].x: got",
        "\n  rows[0].color: got",
    ] {
        assert!(
            refused.stderr.contains(expected),
            "{expected:?} is missing in {}",
            refused.stderr
        );
    }
}

#[test]
fn a_new_split_keeps_the_rest_of_the_policy() {
    let dir = two_versions();
    let (_gateway, data, admin) = serving(&dir);
    let set = |args: &[&str]| run(&[&["split", "set", "m", "--address", &admin], args].concat());
    let first = set(&[
        "1=95%",
        "2=5%",
        "--rule",
        "x-who=me:2",
        "--sticky-header",
        "x-user",
    ]);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(
        first.stdout.contains("policy revision 1 -> 2"),
        "{}",
        first.stdout
    );

    let row = good().to_string();
    for _ in 0..3 {
        assert_eq!(
            run(&["predict", "m", "--row", &row, "--address", &data]).code,
            Some(0)
        );
    }
    let second = json_of(&set(&["1=99.5%", "2=50bp", "--json"]).stdout);
    let (before, after) = (&second["before"], &second["after"]);
    let counted: u64 = [0, 1]
        .iter()
        .filter_map(|at| before["split"][at]["requests"].as_u64())
        .sum();
    assert_eq!(counted, 3, "{second}");
    assert_eq!(after["revision"], 3);
    assert_eq!(
        after["split"][1],
        json!({"version": 2, "basis_points": 50, "requests": 0})
    );
    assert_eq!(
        after["header_rules"],
        json!([{"header": "x-who", "value": "me", "version": 2}])
    );
    assert_eq!(after["sticky_header"], "x-user");

    let third = set(&["1=50%", "latest=50%", "--rule", "x-who=you:latest"]);
    for expected in ["latest (2)", "x-who = you goes to label latest (2)"] {
        assert!(third.stdout.contains(expected), "{expected}: {third:?}");
    }
    let now = json_of(&run(&["split", "get", "m", "--address", &admin, "--json"]).stdout);
    assert_eq!(
        now["split"][1],
        json!({"label": "latest", "version": 2, "basis_points": 5_000, "requests": 0})
    );

    let late = set(&["1=50%", "2=50%", "--expected-revision", "1"]);
    assert_eq!(late.code, Some(1), "{late:?}");
    assert!(
        late.stderr.contains("ABORTED (REVISION_CONFLICT)"),
        "{}",
        late.stderr
    );
    let short = set(&["1=50%", "2=49%"]);
    assert!(
        short.stderr.contains("add up to 99%, wants 100%"),
        "{}",
        short.stderr
    );
    let now = run(&["split", "get", "m", "--address", &admin, "--json"]);
    assert_eq!(
        json_of(&now.stdout)["revision"],
        4,
        "neither changed anything"
    );
}

#[test]
fn models_are_listed_with_their_faults() {
    let dir = two_versions();
    tiny::publish_with(&dir.path().join("models"), "m", 3, |manifest| {
        manifest["nonsense"] = json!(1);
    });
    let (_gateway, _, admin) = serving(&dir);
    let wanted = json!([{"name": "m", "ready_versions": [1, 2], "failed_versions": [3], "policy_revision": 1}]);
    // A failed version is loaded again from time to time, and is not FAILED meanwhile.
    process::eventually("version 3 is listed as FAILED", || {
        let all = json_of(&run(&["models", "--address", &admin, "--json"]).stdout);
        (all["models"] == wanted).then_some(())
    });
    let one = process::eventually("version 3 is shown as FAILED", || {
        let one = run(&["models", "m", "--address", &admin]);
        one.stdout.contains("FAILED").then_some(one)
    });
    for expected in [
        "latest = 2",
        "FAILED",
        "$.nonsense: unknown field",
        "color",
        "BYTES",
    ] {
        assert!(
            one.stdout.contains(expected),
            "{expected:?} is missing in {}",
            one.stdout
        );
    }
}

#[test]
fn a_refused_connection_says_what_to_start() {
    let free = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("address");
    let url = format!("http://{free}");
    let row = ["predict", "m", "--row", "{}"];
    for verb in [&["models"][..], &["split", "get", "m"], &row] {
        let ended = run(&[verb, &["--address", &url]].concat());
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let expected = format!("nothing listens on {url}; start a gateway with `taper serve`");
        assert!(ended.stderr.contains(&expected), "{}", ended.stderr);
    }
}

#[test]
fn a_timeout_names_the_address_and_the_flags_that_help() {
    // The operating system accepts the connections; no process reads them.
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", mute.local_addr().expect("address"));
    let row = ["predict", "m", "--row", "{}"];
    let set = ["split", "set", "m", "1=100%"];
    let promote = ["promote", "canary", "--model", "m"];
    let verbs = [
        &["models"][..],
        &["models", "m"],
        &set,
        &row,
        &promote,
        &["undo"],
        &["history"],
        &["watch"],
        &["audit"],
    ];
    let started = verbs.map(|verb| {
        let args = [verb, &["--address", &url, "--timeout", "1"]].concat();
        Process::start(&mut process::taper(&args))
    });
    for started in started {
        let ended = started.end();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let expected = format!("no answer from {url} within 1 s");
        let helps = ended.stderr.contains("--address") && ended.stderr.contains("--timeout");
        assert!(
            ended.stderr.contains(&expected) && helps,
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn rows_come_from_exactly_one_of_two_flags() {
    let none = run(&["predict", "m"]);
    assert_eq!(none.code, Some(2));
    for flag in ["--row", "--file"] {
        let required = none.stderr.split("Usage").next().unwrap_or_default();
        assert!(required.contains(flag), "{flag}: {}", none.stderr);
    }
    let both = run(&["predict", "m", "--row", "{}", "--file", "-"]);
    assert_eq!(both.code, Some(2), "{both:?}");
}

#[test]
fn wrong_arguments_exit_with_2_and_help_with_0() {
    assert_eq!(
        run(&["split", "set", "m", "1=5"]).code,
        Some(2),
        "a share without a unit"
    );
    assert_eq!(run(&["nonsense"]).code, Some(2));
    assert_eq!(run(&["--log", "a=b=c", "schema", "config"]).code, Some(2));
    assert_eq!(run(&["--help"]).code, Some(0));
    assert!(run(&["--version"]).stdout.starts_with("taper "));
}
