//! Effect of a swap on clients: a real `taper serve` under open-loop load, calm and with swaps in turns.
//!
//! * `calm`: only requests, and folders that are moved outside the registry, as many as in a swap;
//! * `swaps`: one version of the model that answers after the other is renamed into the registry, one in every fifth of a
//!   second, or in the time that `--every` gives; with 0, the next as soon as the last has answered;
//! * `calm, 200 MB beside`: versions of another model, of 200 MB of random weights each, load one after the other;
//! * `swaps, 200 MB beside`: both.
//!
//! The server has one core and the generator another, if there are two. Latencies count from the moment a request was due.
//! Every answer must match the version that it names. A ratio is the median over the rounds of p99 in that round to p99
//! of the calm in the same round and the same process, with the lowest and the highest. In the end, resident memory after the
//! tenth swap and after the last, each once all old weights are freed. Before the tenth, requests are sent until the buffer of
//! answers that wait for outcomes is full: it grows with requests, up to its bound, and not with swaps.
//!
//! `cargo bench --bench swap -- --rounds 2 --swaps 50` for a quick look.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench prints its results and panics on the first error"
)]

#[path = "../common/args.rs"]
mod args;
mod client;
#[path = "../load/cpu.rs"]
mod cpu;
mod pool;
mod resident;
#[path = "../load/target.rs"]
mod target;
#[path = "../../tests/it/tiny.rs"]
#[expect(unreachable_pub, reason = "the tests use it, too")]
mod tiny;
#[path = "../common/tiny_request.rs"]
#[expect(dead_code, reason = "the bench of calm uses more of it")]
mod tiny_request;

use std::cell::RefCell;
use std::sync::atomic::Ordering;
use std::time::Duration;

use args::Args;
use client::{Clients, Sample, connect};
use cpu::Others;
use pool::{LARGE, Pool};
use taper::proto::v1;
use taper::proto::v1::admin_service_client::AdminServiceClient;
use target::{BUILT, Cores, Target};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::transport::Channel;

/// The newest version serves. File events trigger scans.
const CONFIG: &str = "versions = { latest = 1 }\n";
/// Swaps before anything is measured.
const FIRST: u64 = 10;
/// Requests that fill every buffer that grows with requests, sent at this rate.
const FILL: u32 = 110_000;
const FILL_RATE: u32 = 8_000;
/// Number of swaps per large version.
const SWAPS_PER_LARGE: u64 = 50;
/// Time limit, longer than any step takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Options of the command line.
struct Plan {
    rounds: u64,
    /// Swaps in each round.
    swaps: u64,
    /// Requests per second.
    rate: u32,
    /// Minimum time from one swap to the next.
    every: Duration,
}

/// Events during the requests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Calm,
    Swaps,
    Large,
    SwapsAndLarge,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Swaps => "swaps",
            Self::Large => "calm, 200 MB beside",
            Self::SwapsAndLarge => "swaps, 200 MB beside",
        }
    }
}

fn main() {
    let args = Args::read();
    let plan = Plan {
        rounds: args.after("--rounds").unwrap_or(10),
        swaps: args.after("--swaps").unwrap_or(100),
        rate: args.after("--rate").unwrap_or(1_000),
        every: Duration::from_millis(args.after("--every").unwrap_or(200)),
    };
    let cores = Cores::split();
    let Plan {
        rounds,
        swaps,
        rate,
        every,
    } = plan;
    println!(
        "{rate} requests/s, {rounds} rounds of {swaps} swaps, {every:?} from one to the next\n"
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(run(&plan, cores, &[Phase::Calm, Phase::Swaps]));
    let beside = [Phase::Calm, Phase::Large, Phase::SwapsAndLarge];
    runtime.block_on(run(&plan, cores, &beside));
}

/// Runs one gateway through all rounds of `phases`, the first of which is the calm.
async fn run(plan: &Plan, cores: Option<Cores>, phases: &[Phase]) {
    let dir = target::folder();
    let has_large = phases.contains(&Phase::Large);
    let pool = Pool::new(dir.path(), 1 + FIRST + plan.rounds * plan.swaps, has_large);
    let target = Target::gateway(
        BUILT,
        "gateway",
        dir.path(),
        &pool.registry(),
        CONFIG,
        cores,
    );
    let bench = Bench {
        clients: Clients::of(target.data()).await,
        admin: AdminServiceClient::new(connect(target.address(1)).await),
        pool: RefCell::new(pool),
        every: plan.every,
    };
    let targets = [target];
    let [target] = &targets;
    // Opens connections and fills caches.
    let fill = sleep(Duration::from_secs(1) * FILL / FILL_RATE);
    bench.clients.load(FILL_RATE, fill).await;
    bench.clients.load(plan.rate, bench.first(has_large)).await;
    let tenth = settled(target).await;

    let others = Others::watch(&targets);
    let mut rounds: Vec<Vec<Sample>> = phases.iter().map(|_| Vec::new()).collect();
    // Each phase lasts about as long as the swaps, so that all are measured under the same conditions.
    let mut took = (plan.every * plan.swaps as u32).max(Duration::from_secs(5));
    for round in 0..plan.rounds {
        for turn in 0..phases.len() {
            // Each round starts with another phase, so that a drift of the machine affects all alike.
            let at = (turn + round as usize) % phases.len();
            let begin = Instant::now();
            let what = bench.during(phases[at], plan.swaps, took);
            let sample = bench.clients.load(plan.rate, what).await;
            if phases[at] == Phase::Swaps {
                took = begin.elapsed();
            }
            rounds[at].push(sample);
            bench.large_is_ready().await;
            settled(target).await;
        }
    }
    let busy = others.cores(&targets);
    let last = settled(target).await;

    println!(
        "| | sent | failed | wrong | p50 µs | p99 µs | p99.9 µs | p99 to calm |\n|---|---|---|---|---|---|---|---|"
    );
    for (phase, samples) in phases.iter().zip(&rounds) {
        println!("{}", line(phase.name(), samples, &rounds[0]));
    }
    let newest = bench.pool.borrow().newest;
    println!(
        "\n{} swaps, the last {took:?} for {}",
        newest - 1,
        plan.swaps
    );
    if has_large {
        println!("{} versions of 200 MB loaded", bench.pool.borrow().large);
    }
    let ratio = last as f64 / tenth as f64;
    println!(
        "resident memory of the {}: {tenth} kB after swap {FIRST}, {last} kB after the last, ratio {ratio:.3}",
        target.name
    );
    for (series, value) in target.series("taper_draining_") {
        println!("{series} {value}");
    }
    println!("others kept {busy:.2} cores busy meanwhile; on a quiet machine it is below 0.1\n");
}

/// Returns a row of the table.
fn line(name: &str, samples: &[Sample], calm: &[Sample]) -> String {
    let mut all = Sample::new();
    samples.iter().for_each(|sample| all.add(sample));
    let quantile = |sample: &Sample, q| sample.latency.value_at_quantile(q) as f64 / 1e3;
    let pairs = samples.iter().zip(calm);
    let mut ratios: Vec<_> = pairs
        .map(|(own, calm)| quantile(own, 0.99) / quantile(calm, 0.99))
        .collect();
    ratios.sort_by(f64::total_cmp);
    let (lowest, median, highest) = (
        ratios[0],
        ratios[ratios.len() / 2],
        ratios[ratios.len() - 1],
    );
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|q| quantile(&all, q));
    format!(
        "| {name} | {} | {} | {} | {p50:.0} | {p99:.0} | {p999:.0} | {median:.2} [{lowest:.2} to {highest:.2}] |",
        all.sent, all.failed, all.wrong
    )
}

