//! `taper undo`: restores what was in force before the last change.

use super::{change::MutationFlags, model::ModelFlag};
use crate::client::{Failure, v1::UndoRequest};

/// Arguments of `taper undo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelFlag,
    #[command(flatten)]
    flags: MutationFlags,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let request = |model, terms| UndoRequest { model, terms };
    args.flags.apply(&args.model, request).await
}
