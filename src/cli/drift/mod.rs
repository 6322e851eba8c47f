//! `taper drift`: whether inputs and predictions of versions differ from training, from another version, or from earlier.

mod show;

use super::model::ModelFlag;
use super::stats::{RoleFlag, Window};
use crate::client::v1::get_drift_request::Against;
use crate::client::v1::{DriftWindow, GetDriftRequest, Role, StatsWindow};
use crate::client::{AdminPort, Failure};
use crate::terminal::output;

/// Arguments of `taper drift`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelFlag,
    /// Only this version; may be given several times [default: all READY versions].
    #[arg(long = "version", value_name = "N")]
    versions: Vec<u64>,
    /// How far back.
    #[arg(long, value_enum, default_value_t = Window::Hour)]
    window: Window,
    /// Requests that the versions got in this role.
    #[arg(long, value_enum, default_value_t = RoleFlag::Primary)]
    role: RoleFlag,
    /// Compare with this version in the same window [default: with the reference profile of each version].
    #[arg(long, value_name = "N", conflicts_with = "earlier")]
    against_version: Option<u64>,
    /// The role of that version [default: the same].
    #[arg(long, value_enum, requires = "against_version")]
    against_role: Option<RoleFlag>,
    /// The window of that version [default: the same].
    #[arg(long, value_enum, requires = "against_version")]
    against_window: Option<Window>,
    /// Compare with the same version before the window: from the start of this longer window to the start of the window.
    #[arg(long, value_enum, value_name = "LONGER")]
    earlier: Option<Window>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let role = |role: RoleFlag| i32::from(Role::from(role));
    let window = |window: Window| i32::from(StatsWindow::from(window));
    let other = args.against_version.map(|version| DriftWindow {
        version,
        role: args.against_role.map(role).unwrap_or_default(),
        window: args.against_window.map(window).unwrap_or_default(),
    });
    let earlier = args.earlier.map(window).map(Against::Earlier);
    let against = other.map(Against::Other).or(earlier);
    let against_text = against_text(against.as_ref());
    let request = GetDriftRequest {
        model: args.model.resolve(&args.port).await?,
        versions: args.versions,
        role: role(args.role),
        window: window(args.window),
        against,
    };
    let report = show::Report::new(args.port.call(request).await?, against_text);
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print(&report.readable())?;
    }
    Ok(())
}

/// Returns in words what the versions are compared with.
fn against_text(against: Option<&Against>) -> String {
    match against {
        None => "the reference profile".to_owned(),
        Some(Against::Other(other)) => format!("version {}", other.version),
        Some(Against::Earlier(_)) => "what it saw before".to_owned(),
    }
}
