//! `taper fallback`: which version answers when another one fails or takes too long. `taper split get` shows it.

use super::change::MutationFlags;
use crate::client::{Failure, message, v1::TrafficPolicy};
use crate::ident::Target;

/// What to do with the fallback.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Let a version or label answer when another version fails or is too slow. The rest of the policy stays.
    Set(SetArgs),
    /// Disable the fallback; clients see the original error.
    Clear(ClearArgs),
}

/// Arguments of `taper fallback set`.
#[derive(Debug, clap::Args)]
pub(super) struct SetArgs {
    /// Name of the model.
    model: String,
    /// The version or label that answers instead.
    target: Target,
    /// Milliseconds that the other version has to answer, 1 to 60000, and at most half of the time that the deadline of the
    /// request leaves [default: that half].
    #[arg(long, value_name = "MILLISECONDS")]
    within_ms: Option<u32>,
    #[command(flatten)]
    flags: MutationFlags,
}

/// Arguments of `taper fallback clear`.
#[derive(Debug, clap::Args)]
pub(super) struct ClearArgs {
    /// Name of the model.
    model: String,
    #[command(flatten)]
    flags: MutationFlags,
}

pub(super) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Set(args) => {
            let fallback = Some(message::fallback(&args.target, args.within_ms));
            let edit = |policy: &mut TrafficPolicy| policy.fallback = fallback;
            args.flags.edit_policy(args.model, edit).await
        }
        Verb::Clear(args) => {
            let edit = |policy: &mut TrafficPolicy| policy.fallback = None;
            args.flags.edit_policy(args.model, edit).await
        }
    }
}
