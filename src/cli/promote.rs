//! `taper promote`: a label takes over all traffic in one step.

use super::{change::Changing, model::Model};
use crate::client::Failure;
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
    how: Changing,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let model = args.model.resolve(&args.how.port).await?;
    let mut client = args.how.port.connect().await?;
    let request = args.how.port.patience.request(PromoteRequest {
        model: model.clone(),
        label: args.label,
        to: args.to,
        terms: Some(args.how.change.terms()),
    });
    let changed = args.how.port.answer(client.promote(request)).await?;
    args.how.tell(&model, &changed)
}
