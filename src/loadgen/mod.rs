//! `taper bench`: how fast a gateway answers, at a steady rate or with callers that wait.
//!
//! [`generate()`] sends, and is public: the benches of this repository send with it too. `plan.rs` checks the flags and lays out the
//! stretches of load, `run` connects and goes through them, `report` sums up. Latencies of an open loop count from the moment a
//! request was due. How precisely requests go out, and how that is told, stands at [`generate`](generate/index.html).
//! What always holds: each request that was due is counted as answered, failed, unanswered or not sent; a first request to
//! each target has to be answered before any load.
//! Not here: loads that change over time, and any judgement of what was measured.

mod board;
mod generate;
mod made;
mod plan;
mod progress;
mod report;
mod requests;
mod run;
mod schedule;
mod show;
mod times;

use std::path::PathBuf;

pub use board::{Board, Counts, Outcome, Tally};
pub use generate::{Caller, Load, generate};
pub use schedule::Arrivals;
pub use times::Times;

use crate::client::Failure;
use crate::client::{ADMIN_URL, DataPort};
use crate::proto::v1::predict_request::Pin;
use plan::Plan;

/// Arguments of `taper bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the model. What is sent counts as traffic, so rows that are made up show in the statistics and in the drift of the
    /// versions that answer.
    model: String,
    /// Open loop: so many requests a second, whether earlier ones are answered or not [default: 1000].
    #[arg(long, value_name = "PER_SECOND", help_heading = "Load")]
    rate: Option<f64>,
    /// Open loop: equal gaps between requests, in place of random ones as from many independent callers.
    #[arg(long, help_heading = "Load")]
    uniform: bool,
    /// Open loop: requests that may wait for an answer; what is due past that is not sent, but counted [default: 1000].
    #[arg(long, value_name = "N", help_heading = "Load")]
    max_in_flight: Option<usize>,
    /// Closed loop: so many callers, each of which sends when it has its answer.
    #[arg(long, value_name = "CALLERS", help_heading = "Load")]
    concurrency: Option<usize>,
    /// HTTP/2 connections that requests share.
    #[arg(long, value_name = "N", default_value_t = 4, help_heading = "Load")]
    connections: usize,
    /// How long to measure, at each target.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 10.0,
        help_heading = "Load"
    )]
    duration: f64,
    /// How long to send before that.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 1.0,
        help_heading = "Load"
    )]
    warmup: f64,
    /// Threads that send. With one, a request reaches the socket without a hop; more send more.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Load")]
    threads: usize,
    /// A second gateway's data port: both are loaded by turns, and the ratio is told.
    #[arg(long, value_name = "URL", help_heading = "Load")]
    against: Option<String>,
    /// How long one turn takes where two gateways are compared [default: 1].
    #[arg(long, value_name = "SECONDS", help_heading = "Load")]
    slice: Option<f64>,
    /// Rows in a request.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Requests")]
    rows: usize,
    /// Take rows from a file (`-` is stdin), round and round: JSON as `taper predict --file` takes it, or CSV with a header
    /// where the name ends in `.csv` [default: made from what the model takes].
    #[arg(long, value_name = "FILE", help_heading = "Requests")]
    input: Option<PathBuf>,
    /// Send so many distinct routing keys, each in its turn [default: none].
    #[arg(long, value_name = "N", help_heading = "Requests")]
    keys: Option<u64>,
    /// Ask for this version, past the split.
    #[arg(long, value_name = "N", help_heading = "Requests")]
    version: Option<u64>,
    /// Ask for the version that this label names, past the split.
    #[arg(long, help_heading = "Requests")]
    label: Option<String>,
    /// Seed of the times of an open loop, and of made rows.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Requests")]
    seed: u64,
    /// Admin port of the gateway, which tells what the model takes. Not called where rows come from a JSON file.
    #[arg(long, value_name = "URL", default_value = ADMIN_URL)]
    admin: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: DataPort,
}

impl Args {
    /// The version that is asked for.
    fn pin(&self) -> Option<Pin> {
        let label = self.label.clone().map(Pin::Label);
        self.version.map(Pin::Version).or(label)
    }
}

/// Loads, and tells.
pub(crate) fn run(args: Args) -> Result<(), Failure> {
    let plan = Plan::check(&args).map_err(|faults| Failure::usage(&faults))?;
    // With one thread, who waits for the time to send is also who reads answers, and nobody has to wake anybody.
    let mut builder = match plan.threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(plan.threads).enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
    let outcome = runtime.block_on(Box::pin(run::run(&args, &plan)));
    runtime.shutdown_background();
    outcome
}
