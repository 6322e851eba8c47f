//! `taper confirm`: a change that was made with `--confirm-within` stays.

use super::{change::Change, client::AdminPort, failure::Failure, model::Model};
use crate::proto::v1::ConfirmRequest;

/// Arguments of `taper confirm`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
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
    let request = args.port.patience.request(ConfirmRequest {
        model: model.clone(),
        terms: Some(args.change.terms()),
    });
    let changed = args.port.answer(client.confirm(request)).await?;
    let kept = "kept: it no longer reverts by itself";
    args.change
        .tell_or(&args.port, &model, &changed, args.json, kept)
}
