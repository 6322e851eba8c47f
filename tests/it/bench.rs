//! `taper bench` against real gateways. Its report is compared with the counters of the gateways.

use std::net::SocketAddr;

use serde_json::Value;

use crate::cli::two_versions;
use crate::harness::http_get;
use crate::process::{Ended, Process, run, taper};

/// A gateway process and its addresses.
struct ServingProcess {
    /// Stops when it is dropped.
    _gateway: Process,
    _dir: tempfile::TempDir,
    data: String,
    admin: String,
    http: SocketAddr,
}

impl ServingProcess {
    fn start() -> Self {
        let dir = two_versions();
        let config = dir.path().join("taper.toml");
        let split = "[models.m]\nsplit = { 1 = 5000, 2 = 5000 }\n";
        std::fs::write(&config, split).expect("configuration");
        let mut command = crate::process::serve(dir.path());
        command.arg("--config").arg(config);
        let mut gateway = Process::start(&mut command);
        Self {
            data: gateway.address("data").to_string(),
            admin: gateway.address("admin").to_string(),
            http: gateway.address("http"),
            _gateway: gateway,
            _dir: dir,
        }
    }

    fn bench(&self, flags: &[&str]) -> Ended {
        let to = [
            "bench",
            "m",
            "--address",
            &self.data,
            "--admin",
            &self.admin,
        ];
        run(&[&to[..], flags].concat())
    }

    fn json(&self, flags: &[&str]) -> Value {
        let ended = self.bench(&[&["--json"], flags].concat());
        assert_eq!(ended.code, Some(0), "{flags:?}: {ended:?}");
        serde_json::from_str(&ended.stdout).expect("JSON")
    }

    /// Returns the number of requests that the gateway counted, of one version or of all.
    fn counted(&self, version: Option<u64>) -> u64 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let (_, text) = runtime.block_on(http_get(self.http, "/metrics"));
        let of = version.map_or_else(String::new, |version| format!("version=\"{version}\""));
        let own = text
            .lines()
            .filter(|line| line.starts_with("taper_requests_total{") && line.contains(&of));
        let counts = own.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
        counts.sum()
    }
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is a count"))
}

/// Returns the number of all requests to a target, according to the report.
fn sent(target: &Value) -> u64 {
    let requests = &target["requests"];
    let of = |name: &str| number(&requests[name]);
    let ended = of("answered") + of("failed") + of("unanswered");
    assert_eq!(of("sent"), ended, "{requests}");
    of("sent") + of("warm_up")
}

#[test]
fn the_report_of_an_open_loop_matches_the_counters_of_the_gateway() {
    let serving = ServingProcess::start();
    let flags = [
        "--rate",
        "200",
        "--uniform",
        "--duration",
        "1",
        "--warmup",
        "0.2",
        "--keys",
        "50",
    ];
    let report = serving.json(&flags);
    let target = &report["targets"][0];
    assert_eq!(report["load"]["loop"], "open", "{report}");
    let requests = &target["requests"];
    assert_eq!(
        number(&requests["sent"]) + number(&requests["not_sent"]),
        200
    );
    // The first request and the requests of the warm-up.
    assert_eq!(number(&requests["warm_up"]), 1 + 40);
    assert_eq!(target["errors"], Value::Array(Vec::new()), "{target}");
    assert_eq!(serving.counted(None), sent(target));
    let versions = target["versions"].as_array().expect("versions");
    let each: Vec<_> = versions.iter().map(|one| number(&one["version"])).collect();
    assert_eq!(each, [1, 2]);
    for one in versions {
        let (p50, p99) = (one["p50_ms"].as_f64(), one["p99_ms"].as_f64());
        assert!(p50 > Some(0.0) && p50 <= p99, "{one}");
        assert!(serving.counted(one["version"].as_u64()) >= number(&one["requests"]));
    }
    assert!(target["sent_late"]["p50_ms"].is_number(), "{target}");
}

#[test]
fn the_report_of_a_closed_loop_matches_the_counters_of_the_gateway() {
    let serving = ServingProcess::start();
    let rows = serving._dir.path().join("rows.jsonl");
    let row = r#"{"x": 1.0, "n": 3, "color": "green", "pair": [0.5, -0.5]}"#;
    std::fs::write(&rows, format!("{row}\n{row}\n{row}\n")).expect("rows");
    let rows = rows.to_str().expect("UTF-8");
    let flags = [
        "--concurrency",
        "3",
        "--duration",
        "0.5",
        "--rows",
        "2",
        "--version",
        "2",
        "--input",
        rows,
    ];
    let report = serving.json(&flags);
    let target = &report["targets"][0];
    assert_eq!(report["load"]["concurrency"], 3, "{report}");
    assert_eq!(target["sent_late"], Value::Null, "nothing was due");
    assert!(number(&target["requests"]["answered"]) > 0, "{target}");
    assert_eq!(serving.counted(Some(2)), sent(target));
    assert_eq!(serving.counted(None), sent(target), "it was pinned");
}

