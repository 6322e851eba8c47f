//! `taper stats`: what the versions of a model saw lately: how many, how fast, what they predicted, and from which inputs.

mod show;

use clap::ValueEnum;

use super::model::Model;
use crate::client::{AdminPort, Failure};
use crate::proto::v1::{GetStatsRequest, Role, StatsWindow};
use crate::terminal::output;

/// Arguments of `taper stats`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: Model,
    /// Only this version; may be given several times [default: all that are READY].
    #[arg(long = "version", value_name = "N")]
    versions: Vec<u64>,
    /// How far back.
    #[arg(long, value_enum, default_value_t = Window::FiveMinutes)]
    window: Window,
    /// Only this role [default: all].
    #[arg(long, value_enum)]
    role: Option<Part>,
    /// Show the inputs too, a table for each version.
    #[arg(long)]
    features: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

/// A window by its short name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Window {
    /// The last minute.
    #[value(name = "1m")]
    Minute,
    /// The last five minutes.
    #[value(name = "5m")]
    FiveMinutes,
    /// The last hour.
    #[value(name = "1h")]
    Hour,
    /// Since the version was loaded.
    #[value(name = "all")]
    SinceLoad,
}

/// A role.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Part {
    Primary,
    Shadow,
    Fallback,
}

impl From<Window> for StatsWindow {
    fn from(window: Window) -> Self {
        match window {
            Window::Minute => Self::Minute,
            Window::FiveMinutes => Self::FiveMinutes,
            Window::Hour => Self::Hour,
            Window::SinceLoad => Self::SinceLoad,
        }
    }
}

impl From<Part> for Role {
    fn from(part: Part) -> Self {
        match part {
            Part::Primary => Self::Primary,
            Part::Shadow => Self::Shadow,
            Part::Fallback => Self::Fallback,
        }
    }
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let model = args.model.resolve(&args.port).await?;
    let window = StatsWindow::from(args.window);
    let role = args.role.map(Role::from);
    let mut client = args.port.connect().await?;
    let request = args.port.patience.request(GetStatsRequest {
        model,
        versions: args.versions,
        roles: role.into_iter().map(i32::from).collect(),
        windows: vec![window.into()],
        features: args.features,
    });
    let answer = args.port.answer(client.get_stats(request)).await?;
    let listing = show::Listing::from(answer);
    if args.json {
        output::print_json(&listing)
    } else {
        output::print(&listing.readable())
    }
}
