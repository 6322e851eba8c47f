//! The gateway under load, compared with its components, in one run on one machine:
//!
//! * `echo`: a bare tonic server that decodes the same request and returns one prebuilt answer, the floor of transport;
//! * `echo + forward`: the same, which also runs the same forward passes on candle, the floor of transport and compute;
//! * `gateway`: a real `taper serve` with two versions at 50/50, and with metrics, statistics and outcomes on;
//! * `open inference`: the same, with requests of the Open Inference Protocol with raw tensors, as its clients send them;
//! * `shadow 10 %`, `shadow 100 %`: the same with a third version as a shadow of that part of the traffic;
//! * `swaps`: a gateway whose only version is replaced by the next one every tenth of a second: read, verified, warmed up,
//!   published and freed on the same core;
//! * `other`: the gateway of another build, where `--other FILE` names its binary.
//!
//! The servers share one core and the generator has another, if there are two. Closed loops at concurrency 1, 8 and 64, then an
//! open loop at one rate for all, whose latencies count from the moment a request was due and not from when it could be
//! sent. The servers take turns within each round; reported are medians over the rounds with the lowest and the highest.
//! The generator may be the bottleneck, so the server's own CPU time per request is reported too.
//!
//! `cargo bench --bench load -- --seconds 1 --rounds 1 --rate 4000` for a quick look.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench prints its results and panics on the first error"
)]

#[path = "../common/args.rs"]
mod args;
mod bare;
#[path = "../common/candle.rs"]
mod candle;
mod client;
#[path = "../common/mod.rs"]
mod common;
mod cpu;
mod foreign;
mod listen;
mod report;
mod request;
#[path = "../swap/resident.rs"]
mod resident;
mod spread;
mod swaps;
mod target;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use args::Args;
use client::{EncodedRequest, Load, Sample};
use cpu::Others;
use report::Report;
use swaps::Swaps;
use target::{BUILT, Cores, Target};
use tokio::time::Instant;

/// Two versions share the traffic; `shadow` of it goes to a third one, too.
fn config(shadow: Option<u32>) -> String {
    let shadow = shadow.map_or_else(String::new, |share| {
        format!("shadows = [{{ version = 3, share = {share} }}]\n")
    });
    format!("[models.flight-delay]\nsplit = {{ 1 = 5000, 2 = 5000 }}\n{shadow}")
}

/// The newest version has all traffic.
const NEWEST: &str = "versions = { latest = 1 }\n";
/// The gateway that gets requests of the Open Inference Protocol.
const OPEN_INFERENCE: &str = "open inference";
/// The server whose versions are swapped.
const SWAPS: &str = "swaps";

/// Concurrency of the closed loops.
const CLOSED: [usize; 3] = [1, 8, 64];

/// Options of the command line.
struct Plan {
    seconds: Duration,
    rounds: usize,
    /// Requests per second of the open loop; without it, half of the gateway's throughput in the widest closed loop.
    rate: Option<u32>,
    /// Another build of the gateway.
    other: Option<String>,
}

fn main() {
    let args = Args::read();
    match args.0.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [bare::VERB, answer] => bare::serve(Path::new(answer), false),
        [bare::VERB, answer, bare::FORWARD] => bare::serve(Path::new(answer), true),
        _ => run(&plan(&args)),
    }
}

fn plan(args: &Args) -> Plan {
    Plan {
        seconds: Duration::from_secs_f64(args.after("--seconds").unwrap_or(1.0)),
        rounds: args.after("--rounds").unwrap_or(7),
        rate: args.after("--rate"),
        other: args.after("--other"),
    }
}

/// The servers and their load.
struct Bench {
    targets: Vec<Target>,
    /// Removed while they run.
    swaps: Option<Swaps>,
    asked: EncodedRequest,
    /// The same flight by another protocol.
    by_open_inference: EncodedRequest,
    report: Report,
}

fn run(plan: &Plan) {
    let cores = Cores::split();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let dir = target::folder();
    runtime.block_on(async {
        let mut bench = Bench::start(plan, dir.path(), cores).await;
        bench.measure_all(plan).await;
    });
}

impl Bench {
    /// Starts all servers. Prints the time to the gateway's first answer and its memory at that moment.
    async fn start(plan: &Plan, dir: &Path, cores: Option<Cores>) -> Self {
        let place = |name: &str| -> PathBuf {
            let place = dir.join(name);
            fs::create_dir(&place).expect("a folder");
            place
        };
        let gateway = |name: &'static str, program: &str, shadow| {
            let (registry, config) = (common::registry(), config(shadow));
            Target::gateway(program, name, &place(name), &registry, &config, cores)
        };
        let asked = request::flight();
        let begin = Instant::now();
        let plain = gateway("gateway", BUILT, None);
        let answer = client::one(plain.data(), &asked).await;
        let first = begin.elapsed();
        let resident = resident::of(plain.id());
        println!(
            "first answer of the gateway {first:.0?} after its start, {resident} kB resident then"
        );

