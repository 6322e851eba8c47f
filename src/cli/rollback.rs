//! `taper rollback`: restores what an earlier revision contained.

use super::{change::MutationFlags, model::ModelFlag};
use crate::client::{Failure, v1::RollbackToRequest};

/// Arguments of `taper rollback`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The revision to restore; 0 is the initial state.
    revision: u64,
    #[command(flatten)]
    model: ModelFlag,
    #[command(flatten)]
    flags: MutationFlags,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let request = |model, terms| RollbackToRequest {
        model,
        revision: args.revision,
        terms,
    };
    args.flags.apply(&args.model, request).await
}
