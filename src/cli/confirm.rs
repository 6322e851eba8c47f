//! `taper confirm`: keeps a change that was made with `--confirm-within`.

use super::{change::MutationFlags, model::ModelFlag};
use crate::client::{Failure, v1::ConfirmRequest};

/// Arguments of `taper confirm`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelFlag,
    #[command(flatten)]
    flags: MutationFlags,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let request = |model, terms| ConfirmRequest { model, terms };
    let kept = "kept: the change no longer reverts";
    args.flags.apply_or(&args.model, request, kept).await
}
