//! `taper rollback`: what an earlier revision wanted comes back.

use super::{change::Changing, model::Model};
use crate::client::Failure;
use crate::proto::v1::RollbackToRequest;

/// Arguments of `taper rollback`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The revision to bring back; 0 is the beginning.
    revision: u64,
    #[command(flatten)]
    model: Model,
    #[command(flatten)]
    how: Changing,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let model = args.model.resolve(&args.how.port).await?;
    let mut client = args.how.port.connect().await?;
    let request = args.how.port.patience.request(RollbackToRequest {
        model: model.clone(),
        revision: args.revision,
        terms: Some(args.how.change.terms()),
    });
    let changed = args.how.port.answer(client.rollback_to(request)).await?;
    args.how.tell(&model, &changed)
}
