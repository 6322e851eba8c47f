//! Latency of a gateway next to an expensive model, and under overload.
//!
//! * **Beside**: requests for the small model of the example come at a steady rate, alone and while two clients keep an expensive
//!   model busy whose pass takes some milliseconds. Reported are the small model's p99 in both cases, and the throughput of the
//!   expensive one in relation to a bare loop over the same model on the same core. The same loop, in a process of the lowest
//!   priority next to the small model, shows the effect of a busy core on the machine itself.
//! * **Overload**: first the capacity of an expensive model for clients that wait; then three times that, in an open loop with
//!   deadlines; then half of it. Reported are the answers within their deadline in relation to the capacity, the latency of
//!   answered requests, resident memory, and the behaviour in the first second after. Once with batches of 64 rows, where a request
//!   is so inexpensive that refusing the others takes a good part of the core, and once with batches of 4.
//!
//! The server has one core and the generator another, if there are two. Ratios are taken within a round; reported are medians with
//! the lowest and the highest.
//!
//! `cargo bench --bench calm -- --rounds 1 --overload 5` for a quick look.
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
#[path = "../load/request.rs"]
mod request;
#[path = "../swap/resident.rs"]
mod resident;
#[path = "../load/spread.rs"]
mod spread;
#[path = "../load/target.rs"]
#[expect(dead_code, reason = "the bench of load uses more of it")]
mod target;
#[path = "../../tests/it/tiny.rs"]
#[expect(unreachable_pub, dead_code, reason = "the tests use it, too")]
mod tiny;
#[path = "../common/tiny_request.rs"]
mod tiny_request;

use std::env;
use std::ffi::OsString;
use std::hint::black_box;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use args::Args;
use client::{EncodedRequest, Load, Senders};
use cpu::Others;
use spread::Spread;
use taper::ident::VersionNumber;
use taper::loadgen::{Arrivals, Tally};
use target::{BUILT, Cores, Target, on_server_core};
use tokio::time::{Instant, sleep};

/// The expensive model: its second layer has 104 MB, which one core reads in some milliseconds.
const EXPENSIVE: &str = "expensive";
const WIDTH: usize = 5_100;
/// Maximum number of rows in one of its batches.
const MOST_ROWS: usize = 64;
/// The same model with smaller batches.
const SMALL_BATCHES: (&str, usize) = ("expensive-4", 4);

const CONFIG: &str = "[models.flight-delay]\nsplit = { 1 = 5000, 2 = 5000 }\n";

/// Requests per second for the small model.
const RATE: f64 = 1_000.0;
/// Clients of the expensive model in the first part.
const CALLERS: Load = Load::Closed(2);
const STRETCH: Duration = Duration::from_secs(4);

/// Makes this binary a bare loop over the expensive model in a registry, for some milliseconds.
const LOOP: &str = "bare-loop";

/// Clients that measure the capacity of the expensive model, and the deadline of requests beyond it.
const MANY: Load = Load::Closed(64);
const DEADLINE: Duration = Duration::from_millis(500);

fn main() {
    let args = Args::read();
    if let [verb, registry, length] = &args.0[..]
        && verb == LOOP
    {
        let length = length.parse().expect("milliseconds");
        return bare_loop(Path::new(registry), Duration::from_millis(length));
    }
    let rounds = args.after("--rounds").unwrap_or(5);
    let overload = Duration::from_secs(args.after("--overload").unwrap_or(30));
    let cores = Cores::split();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let registry = dir.path().join("models");
    for (name, most_rows) in [(EXPENSIVE, MOST_ROWS), SMALL_BATCHES] {
        tiny::publish_wide(&registry, name, 1, WIDTH, most_rows);
    }
    symlink(
        common::registry().join(common::MODEL),
        registry.join(common::MODEL),
    )
    .expect("linked");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let targets = [Target::gateway(
            BUILT,
            "gateway",
            dir.path(),
            &registry,
            CONFIG,
            cores,
        )];
        let [target] = &targets;
        let others = Others::watch(&targets);
        beside(target, &registry, rounds, cores).await;
        for model in [EXPENSIVE, SMALL_BATCHES.0] {
            overloaded(target, model, overload).await;
        }
        let busy = others.cores(&targets);
        println!("\nothers and the bare loop kept {busy:.2} cores busy meanwhile");
    });
}

