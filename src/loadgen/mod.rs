//! The load generator behind `taper bench` and the benches of this repository.
//!
//! [`generate()`] sends requests, and is public for the benches. `plan` checks the arguments and lays out the phases of load, `run`
//! connects and runs them, `report` sums up. Latencies of an open loop are measured from the time at which a request was due; how
//! precisely requests are sent is described at [`generate`](generate/index.html).
//! Invariants: each request that was due is counted as answered, failed, unanswered or not sent; each target answers a first request
//! before any load.
//! Not here: loads that change over time, and any judgement of the results.

mod generate;
mod generated_rows;
mod plan;
mod progress;
mod report;
mod requests;
mod results;
mod run;
mod schedule;
mod show;
mod times;

use std::path::PathBuf;

pub use generate::{Caller, Load, generate};
pub use results::{Counts, Outcome, Recorder, Tally};
pub use schedule::Arrivals;
pub use times::Times;

use crate::client::Failure;
use crate::client::v1::predict_request::Pin;
use crate::client::{ADMIN_URL, DataPort};
use plan::Plan;

/// Arguments of `taper bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the model. Requests count as traffic, so generated rows appear in the statistics and the drift of the versions that
    /// answer.
    model: String,
    /// Open loop: requests per second, whether or not earlier ones are answered [default: 1000].
    #[arg(long, value_name = "PER_SECOND", help_heading = "Load")]
    rate: Option<f64>,
    /// Open loop: equal gaps between requests, instead of random gaps as from many independent callers.
    #[arg(long, help_heading = "Load")]
    uniform: bool,
    /// Open loop: most requests in flight; requests due beyond that are not sent, only counted [default: 1000].
    #[arg(long, value_name = "N", help_heading = "Load")]
    max_in_flight: Option<usize>,
    /// Closed loop: number of callers, each of which sends when its last request is answered.
    #[arg(long, value_name = "CALLERS", help_heading = "Load")]
    concurrency: Option<usize>,
    /// HTTP/2 connections that requests share.
    #[arg(long, value_name = "N", default_value_t = 4, help_heading = "Load")]
    connections: usize,
    /// How long to measure each target.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 10.0,
        help_heading = "Load"
    )]
    duration: f64,
    /// How long to warm up before that.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 1.0,
        help_heading = "Load"
    )]
    warmup: f64,
    /// Threads that send. One thread has the least overhead per request; several reach a higher rate.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Load")]
    threads: usize,
    /// Data port of a second gateway: both are loaded in turn, and the report has their ratio.
    #[arg(long, value_name = "URL", help_heading = "Load")]
    against: Option<String>,
    /// Length of one turn with two gateways [default: 1].
    #[arg(long, value_name = "SECONDS", help_heading = "Load")]
    slice: Option<f64>,
    /// Rows in a request.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Requests")]
    rows: usize,
    /// Repeat the rows of a file (`-` is stdin): JSON as for `taper predict --file`, CSV with a header if the name ends in `.csv`, or a
    /// numpy archive (npz), which is one request
    /// [default: generated from the signature of the model].
    #[arg(long, value_name = "FILE", help_heading = "Requests")]
    input: Option<PathBuf>,
    /// Send this many distinct routing keys in turn [default: none].
    #[arg(long, value_name = "N", help_heading = "Requests")]
    keys: Option<u64>,
    /// Use this version instead of the split.
    #[arg(long, value_name = "N", help_heading = "Requests")]
    version: Option<u64>,
    /// Use the version that this label names instead of the split.
    #[arg(long, help_heading = "Requests")]
    label: Option<String>,
    /// Seed of the arrival times of an open loop, and of generated rows.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Requests")]
    seed: u64,
    /// Admin port of the gateway, for the signature of the model. Not used if rows come from a JSON file.
    #[arg(long, value_name = "URL", default_value = ADMIN_URL)]
    admin: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: DataPort,
}

impl Args {
    /// Returns the version or label that must answer.
    fn pin(&self) -> Option<Pin> {
        let label = self.label.clone().map(Pin::Label);
        self.version.map(Pin::Version).or(label)
    }
}

/// Runs the load and prints the report.
///
/// # Errors
/// Returns an error if the arguments are invalid, or a target does not answer.
pub(crate) fn run(args: Args) -> Result<(), Failure> {
    let plan = Plan::check(&args).map_err(|faults| Failure::usage(&faults))?;
    // With one thread, sending and receiving happen on the same thread, and no other thread has to be woken.
    let mut builder = match plan.threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let built = builder.worker_threads(plan.threads).enable_all().build();
    let runtime = built.map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
    let outcome = runtime.block_on(Box::pin(run::run(&args, &plan)));
    runtime.shutdown_background();
    outcome
}
