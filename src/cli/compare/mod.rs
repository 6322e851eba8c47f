//! `taper compare`: two versions beside each other: on the same requests where one is a shadow of the other, and on what each took
//! of the split.

mod json;
mod show;

use super::{model::Model, stats::Window};
use crate::client::{AdminPort, Failure};
use crate::proto::v1::{CompareVersionsRequest, StatsWindow};
use crate::terminal::output;

/// Arguments of `taper compare`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The version to compare with.
    #[arg(value_name = "BASELINE")]
    baseline: u64,
    /// The version to compare. The baseline itself, where it is its own shadow, is the control.
    #[arg(value_name = "CANDIDATE")]
    candidate: u64,
    #[command(flatten)]
    model: Model,
    /// How far back to compare split traffic. What was paired counts since the pair began.
    #[arg(long, value_enum, default_value_t = Window::FiveMinutes)]
    window: Window,
    /// Most different rows to show.
    #[arg(long, value_name = "N", default_value_t = 5)]
    examples: usize,
    /// Print JSON, with everything.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let model = args.model.resolve(&args.port).await?;
    let mut client = args.port.connect().await?;
    let request = args.port.patience.request(CompareVersionsRequest {
        model,
        baseline: args.baseline,
        candidate: args.candidate,
        window: StatsWindow::from(args.window).into(),
    });
    let answer = args.port.answer(client.compare_versions(request)).await?;
    if args.json {
        output::print_json(&json::comparison(&answer))
    } else {
        output::print(&show::readable(&answer, args.examples))
    }
}
