//! `taper promote`: sends all traffic to the version of a label, in one step.

use super::{change::MutationFlags, model::ModelFlag};
use crate::client::{Failure, v1::PromoteRequest};

/// Arguments of `taper promote`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The label whose version gets all traffic, such as `canary`.
    label: String,
    /// The label that moves to that version and then gets all traffic of the split.
    #[arg(long, value_name = "LABEL", default_value = "stable")]
    to: String,
    #[command(flatten)]
    model: ModelFlag,
    #[command(flatten)]
    flags: MutationFlags,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let request = |model, terms| PromoteRequest {
        model,
        label: args.label,
        to: args.to,
        terms,
    };
    args.flags.apply(&args.model, request).await
}