async fn beside(target: &Target, registry: &Path, rounds: u32, cores: Option<Cores>) {
    let open = Load::Open {
        rate: RATE,
        arrivals: Arrivals::Even,
        max_in_flight: usize::MAX,
    };
    let address = target.data();
    let small_senders = Senders::of(address, open, &request::flight(), None).await;
    let dear_senders = Senders::of(
        address,
        CALLERS,
        &EncodedRequest::native(&tiny_request::message(EXPENSIVE)),
        None,
    )
    .await;
    let [mut alone, mut with, mut ratios] = [(); 3].map(|()| Vec::new());
    let [mut machine, mut machines] = [(); 2].map(|()| Vec::new());
    let [mut bare, mut managed, mut shares] = [(); 3].map(|()| Vec::new());
    small_senders.send(open, STRETCH / 4).await;
    for _ in 0..rounds {
        let before = p99(&small_senders.send(open, STRETCH).await);
        let (small, expensive) = tokio::join!(
            small_senders.send(open, STRETCH),
            dear_senders.send(CALLERS, STRETCH)
        );
        for counts in [small.counts, expensive.counts] {
            assert_eq!(counts.failed, 0, "every request is answered");
        }
        let beside = p99(&small);
        alone.push(before);
        with.push(beside);
        ratios.push(beside / before);
        if let Some(busy) = Busy::start(registry, cores) {
            sleep(STRETCH / 4).await;
            let beside = p99(&small_senders.send(open, STRETCH).await);
            drop(busy);
            machine.push(beside);
            machines.push(beside / before);
        }
        let rate = expensive.counts.in_time as f64 / STRETCH.as_secs_f64();
        let floor = passes_of_a_loop(registry, cores);
        bare.push(floor);
        managed.push(rate);
        shares.push(rate / floor);
    }
    println!("\n{RATE} requests/s for the small model, one core, {rounds} rounds of {STRETCH:?}\n");
    println!("| | alone | beside the other | ratio |\n|---|---|---|---|");
    let show = |values: &[f64], decimals| Spread::of(values).show(decimals);
    println!(
        "| small: p99 µs | {} | {} | {} |",
        show(&alone, 0),
        show(&with, 0),
        show(&ratios, 2)
    );
    if !machine.is_empty() {
        println!(
            "| small: p99 µs, the other a loop of the lowest priority | | {} | {} |",
            show(&machine, 0),
            show(&machines, 2)
        );
    }
    println!(
        "| expensive: rows/s, alone as a bare loop | {} | {} | {} |",
        show(&bare, 0),
        show(&managed, 0),
        show(&shares, 2)
    );
}

