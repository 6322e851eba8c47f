//! The gateway under load beside what it is built from, in one run on one machine:
//!
//! * `echo`: a bare tonic server that decodes the same request and gives back one prebuilt answer, the floor of transport;
//! * `echo + forward`: the same, which also runs the same forward passes on candle, the floor of transport and compute;
//! * `gateway`: a real `taper serve` with two versions at 50/50 and its metrics on;
//! * `gateway + shadow`: the same with a third version as a shadow of all traffic. Told at the end is its p99 in the open loop
//!   over that of the gateway without one.
//!
//! The servers share one core and the generator has another, where there are two. Closed loops at concurrency 1, 8 and 64, then an
//! open loop at one rate for all, whose latencies count from the moment a request was due and not from when it could be
//! sent. The servers take turns within each round; told are medians over the rounds with the lowest and the highest.
//! Since the generator may be what is busiest, the server's own CPU time per request is told too.
//!
//! `cargo bench --bench load -- --seconds 1 --rounds 1 --rate 4000` for a quick look.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench tells what it saw, and stops at the first thing that is wrong"
)]

mod bare;
#[path = "../common/candle.rs"]
mod candle;
mod client;
#[path = "../common/mod.rs"]
mod common;
mod cpu;
mod report;
mod target;

use std::{env, path::Path, time::Duration};

use client::{Load, Sample};
use cpu::Others;
use prost::Message;
use report::Report;
use taper::model::payload::{Tensor, TensorData};
use taper::proto::v1;
use target::{Cores, Target};

const CONFIG: &str = "[models.flight-delay]\nsplit = { 1 = 5000, 2 = 5000 }\n";

/// The same with a shadow.
const SHADOWED: &str = "[models.flight-delay]\nsplit = { 1 = 5000, 2 = 5000 }\nshadows = [{ version = 3, share = 10000 }]\n";

/// Concurrency of the closed loops.
const CLOSED: [usize; 3] = [1, 8, 64];

/// What the command line asks for.
struct Plan {
    seconds: Duration,
    rounds: usize,
    /// Requests per second of the open loop; without it, half of what the gateway managed in the widest closed loop.
    rate: Option<u32>,
}

fn main() {
    let args: Vec<_> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [bare::VERB, answer] => bare::serve(Path::new(answer), false),
        [bare::VERB, answer, bare::FORWARD] => bare::serve(Path::new(answer), true),
        _ => run(&plan(&args)),
    }
}

fn plan(args: &[String]) -> Plan {
    let after = |flag: &str| {
        let at = args.iter().position(|arg| arg == flag)?;
        let value = args.get(at + 1).and_then(|value| value.parse().ok());
        Some(value.unwrap_or_else(|| panic!("{flag} wants a number")))
    };
    Plan {
        seconds: Duration::from_secs(after("--seconds").unwrap_or(3).into()),
        rounds: after("--rounds").unwrap_or(3) as usize,
        rate: after("--rate"),
    }
}

