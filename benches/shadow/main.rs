//! Effect of a shadow of all traffic on clients: it answers, takes a hundred times as long, hangs, panics, or answers NaN. The
//! rate is below the capacity of the server.
//!
//! The servers take turns within each round on one core, and the generator has another, if there are two. A ratio is p99 with
//! that shadow to p99 without any, in the same round; reported are medians with the lowest and the highest, and the results of the
//! copies.
//!
//! `cargo bench --bench shadow -- --rounds 2` for a quick look.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench prints its results and panics on the first error"
)]

#[path = "../common/args.rs"]
mod args;
#[path = "../load/client.rs"]
#[expect(dead_code, reason = "the bench of load uses more of it")]
mod client;
#[path = "../common/mod.rs"]
mod common;
#[path = "../load/cpu.rs"]
mod cpu;
mod gateway;
#[path = "../load/listen.rs"]
mod listen;
#[path = "../../tests/it/live_snapshot.rs"]
#[expect(unreachable_pub, reason = "the tests use it, too")]
mod live_snapshot;
#[path = "../load/request.rs"]
mod request;
#[path = "../swap/resident.rs"]
mod resident;
#[path = "../load/spread.rs"]
mod spread;
#[path = "../load/target.rs"]
#[expect(dead_code, reason = "the bench of load uses more of it")]
mod target;

use std::env;
use std::time::Duration;

use args::Args;
use cpu::Others;
use gateway::Fault;
use prost::Message;
use spread::Spread;
use taper::proto::v1;
use target::{Cores, Target, on_server_core};

/// Argument that makes this binary a gateway with a shadow.
const VERB: &str = "gateway";

fn main() {
    let args = Args::read();
    if let [verb, fault] = &args.0[..]
        && verb == VERB
    {
        return gateway::serve(Fault::named(fault));
    }
    let seconds = Duration::from_secs_f64(args.after("--seconds").unwrap_or(1.0));
    let rounds = args.after("--rounds").unwrap_or(11);
    let rate = args.after("--rate").unwrap_or(3_000);
    let cores = Cores::split();
    println!("{rate} requests/s, {rounds} rounds of {seconds:?}\n");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(run(seconds, rounds, rate, cores));
}

async fn run(seconds: Duration, rounds: usize, rate: u32, cores: Option<Cores>) {
    let own = env::current_exe().expect("its own path");
    let targets = Fault::ALL.map(|(_, name)| {
        let mut command = on_server_core(&own.to_string_lossy(), cores);
        command.args([VERB, name]);
        Target::start(name, command, &["data", "http"])
    });
    let asked = request::flight();
    let load = client::open(rate);
    // A first round that is not counted fills the buffers.
    for target in &targets {
        client::drive(target, load, &asked, seconds).await;
    }
    let begin = targets.each_ref().map(|target| resident::of(target.id()));
    let others = Others::watch(&targets);
    let mut seen = targets.each_ref().map(|_| Vec::new());
    for round in 0..rounds {
        for turn in 0..targets.len() {
            // Each round starts with another server, so that a drift of the machine affects all alike.
            let at = (turn + round) % targets.len();
            let target = &targets[at];
            let sample = client::drive(target, load, &asked, seconds).await;
            let quantile = |q| sample.latency.quantile(q).as_secs_f64() * 1e6;
            seen[at].push((quantile(0.5), quantile(0.99)));
            is_right(&client::one(target.data(), &asked).await);
        }
    }
    println!(
        "| shadow | p50 µs | p99 µs | p99 to no shadow | copies scored | failed | dropped | resident kB, before and after |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (at, target) in targets.iter().enumerate() {
        let show = |values: Vec<f64>, decimals| Spread::of(&values).show(decimals);
        let pairs = seen[at].iter().zip(&seen[0]);
        let [scored, failed, dropped] = copies(target);
        println!(
            "| {} | {} | {} | {} | {scored} | {failed} | {dropped} | {} {} |",
            target.name,
            show(seen[at].iter().map(|(p50, _)| *p50).collect(), 0),
            show(seen[at].iter().map(|(_, p99)| *p99).collect(), 0),
            show(pairs.map(|((_, own), (_, none))| own / none).collect(), 2),
            begin[at],
            resident::of(target.id()),
        );
    }
    let busy = others.cores(&targets);
    println!("\nothers kept {busy:.2} cores busy meanwhile; on a quiet machine it is below 0.1");
}

/// Checks that an answer is that of version 1 or 2, whatever the shadow does.
fn is_right(answer: &[u8]) {
    let answer = v1::PredictResponse::decode(answer).expect("an answer");
    let number = answer.version;
    assert!([1, 2].contains(&number), "version {number} answered");
    let own = common::version(number);
    let rows = taper::model::payload::Payload::Tensors(common::tensors(&common::version(2), 1));
    let rows = own.signature().encode(&rows).expect("a row");
    let want = own.forward(&rows).expect("scores").scores.into_vec();
    assert_eq!(answer.outputs[0].fp32_values, want, "version {number}");
}

/// Returns the copies that the shadow scored, those that failed, and those that were dropped.
fn copies(target: &Target) -> [u64; 3] {
    let role = "role=\"shadow\"";
    let sum = |prefix: &str, wanted: &dyn Fn(&str) -> bool| {
        let series = target.series(prefix).into_iter();
        let wanted = series.filter(|(series, _)| wanted(series));
        wanted.map(|(_, count)| count as u64).sum()
    };
    let ended = "taper_requests_total{";
    [
        sum(ended, &|series| {
            series.contains(role) && series.contains("code=\"OK\"")
        }),
        sum(ended, &|series| {
            series.contains(role) && !series.contains("code=\"OK\"")
        }),
        sum("taper_shadow_dropped_total{", &|_| true),
    ]
}
