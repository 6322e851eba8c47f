//! Counts the instructions that a gateway executes outside the kernel for one request, for one build or for two.
//!
//! Each build runs as `taper serve` under `valgrind --tool=callgrind`, over the same registry and with the same configuration:
//! two versions of the same logistic regression at 50/50, with metrics, statistics and outcomes on. One caller sends the same request
//! over one connection, each after the answer to the previous one, over the native protocol and over the Open Inference Protocol.
//! The versions are equal, so that it does not matter how many requests each answers. They are small, because under valgrind a larger one
//! takes so long that a gateway no longer runs it on the thread that has the request.
//!
//! Counting begins after the start and after the first requests on the connection, and ends before the drain. Threads that also run
//! without any request, such as the one that brings the gauges up to date every second, are left out: what they do depends on time. All
//! other threads are added up, but nothing that a request leaves to one of those. So the result does not depend on the speed of the machine, of which valgrind leaves a fiftieth.
//!
//! Whatever else runs on the machine only adds instructions, because the server is woken up more often. So the lowest values are compared
//! first, then the medians.
//!
//! * `cargo bench --bench instructions -- --before FILE` compares the binary FILE with the one that cargo built for this bench;
//! * `--after FILE` names the second binary;
//! * without `--before`, only the second binary is measured;
//! * `--requests 4000 --repeats 3` are the defaults.
//!
//! The exit code says whether it could be measured. It does not judge the difference.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench prints what it measured, and stops at the first error"
)]

#[path = "../common/args.rs"]
mod args;
mod caller;
#[path = "../load/client.rs"]
#[expect(dead_code, reason = "the bench of load uses more of it")]
mod client;
#[path = "../common/mod.rs"]
mod common;
mod counted;
#[path = "../load/cpu.rs"]
#[expect(dead_code, reason = "the bench of load uses more of it")]
mod cpu;
#[path = "../load/foreign.rs"]
mod foreign;
#[path = "../load/request.rs"]
mod request;
#[path = "../load/spread.rs"]
mod spread;
#[path = "../load/target.rs"]
#[expect(dead_code, reason = "the bench of load uses more of it")]
mod target;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use args::Args;
use caller::Caller;
use client::Asked;
use counted::Counted;
use spread::Spread;

/// The configuration of every run.
const CONFIG: &str = "[models.flight-delay]\nsplit = { 1 = 5000, 2 = 5000 }\n";
/// The version that is published twice.
const LOGISTIC: &str = "flight-delay/1";
/// Requests on a connection before counting begins.
const FIRST: usize = 500;
/// How long the gateway is counted without requests, before and after them.
const IDLE: Duration = Duration::from_secs(3);
/// A thread that executes more than this part of its instructions without requests as well is left out.
const PERIODIC: u64 = 100;
/// The protocols, in the order of [`Bench::requests`].
const PROTOCOLS: [&str; 2] = ["native", "Open Inference"];

fn main() -> ExitCode {
    let Some(version) = counted::valgrind_version() else {
        #[expect(clippy::print_stderr, reason = "an error is not a result")]
        {
            eprintln!(
                "error: valgrind not found; install the Debian package valgrind: apt-get install valgrind"
            );
        }
        return ExitCode::FAILURE;
    };
    let args = Args::read();
    let before = args
        .after("--before")
        .map(|path| Build::new("before", path));
    let after = args.after("--after");
    let after = Build::new("after", after.unwrap_or_else(|| target::BUILT.into()));
    let mut bench = Bench {
        builds: before.into_iter().chain([after]).collect(),
        number: args.after("--requests").unwrap_or(4_000),
        requests: [request::flight(), foreign::open_inference()],
    };
    let repeats = args.after("--repeats").unwrap_or(3).max(1);
    println!(
        "{version}, {repeats} repeats, {} requests each",
        bench.number
    );
    for build in &bench.builds {
        println!("{}: {}", build.name, build.program.display());
    }
    for _ in 0..repeats {
        // The builds alternate, so that whatever changes on the machine affects both.
        for at in 0..bench.builds.len() {
            bench.measure(at);
        }
    }
    println!("\n{}", bench.table());
    ExitCode::SUCCESS
}

/// A binary, and what was measured of it.
struct Build {
    name: &'static str,
    program: PathBuf,
    /// Instructions per request: for each protocol, one value per repeat.
    measured: [Vec<f64>; PROTOCOLS.len()],
}