#[test]
fn two_gateways_take_turns_and_are_compared() {
    let (first, second) = (ServingProcess::start(), ServingProcess::start());
    let flags = [
        "--against",
        &second.data,
        "--rate",
        "100",
        "--duration",
        "1",
        "--slice",
        "0.25",
        "--warmup",
        "0",
    ];
    let report = first.json(&flags);
    let targets = report["targets"].as_array().expect("targets");
    for (target, serving) in targets.iter().zip([&first, &second]) {
        assert_eq!(target["address"], *serving.data);
        assert_eq!(serving.counted(None), sent(target));
    }
    let due = |target: &Value| {
        number(&target["requests"]["sent"]) + number(&target["requests"]["not_sent"])
    };
    assert_eq!(
        due(&targets[0]),
        due(&targets[1]),
        "the same times for both"
    );
    let ratio = &report["ratio"]["p50"];
    assert!(ratio["all"].as_f64() > Some(0.0), "{report}");
    assert!(
        ratio["lowest"].as_f64() <= ratio["highest"].as_f64(),
        "{report}"
    );
    let readable = first.bench(&flags);
    assert_eq!(readable.code, Some(0), "{readable:?}");
    for wanted in [
        "open loop, 100 requests/s",
        "p99.9 ms",
        "ratio of",
        "measuring",
    ] {
        let output = format!("{}{}", readable.stdout, readable.stderr);
        assert!(
            output.contains(wanted),
            "{wanted:?} is missing in\n{output}"
        );
    }
}

#[test]
fn ctrl_c_ends_a_run_early_with_a_report() {
    let serving = ServingProcess::start();
    let mut command = taper(&[
        "bench",
        "m",
        "--address",
        &serving.data,
        "--admin",
        &serving.admin,
        "--json",
        "--duration",
        "600",
        "--warmup",
        "0",
        "--rate",
        "100",
    ]);
    let bench = Process::start(&mut command);
    while serving.counted(None) < 50 {
        std::thread::yield_now();
    }
    bench.signal("INT");
    let ended = bench.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(report["interrupted"], true);
    let target = &report["targets"][0];
    assert!(number(&target["requests"]["answered"]) >= 49, "{target}");
    assert!(target["seconds"].as_f64() < Some(600.0), "{target}");
}

#[test]
fn invalid_runs_are_refused_before_any_load() {
    let wrong = run(&[
        "bench",
        "m",
        "--rate",
        "0",
        "--rows",
        "0",
        "--concurrency",
        "4",
        "--duration",
        "1e9",
    ]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    for flag in [
        "--rate: got 0",
        "--rows: got 0",
        "--duration: got",
        "--concurrency: got it together with --rate",
    ] {
        assert!(
            wrong.stderr.contains(flag),
            "{flag:?} is missing in {wrong:?}"
        );
    }

    let serving = ServingProcess::start();
    let failed = |args: &[&str], want: &[&str]| {
        let ended = run(args);
        assert_eq!(ended.code, Some(1), "{args:?}: {ended:?}");
        for want in want {
            assert!(
                ended.stderr.contains(want),
                "{want:?} is missing in {ended:?}"
            );
        }
    };
    let (data, admin) = (serving.data.as_str(), serving.admin.as_str());
    let nobody = "127.0.0.1:1";
    failed(
        &["bench", "m", "--admin", nobody],
        &["--admin: nothing listens on http://127.0.0.1:1", "--input"],
    );
    failed(
        &["bench", "m", "--address", nobody, "--admin", admin],
        &["nothing listens"],
    );
    failed(
        &[
            "bench",
            "m",
            "--address",
            data,
            "--admin",
            admin,
            "--against",
            nobody,
        ],
        &["--against: nothing listens"],
    );
    failed(
        &["bench", "x", "--address", data, "--admin", admin],
        &["NOT_FOUND (UNKNOWN_MODEL)"],
    );
    let rows = serving._dir.path().join("rows.json");
    std::fs::write(&rows, r#"{"x": 1000}"#).expect("rows");
    let rows = rows.to_str().expect("UTF-8");
    failed(
        &["bench", "x", "--address", data, "--input", rows],
        &["NOT_FOUND (UNKNOWN_MODEL)"],
    );
    failed(
        &["bench", "m", "--address", data, "--input", rows],
        &["INVALID_ARGUMENT (INVALID_INPUT)", "rows[0].x"],
    );
}
