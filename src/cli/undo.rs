//! `taper undo`: what was in force before the last change comes back.

use super::{change::Change, client::AdminPort, failure::Failure, model::Model};
use crate::proto::v1::UndoRequest;

/// Arguments of `taper undo`.
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
    let request = args.port.patience.request(UndoRequest {
        model: model.clone(),
        terms: Some(args.change.terms()),
    });
    let changed = args.port.answer(client.undo(request)).await?;
    args.change.tell(&args.port, &model, &changed, args.json)
}
