//! Counts the instructions that a gateway executes per request outside the kernel, for one build or for two.
//!
//! Each build runs as `taper serve` under `valgrind --tool=callgrind`, with the same registry and the same configuration:
//! two versions of the same logistic regression at 50/50, with metrics, statistics and outcomes on. One caller sends the same request
//! over one connection, each after the response to the previous one, over the native protocol and over the Open Inference Protocol.
//! The versions are equal, so it does not matter how many requests each of them answers. They are small, because a larger model takes
//! so long under valgrind that the gateway no longer runs it inline.
//!
//! Counting begins after the start and after the first requests on the connection, and ends before the drain. Some threads also run
//! without requests, such as the one that updates the gauges every second. Their work depends on time, so they are left out, with all
//! work that requests hand over to them. The instructions of all other threads are added up. The result therefore does not depend on
//! the speed of the machine, which valgrind slows down about fifty times.
//!
//! Other load on the machine only adds instructions, because it makes the server wake up more often. Compare the lowest values first,
//! then the medians.
//!
//! * `cargo bench --bench instructions -- --before FILE` compares the binary FILE with the one that cargo built for this bench;
//! * `--after FILE` names the second binary;
//! * without `--before`, only the second binary is measured;
//! * `--requests 4000 --repeats 3` are the defaults.
//!
//! The exit code says whether the measurement succeeded. It does not depend on the difference.
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
#[expect(dead_code, reason = "the load bench uses the rest")]
mod client;
#[path = "../common/mod.rs"]
mod common;
mod counted_gateway;
#[path = "../load/cpu.rs"]
#[expect(dead_code, reason = "the load bench uses the rest")]
mod cpu;
#[path = "../load/foreign.rs"]
mod foreign;
#[path = "../load/request.rs"]
mod request;
#[path = "../load/spread.rs"]
mod spread;
#[path = "../load/target.rs"]
#[expect(dead_code, reason = "the load bench uses the rest")]
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
use client::EncodedRequest;
use counted_gateway::CountedGateway;
use spread::Spread;

/// The configuration of every run.
const CONFIG: &str = "[models.flight-delay]\nsplit = { 1 = 5000, 2 = 5000 }\n";
/// The version that is published twice.
const LOGISTIC: &str = "flight-delay/1";
/// Requests on a connection before counting begins.
const FIRST: usize = 500;
/// How long instructions are counted without requests, before and after the requests.
const IDLE: Duration = Duration::from_secs(3);
/// A thread is left out if its instructions without requests exceed its instructions with requests divided by this number.
const PERIODIC: u64 = 100;
/// The protocols, in the order of [`Bench::requests`].
const PROTOCOLS: [&str; 2] = ["native", "Open Inference"];

fn main() -> ExitCode {
    let Some(version) = counted_gateway::valgrind_version() else {
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
        // The builds alternate, so that changes on the machine affect both.
        for at in 0..bench.builds.len() {
            bench.measure(at);
        }
    }
    println!("\n{}", bench.table());
    ExitCode::SUCCESS
}

/// A binary and its measurements.
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

/// The builds to compare, and the requests to send.
struct Bench {
    /// The build before, if `--before` names one, and the build after.
    builds: Vec<Build>,
    /// Number of counted requests over each protocol.
    number: usize,
    requests: [EncodedRequest; PROTOCOLS.len()],
}

impl Bench {
    /// Starts the build `at` once and measures both protocols.
    fn measure(&mut self, at: usize) {
        let build = &mut self.builds[at];
        let dir = target::folder();
        let config = dir.path().join("taper.toml");
        fs::write(&config, CONFIG).expect("the configuration is written");
        let registry = registry(dir.path());
        let mut gateway = CountedGateway::start(&build.program, &config, &registry, dir.path());
        let measured = per_request(&mut gateway, &self.requests, self.number);
        for (protocol, value) in measured.into_iter().enumerate() {
            println!(
                "{} {}: {value:.0} instructions per request",
                build.name, PROTOCOLS[protocol]
            );
            build.measured[protocol].push(value);
        }
    }

    /// Formats the measurements as a Markdown table.
    fn table(&self) -> String {
        let mut table = String::from("| protocol |");
        let mut rule = String::from("|---|");
        for build in &self.builds {
            write!(table, " {} |", build.name).expect("writing to a string cannot fail");
            rule.push_str("---|");
        }
        if self.builds.len() == 2 {
            table.push_str(" difference of the lowest | difference of the medians |");
            rule.push_str("---|---|");
        }
        writeln!(table, "\n{rule}").expect("writing to a string cannot fail");
        for (protocol, name) in PROTOCOLS.iter().enumerate() {
            let of = |build: &Build| Spread::of(&build.measured[protocol]);
            let spreads: Vec<Spread> = self.builds.iter().map(of).collect();
            write!(table, "| {name} |").expect("writing to a string cannot fail");
            for spread in &spreads {
                write!(table, " {} |", spread.show(0)).expect("writing to a string cannot fail");
            }
            if let [before, after] = spreads[..] {
                let medians = percent(before.median, after.median);
                let lowest = percent(before.lowest, after.lowest);
                write!(table, " {lowest} | {medians} |").expect("writing to a string cannot fail");
            }
            table.push('\n');
        }
        table
    }
}

/// Formats the change from `before` to `after` in percent.
fn percent(before: f64, after: f64) -> String {
    format!("{:+.2} %", (after / before - 1.0) * 100.0)
}

/// Sends each of `requests` `number` times and returns the instructions of `gateway` per request, for each of them.
fn per_request<const N: usize>(
    gateway: &mut CountedGateway,
    requests: &[EncodedRequest; N],
    number: usize,
) -> [f64; N] {
    let idle_before = idle(gateway);
    // Kept open to the end, because closing a connection adds instructions to the thread that serves it.
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

/// Returns the instructions of each thread during [`IDLE`] without requests.
fn idle(gateway: &mut CountedGateway) -> BTreeMap<u32, u64> {
    gateway.reset();
    thread::park_timeout(IDLE);
    gateway.count()
}

/// Creates a registry below `dir` with two equal versions of the example.
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