/// One gateway, its registry and its clients.
struct Bench {
    clients: Clients,
    admin: AdminServiceClient<Channel>,
    pool: RefCell<Pool>,
    every: Duration,
}

impl Bench {
    async fn first(&self, large: bool) {
        if large {
            self.pool.borrow_mut().swap_large();
        }
        self.swaps(FIRST, false).await;
        self.large_is_ready().await;
    }

    /// Runs the events of `phase`; the calm lasts `took`.
    async fn during(&self, phase: Phase, swaps: u64, took: Duration) {
        match phase {
            Phase::Calm => self.decoys(swaps, took).await,
            Phase::Swaps => self.swaps(swaps, false).await,
            Phase::SwapsAndLarge => self.swaps(swaps, true).await,
            Phase::Large => {
                let number = swaps.div_ceil(SWAPS_PER_LARGE) as u32;
                for _ in 0..number {
                    let next = Instant::now() + took / number;
                    self.pool.borrow_mut().swap_large();
                    self.large_is_ready().await;
                    sleep_until(next).await;
                }
            }
        }
    }

    /// Lasts `took`, and moves as many folders as swaps do: the generator does that itself, and it delays the requests that are
    /// due.
    async fn decoys(&self, number: u64, took: Duration) {
        let begin = Instant::now();
        for swap in 0..number {
            self.pool.borrow_mut().decoy();
            sleep_until(begin + took * (swap + 1) as u32 / number as u32).await;
        }
    }

    async fn swaps(&self, number: u64, large: bool) {
        let mut due = Instant::now();
        for swap in 0..number {
            sleep_until(due).await;
            due = Instant::now() + self.every;
            if large && swap % SWAPS_PER_LARGE == 0 {
                self.pool.borrow_mut().swap_large();
            }
            self.pool.borrow_mut().swap();
            let newest = self.pool.borrow().newest;
            let answers = async {
                while self.clients.newest.load(Ordering::Relaxed) < newest {
                    sleep(Duration::from_millis(1)).await;
                }
            };
            let served = timeout(PATIENCE, answers).await;
            served.unwrap_or_else(|_| panic!("version {newest} does not answer"));
        }
    }

    /// Waits until the newest large version can answer.
    async fn large_is_ready(&self) {
        let newest = self.pool.borrow().large;
        if newest == 0 {
            return;
        }
        let is_ready = async {
            loop {
                let request = v1::GetModelRequest {
                    model: LARGE.into(),
                };
                let model = self.admin.clone().get_model(request).await;
                let model = model.expect("the large model").into_inner();
                let mut ready = model.versions.iter();
                if ready.any(|one| one.version == newest && one.state() == v1::VersionState::Ready)
                {
                    return;
                }
                sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(PATIENCE, is_ready)
            .await
            .expect("the large model loads");
    }
}

/// Returns resident memory in kB, once all old weights are freed and their memory is returned to the system.
async fn settled(target: &Target) -> u64 {
    let freed = async {
        while target
            .series("taper_draining_")
            .iter()
            .any(|(_, value)| *value != 0.0)
        {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, freed)
        .await
        .expect("old weights are freed");
    // Memory is returned to the system once a second.
    sleep(Duration::from_millis(1_200)).await;
    resident::of(target.id())
}
