//! `taper rollback`: what an earlier revision wanted comes back.

use super::{change::Change, client::AdminPort, failure::Failure, model::Model};
use crate::proto::v1::RollbackToRequest;

/// Arguments of `taper rollback`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The revision to bring back; 0 is the beginning.
    revision: u64,
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
    let request = args.port.patience.request(RollbackToRequest {
        model: model.clone(),
        revision: args.revision,
        terms: Some(args.change.terms()),
    });
    let changed = args.port.answer(client.rollback_to(request)).await?;
    args.change.tell(&args.port, &model, &changed, args.json)
}