impl Build {
    fn new(name: &'static str, program: PathBuf) -> Self {
        assert!(
            program.is_file(),
            "{name}: {} is not a file; pass the path of a taper binary",
            program.display()
        );
        Self {
            name,
            program,
            measured: Default::default(),
        }
    }
}

/// What is compared, and how.
struct Bench {
    /// The build before, if one was named, and the build after.
    builds: Vec<Build>,
    /// Requests that are counted, over each protocol.
    number: usize,
    requests: [Asked; PROTOCOLS.len()],
}

impl Bench {
    /// Starts the build `at` once and measures both protocols.
    fn measure(&mut self, at: usize) {
        let build = &mut self.builds[at];
        let dir = target::folder();
        let config = dir.path().join("taper.toml");
        fs::write(&config, CONFIG).expect("the configuration is written");
        let registry = registry(dir.path());
        let mut gateway = Counted::start(&build.program, &config, &registry, dir.path());
        let measured = per_request(&mut gateway, &self.requests, self.number);
        for (protocol, value) in measured.into_iter().enumerate() {
            println!(
                "{} {}: {value:.0} instructions per request",
                build.name, PROTOCOLS[protocol]
            );
            build.measured[protocol].push(value);
        }
    }

    fn table(&self) -> String {
        let mut table = String::from("| protocol |");
        let mut rule = String::from("|---|");
        for build in &self.builds {
            write!(table, " {} |", build.name).expect("text takes text");
            rule.push_str("---|");
        }
        if self.builds.len() == 2 {
            table.push_str(" difference of the lowest | difference of the medians |");
            rule.push_str("---|---|");
        }
        writeln!(table, "\n{rule}").expect("text takes text");
        for (protocol, name) in PROTOCOLS.iter().enumerate() {
            let of = |build: &Build| Spread::of(&build.measured[protocol]);
            let spreads: Vec<Spread> = self.builds.iter().map(of).collect();
            write!(table, "| {name} |").expect("text takes text");
            for spread in &spreads {
                write!(table, " {} |", spread.show(0)).expect("text takes text");
            }
            if let [before, after] = spreads[..] {
                let medians = percent(before.median, after.median);
                let lowest = percent(before.lowest, after.lowest);
                write!(table, " {lowest} | {medians} |").expect("text takes text");
            }
            table.push('\n');
        }
        table
    }
}

fn percent(before: f64, after: f64) -> String {
    format!("{:+.2} %", (after / before - 1.0) * 100.0)
}

/// Instructions of `gateway` per request, for each of `requests`, which are sent `number` times.
fn per_request<const N: usize>(
    gateway: &mut Counted,
    requests: &[Asked; N],
    number: usize,
) -> [f64; N] {
    let idle_before = idle(gateway);
    // Kept to the end: to close a connection is work for the thread that serves it.
    let mut callers = Vec::new();
    let mut busy = [(); N].map(|()| BTreeMap::new());
    for (asked, busy) in requests.iter().zip(&mut busy) {
        let mut caller = Caller::connect(gateway.data(), gateway.id(), asked);
        caller.send(FIRST);
        gateway.reset();
        caller.send(number);
        *busy = gateway.count();
        callers.push(caller);
    }
    let idle_after = idle(gateway);
    let of_idle = |thread: &u32| {
        let both = [&idle_before, &idle_after];
        let counts = both.map(|idle| idle.get(thread).copied().unwrap_or(0));
        counts.iter().sum::<u64>()
    };
    busy.map(|counts| {
        let counts = counts.into_iter();
        let of_requests = counts.filter(|(thread, count)| of_idle(thread) <= count / PERIODIC);
        let sum: u64 = of_requests.map(|(_, count)| count).sum();
        sum as f64 / number as f64
    })
}

/// The instructions of each thread without requests.
fn idle(gateway: &mut Counted) -> BTreeMap<u32, u64> {
    gateway.reset();
    thread::park_timeout(IDLE);
    gateway.count()
}

/// A registry below `dir` with two equal versions of the example.
fn registry(dir: &Path) -> PathBuf {
    let registry = dir.join("models");
    let from = common::registry().join(LOGISTIC);
    for version in [1, 2] {
        let to = registry.join(common::MODEL).join(version.to_string());
        fs::create_dir_all(&to).expect("a folder");
        let weights = "weights.safetensors";
        fs::copy(from.join(weights), to.join(weights)).expect("a copy");
        let manifest = "metadata.json";
        let text = fs::read(from.join(manifest)).expect("a manifest");
        let mut json: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        json["version"] = version.into();
        fs::write(to.join(manifest), json.to_string()).expect("written");
    }
    registry
}
