//! `taper stats`: recent requests of each version: how many, how fast, what was predicted, and from which inputs.

mod show;

use clap::ValueEnum;

use super::model::ModelFlag;
use crate::client::v1::{GetStatsRequest, Role, StatsWindow};
use crate::client::{AdminPort, Failure};
use crate::terminal::output;

/// Arguments of `taper stats`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelFlag,
    /// Only this version; may be given several times [default: all READY versions].
    #[arg(long = "version", value_name = "N")]
    versions: Vec<u64>,
    /// How far back.
    #[arg(long, value_enum, default_value_t = Window::FiveMinutes)]
    window: Window,
    /// Only this role [default: all].
    #[arg(long, value_enum)]
    role: Option<RoleFlag>,
    /// Also show the inputs, one table for each version.
    #[arg(long)]
    features: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

/// A window of time by its short name.
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

/// The role of a version in a request.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum RoleFlag {
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

impl From<RoleFlag> for Role {
    fn from(role: RoleFlag) -> Self {
        match role {
            RoleFlag::Primary => Self::Primary,
            RoleFlag::Shadow => Self::Shadow,
            RoleFlag::Fallback => Self::Fallback,
        }
    }
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let role = args.role.map(Role::from);
    let request = GetStatsRequest {
        model: args.model.resolve(&args.port).await?,
        versions: args.versions,
        roles: role.into_iter().map(i32::from).collect(),
        windows: vec![StatsWindow::from(args.window).into()],
        features: args.features,
    };
    let stats = args.port.call(request).await?;
    if args.json {
        output::print_json(&stats)?;
    } else {
        output::print(&show::readable(&stats))?;
    }
    Ok(())
}
