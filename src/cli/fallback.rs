//! `taper fallback`: who answers where another version fails or takes too long. `taper split get` shows it.

use super::change::Changing;
use crate::client::{Failure, wire};
use crate::ident::Target;
use crate::proto::v1::TrafficPolicy;

/// What to do with the fallback.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Let a version or label answer where another version cannot. What else the policy says stays.
    Set(SetArgs),
    /// Let callers have the errors of the version that was to answer.
    Clear(ClearArgs),
}

/// Arguments of `taper fallback set`.
#[derive(Debug, clap::Args)]
pub(super) struct SetArgs {
    /// Name of the model.
    model: String,
    /// The version or label that answers in another's place.
    target: Target,
    /// Milliseconds that the other version gets, 1 to 60000, but never more than half of what the caller's deadline leaves
    /// [default: that half].
    #[arg(long, value_name = "MILLISECONDS")]
    within_ms: Option<u32>,
    #[command(flatten)]
    how: Changing,
}

/// Arguments of `taper fallback clear`.
#[derive(Debug, clap::Args)]
pub(super) struct ClearArgs {
    /// Name of the model.
    model: String,
    #[command(flatten)]
    how: Changing,
}

pub(super) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Set(args) => {
            let fallback = Some(wire::fallback(&args.target, args.within_ms));
            let edit = |policy: &mut TrafficPolicy| policy.fallback = fallback;
            args.how.edit_policy(args.model, edit).await
        }
        Verb::Clear(args) => {
            let edit = |policy: &mut TrafficPolicy| policy.fallback = None;
            args.how.edit_policy(args.model, edit).await
        }
    }
}