async fn overloaded(target: &Target, model: &str, length: Duration) {
    let address = target.data();
    let asked = EncodedRequest::native(&tiny_request::message(model));
    let patient = Senders::of(address, MANY, &asked, None).await;
    patient.send(MANY, STRETCH / 4).await;
    let peak = per_second(&patient.send(MANY, STRETCH).await, STRETCH);
    let at = |rate| Load::Open {
        rate,
        arrivals: Arrivals::Even,
        max_in_flight: usize::MAX,
    };
    let callers = Senders::of(address, at(peak), &asked, Some(DEADLINE)).await;
    callers.send(at(peak / 2.0), STRETCH / 2).await;
    let memory = async {
        let (mut least, mut most) = (u64::MAX, 0);
        // Memory that grows with the first requests of an overload has grown by now.
        sleep(length / 5).await;
        let end = Instant::now() + length * 3 / 4;
        while Instant::now() < end {
            let now = resident::of(target.id());
            (least, most) = (least.min(now), most.max(now));
            sleep(Duration::from_millis(200)).await;
        }
        (least, most)
    };
    let (seen, (least, most)) = tokio::join!(callers.send(at(peak * 3.0), length), memory);
    let second = Duration::from_secs(1);
    let mut after = Vec::new();
    for _ in 0..3 {
        after.push(callers.send(at(peak / 2.0), second).await);
    }
    println!(
        "\n{model} answers {peak:.0} requests/s to 64 callers. Then {:.0}/s for {length:?}, each with a deadline of {DEADLINE:?}\n",
        peak * 3.0
    );
    let good = per_second(&seen, length);
    println!(
        "answered in time: {good:.0}/s, {:.2} of the peak",
        good / peak
    );
    let latency = seen.latency();
    let quantile = |q| latency.quantile(q).as_secs_f64() * 1e3;
    println!(
        "latency of the answers: p50 {:.0} ms, p99 {:.0} ms, longest {:.0} ms",
        quantile(0.5),
        quantile(0.99),
        latency.longest().as_secs_f64() * 1e3
    );
    for (code, (count, message)) in &seen.errors {
        println!("not answered: {count} times code {code}, first: {message}");
    }
    println!("resident memory meanwhile: {least} to {most} kB");
    for (nth, seen) in after.iter().enumerate() {
        let counts = seen.counts;
        println!(
            "second {} after it, at half of the peak: {} of {} answered, p99 {:.0} ms",
            nth + 1,
            counts.answered,
            counts.sent,
            p99(seen) / 1e3
        );
    }
}

fn per_second(seen: &Tally, length: Duration) -> f64 {
    seen.counts.in_time as f64 / length.as_secs_f64()
}

/// Returns p99 in microseconds.
fn p99(seen: &Tally) -> f64 {
    seen.latency().quantile(0.99).as_secs_f64() * 1e6
}

/// Returns a command that runs a bare loop over the expensive model in its own process, which prints the passes per second.
fn bare_loop_on(
    registry: &Path,
    cores: Option<Cores>,
    length: Duration,
    wrapper: &[&str],
) -> Command {
    let own = env::current_exe().expect("its own path");
    let on_core = on_server_core(&own.to_string_lossy(), cores);
    let mut words = wrapper.iter().map(Into::into).collect::<Vec<OsString>>();
    words.push(on_core.get_program().into());
    words.extend(on_core.get_args().map(Into::into));
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg(LOOP).arg(registry);
    command.arg(length.as_millis().to_string());
    command
}

/// Returns the passes per second of a process that does nothing else.
fn passes_of_a_loop(registry: &Path, cores: Option<Cores>) -> f64 {
    let mut command = bare_loop_on(registry, cores, STRETCH / 2, &[]);
    let output = command.output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().expect("passes a second")
}

/// Such a process with the lowest priority. It ends when it is dropped.
struct Busy(Child);

impl Busy {
    /// Returns `None` if `chrt`, which is part of util-linux, is missing.
    fn start(registry: &Path, cores: Option<Cores>) -> Option<Self> {
        let idle = ["chrt", "--idle", "0"];
        let mut command = bare_loop_on(registry, cores, STRETCH * 10, &idle);
        command.stdout(Stdio::null()).spawn().ok().map(Self)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Prints how many passes of one row the expensive model makes per second.
fn bare_loop(registry: &Path, length: Duration) {
    let dir = registry.join(EXPENSIVE).join("1");
    let (model, number) = (
        EXPENSIVE.parse().expect("a name"),
        VersionNumber::try_from(1),
    );
    let version = taper::model::load(&dir, &model, number.expect("a version"));
    let version = version.expect("the expensive model loads");
    let rows = version.signature().encode(&tiny_request::payload());
    let rows = rows.expect("a row");
    let begin = Instant::now();
    let mut passes = 0;
    while begin.elapsed() < length {
        black_box(version.forward(&rows).expect("scores"));
        passes += 1;
    }
    println!("{}", f64::from(passes) / begin.elapsed().as_secs_f64());
}
