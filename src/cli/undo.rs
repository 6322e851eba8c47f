//! `taper undo`: what was in force before the last change comes back.

use super::{change::Changing, model::Model};
use crate::client::Failure;
use crate::proto::v1::UndoRequest;

/// Arguments of `taper undo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: Model,
    #[command(flatten)]
    how: Changing,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let model = args.model.resolve(&args.how.port).await?;
    let mut client = args.how.port.connect().await?;
    let request = args.how.port.patience.request(UndoRequest {
        model: model.clone(),
        terms: Some(args.how.change.terms()),
    });
    let changed = args.how.port.answer(client.undo(request)).await?;
    args.how.tell(&model, &changed)
}
