//! `taper drift`: whether what versions see and predict differs from training, from another version, or from before.

mod show;

use super::model::Model;
use super::stats::{Part, Window};
use crate::client::{AdminPort, Failure};
use crate::proto::v1::get_drift_request::Against;
use crate::proto::v1::{DriftWindow, GetDriftRequest, Role, StatsWindow};
use crate::terminal::output;

/// Arguments of `taper drift`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: Model,
    /// Only this version; may be given several times [default: all that are READY].
    #[arg(long = "version", value_name = "N")]
    versions: Vec<u64>,
    /// How far back.
    #[arg(long, value_enum, default_value_t = Window::Hour)]
    window: Window,
    /// What they saw in this role.
    #[arg(long, value_enum, default_value_t = Part::Primary)]
    role: Part,
    /// Compare with what this version saw in the same window [default: with each version's own reference profile].
    #[arg(long, value_name = "N", conflicts_with = "earlier")]
    against_version: Option<u64>,
    /// The role of that version [default: the same].
    #[arg(long, value_enum, requires = "against_version")]
    against_role: Option<Part>,
    /// The window of that version [default: the same].
    #[arg(long, value_enum, requires = "against_version")]
    against_window: Option<Window>,
    /// Compare with what the same version saw before the window begins, back to the begin of this longer one.
    #[arg(long, value_enum, value_name = "LONGER")]
    earlier: Option<Window>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let model = args.model.resolve(&args.port).await?;
    let role = |part: Part| i32::from(Role::from(part));
    let window = |window: Window| i32::from(StatsWindow::from(window));
    let other = args.against_version.map(|version| DriftWindow {
        version,
        role: args.against_role.map(role).unwrap_or_default(),
        window: args.against_window.map(window).unwrap_or_default(),
    });
    let earlier = args.earlier.map(window).map(Against::Earlier);
    let against = other.map(Against::Other).or(earlier);
    let told = against_text(against.as_ref());
    let mut client = args.port.connect().await?;
    let request = args.port.patience.request(GetDriftRequest {
        model,
        versions: args.versions,
        role: role(args.role),
        window: window(args.window),
        against,
    });
    let answer = args.port.answer(client.get_drift(request)).await?;
    let listing = show::Listing::of(answer, told);
    if args.json {
        output::print_json(&listing)
    } else {
        output::print(&listing.readable())
    }
}

/// What is compared with, in words.
fn against_text(against: Option<&Against>) -> String {
    match against {
        None => "the reference profile".to_owned(),
        Some(Against::Other(other)) => format!("version {}", other.version),
        Some(Against::Earlier(_)) => "what it saw before".to_owned(),
    }
}