fn run(plan: &Plan) {
    let cores = Cores::split();
    let body = request().encode_to_vec();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let gateway = Target::gateway(dir.path(), &common::registry(), CONFIG, cores);
        let beside = dir.path().join("shadow");
        std::fs::create_dir(&beside).expect("a folder");
        let mut shadowed = Target::gateway(&beside, &common::registry(), SHADOWED, cores);
        shadowed.name = "gateway + shadow";
        // What the bare servers give back is what the gateway answers.
        let answer = client::one(gateway.address(0), &body).await;
        let path = dir.path().join("answer");
        std::fs::write(&path, &answer).expect("written");
        let echo = bare::target("echo", &path, &[], cores);
        let forward = bare::target("echo + forward", &path, &[bare::FORWARD], cores);
        let targets = [echo, forward, gateway, shadowed];

        match cores {
            Some(Cores { server, generator }) => {
                println!("servers on core {server}, generator on core {generator}");
            }
            None => println!("servers and generator share all cores, so take no latency seriously"),
        }
        let (rounds, seconds) = (plan.rounds, plan.seconds.as_secs());
        println!("{rounds} rounds of {seconds} s; medians, in brackets the lowest and the highest");
        let lengths = (body.len(), answer.len());
        println!(
            "one row: request of {} bytes, answer of {} bytes\n",
            lengths.0, lengths.1
        );

        let others = Others::watch(&targets);
        let mut report = Report::default();
        for round in 0..plan.rounds {
            for load in CLOSED.map(client::closed) {
                measure(plan, round, load, &targets, &body, &mut report).await;
            }
        }
        println!("{}", report.closed());
        let half = report.throughput(client::closed(64), "gateway") / 2.0;
        let rate = plan
            .rate
            .unwrap_or((half / 500.0).floor().max(1.0) as u32 * 500);
        for round in 0..plan.rounds {
            measure(
                plan,
                round,
                client::open(rate),
                &targets,
                &body,
                &mut report,
            )
            .await;
        }
        println!("{}", report.open());
        let ratio = report.p99_ratio(client::open(rate), "gateway + shadow", "gateway");
        let (scored, dropped) = copies(&targets[3]);
        println!("p99 with a shadow of all traffic to p99 without, at {rate} requests/s: {ratio}");
        println!("the shadow scored {scored} copies and dropped {dropped} over all loops\n");

        let busy = others.cores(&targets);
        println!("others kept {busy:.2} cores busy meanwhile; on a quiet machine it is below 0.1");
        let gateway = &targets[2];
        // The first call fetched the answer for the echo.
        let (sent, recorded) = (report.sent("gateway") + 1, recorded(gateway));
        println!("the gateway's own metrics recorded {recorded} answers; {sent} were received");
        assert_eq!(recorded, sent, "telemetry was on and complete");
    });
}

/// Answers that the gateway's metrics have counted.
fn recorded(gateway: &Target) -> u64 {
    let counted = gateway.series("taper_requests_total{").into_iter();
    let right = counted.filter(|(series, _)| series.contains("code=\"OK\""));
    right.map(|(_, count)| count as u64).sum()
}

/// Copies that the shadow scored, and that were dropped.
fn copies(gateway: &Target) -> (u64, u64) {
    let sum = |prefix: &str| {
        let series = gateway.series(prefix).into_iter();
        series.map(|(_, count)| count as u64).sum()
    };
    let scored = "taper_requests_total{model=\"flight-delay\",version=\"3\",role=\"shadow\"";
    (sum(scored), sum("taper_shadow_dropped_total{"))
}

async fn measure(
    plan: &Plan,
    round: usize,
    load: Load,
    targets: &[Target],
    body: &[u8],
    report: &mut Report,
) {
    for turn in 0..targets.len() {
        // Another one goes first in each round, so that a drift of the machine hits all alike.
        let target = &targets[(turn + round) % targets.len()];
        let sample: Sample = client::drive(target, load, body, plan.seconds).await;
        report.add(load, target.name, sample);
        // Connections close and queues empty before the next one's turn.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// One golden flight as a program sends it.
fn request() -> v1::PredictRequest {
    let tensors = common::tensors(&common::version(2), 1);
    v1::PredictRequest {
        model: common::MODEL.into(),
        tensors: tensors.into_iter().map(wire).collect(),
        ..v1::PredictRequest::default()
    }
}

fn wire(tensor: Tensor) -> v1::Tensor {
    let mut wire = v1::Tensor {
        name: tensor.name,
        shape: tensor.shape,
        ..v1::Tensor::default()
    };
    let datatype = match tensor.data {
        TensorData::Int32(values) => {
            wire.int32_values = values;
            v1::Datatype::Int32
        }
        TensorData::Fp64(values) => {
            wire.fp64_values = values;
            v1::Datatype::Fp64
        }
        TensorData::Bytes(values) => {
            wire.bytes_values = values;
            v1::Datatype::Bytes
        }
        other => panic!("no flight has a {}", other.datatype()),
    };
    wire.set_datatype(datatype);
    wire
}