        // The bare servers return an answer of the gateway.
        let path = dir.join("answer");
        fs::write(&path, &answer).expect("written");
        let swaps = Swaps::new(&place("registry"));
        let (dir, registry) = (place(SWAPS), swaps.registry());
        let swapped = Target::gateway(BUILT, SWAPS, &dir, &registry, NEWEST, cores);
        let mut targets = vec![
            bare::target("echo", &path, &[], cores),
            bare::target("echo + forward", &path, &[bare::FORWARD], cores),
            plain,
            gateway(OPEN_INFERENCE, BUILT, None),
            gateway("shadow 10 %", BUILT, Some(1_000)),
            gateway("shadow 100 %", BUILT, Some(10_000)),
            swapped,
        ];
        if let Some(program) = &plan.other {
            targets.push(gateway("other", program, None));
        }
        let (rounds, seconds) = (plan.rounds, plan.seconds);
        println!("{rounds} rounds of {seconds:?}; medians, in brackets the lowest and the highest");
        let lengths = (asked.body.len(), answer.len());
        println!(
            "one row: request of {} bytes, answer of {} bytes\n",
            lengths.0, lengths.1
        );
        Self {
            targets,
            swaps: Some(swaps),
            asked,
            by_open_inference: foreign::open_inference(),
            report: Report::default(),
        }
    }

    async fn measure_all(&mut self, plan: &Plan) {
        let others = Others::watch(&self.targets);
        for callers in CLOSED {
            let load = client::closed(callers);
            self.measure(plan, load).await;
            let table = self.report.table(load, "requests/s");
            println!("Closed loop, callers: {callers}\n\n{table}");
        }
        let half = self.report.throughput(client::closed(64), "gateway") / 2.0;
        let rate = plan
            .rate
            .unwrap_or((half / 500.0).floor().max(1.0) as u32 * 500);
        let load = client::open(rate);
        self.measure(plan, load).await;
        println!(
            "Open loop, requests/s due: {rate}\n\n{}",
            self.report.table(load, "p99")
        );
        let above = self.report.p50_above(load, "gateway", "echo + forward");
        println!("p50 of the gateway above that of echo + forward: {above} µs\n");

        let busy = others.cores(&self.targets);
        println!("others kept {busy:.2} cores busy meanwhile; on a quiet machine it is below 0.1");
        println!(
            "| server | resident kB | answers received | recorded by its metrics | copies scored | dropped |\n|---|---|---|---|---|---|"
        );
        for target in &self.targets[2..] {
            let (resident, recorded) = (resident::of(target.id()), recorded(target));
            // The first call to the gateway fetched the answer for the echo.
            let sent = self.report.sent(target.name) + u64::from(target.name == "gateway");
            let (scored, dropped) = copies(target);
            println!(
                "| {} | {resident} | {sent} | {recorded} | {scored} | {dropped} |",
                target.name
            );
            // The counters of a version go when it is freed.
            assert!(
                recorded == sent || target.name == SWAPS,
                "telemetry was on and complete"
            );
        }
        let published = self.swaps.as_ref().map_or(0, Swaps::number);
        let swapped = self.targets.iter().find(|target| target.name == SWAPS);
        let ready = swapped.map_or(0.0, |target| {
            let series = target.series("taper_loads_total{outcome=\"ready\"}");
            series.into_iter().map(|(_, count)| count).sum()
        });
        println!(
            "\n{published} versions were published under load, {ready} loaded in all; every request was answered"
        );
    }

    async fn measure(&mut self, plan: &Plan, load: Load) {
        for round in 0..plan.rounds {
            for turn in 0..self.targets.len() {
                // Each round starts with another server, so that a drift of the machine affects all alike.
                let target = &self.targets[(turn + round) % self.targets.len()];
                let swapping = match target.name {
                    SWAPS => self.swaps.take().map(Swaps::begin),
                    _ => None,
                };
                let asked = match target.name {
                    OPEN_INFERENCE => &self.by_open_inference,
                    _ => &self.asked,
                };
                let sample: Sample = client::drive(target, load, asked, plan.seconds).await;
                self.report.add(load, target.name, sample);
                if let Some(swapping) = swapping {
                    self.swaps = Some(swapping.end());
                }
                // Connections close and queues become empty before the next server's turn.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Returns the answers that the gateway's metrics have counted.
fn recorded(gateway: &Target) -> u64 {
    let counted = gateway.series("taper_requests_total{").into_iter();
    let right = counted.filter(|(series, _)| {
        series.contains("code=\"OK\"") && !series.contains("role=\"shadow\"")
    });
    right.map(|(_, count)| count as u64).sum()
}

/// Returns the copies that the shadow scored, and those that were dropped.
fn copies(gateway: &Target) -> (u64, u64) {
    let sum = |prefix: &str| {
        let series = gateway.series(prefix).into_iter();
        series.map(|(_, count)| count as u64).sum()
    };
    let scored = "taper_requests_total{model=\"flight-delay\",version=\"3\",role=\"shadow\"";
    (sum(scored), sum("taper_shadow_dropped_total{"))
}
