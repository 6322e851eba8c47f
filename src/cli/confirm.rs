//! `taper confirm`: a change that was made with `--confirm-within` stays.

use super::{change::Changing, model::Model};
use crate::client::Failure;
use crate::proto::v1::ConfirmRequest;

/// Arguments of `taper confirm`.
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
    let request = args.how.port.patience.request(ConfirmRequest {
        model: model.clone(),
        terms: Some(args.how.change.terms()),
    });
    let changed = args.how.port.answer(client.confirm(request)).await?;
    let kept = "kept: it no longer reverts by itself";
    args.how.tell_or(&model, &changed, kept)
}
