//! `taper promote`: a label takes over all traffic in one step.

use super::{change::Change, client::AdminPort, failure::Failure, model::Model};
use crate::proto::v1::PromoteRequest;

/// Arguments of `taper promote`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The label whose version is to take over, such as `canary`.
    label: String,
    /// The label that moves to that version and then gets all traffic of the split.
    #[arg(long, value_name = "LABEL", default_value = "stable")]
    to: String,
    #[command(flatten)]
    model: Model,
    #[command(flatten)]
    change: Change,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let model = args.model.resolve(&args.port).await?;
    let mut client = args.port.connect().await?;
    let request = args.port.patience.request(PromoteRequest {
        model: model.clone(),
        label: args.label,
        to: args.to,
        terms: Some(args.change.terms()),
    });
    let changed = args.port.answer(client.promote(request)).await?;
    args.change.tell(&args.port, &model, &changed, args.json)
}
