//! `taper split`: how the traffic of a model is split, the shares as set and as counted, and how to change them.
//!
//! A change replaces the whole policy, so `set` reads the policy first, keeps what the command line does not name, and sends the
//! revision that it read: if somebody else changes the model in between, the gateway refuses the change.

mod parse;
mod show;

use std::collections::BTreeMap;

use super::change::MutationFlags;
use crate::client::v1::{GetModelRequest, GetTrafficPolicyRequest, GetTrafficPolicyResponse};
use crate::client::{AdminPort, Failure, names};
use crate::terminal::output;

pub(super) use parse::TargetShare;
use parse::{PolicyEdit, Rule};

/// The version that each label of a model names.
pub(super) type Labels = BTreeMap<String, u64>;

/// What to do with a split.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Show the split in force, and the requests counted under it.
    Get(GetArgs),
    /// Replace the split. Rules, sticky header and salt stay unless they are given.
    Set(SetArgs),
}

/// Arguments of `taper split get`.
#[derive(Debug, clap::Args)]
pub(super) struct GetArgs {
    /// Name of the model.
    model: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

/// Arguments of `taper split set`.
#[derive(Debug, clap::Args)]
pub(super) struct SetArgs {
    /// Name of the model.
    model: String,
    /// Every version or label that gets traffic, with its share: `1=95% 2=5%`, `canary=0.5%`, `2=500bp`. The shares add up to 100%.
    #[arg(required = true, value_name = "TARGET=SHARE")]
    shares: Vec<TargetShare>,
    /// Send requests with this header value to this version or label instead of the split. May be given several times.
    #[arg(long = "rule", value_name = "HEADER=VALUE:TARGET")]
    rules: Vec<Rule>,
    /// Remove the header rules in force.
    #[arg(long)]
    clear_rules: bool,
    /// Header whose value keeps a client on one version; empty for none.
    #[arg(long, value_name = "HEADER")]
    sticky_header: Option<String>,
    /// Reassign all sticky clients with this salt; empty for the name of the model.
    #[arg(long)]
    salt: Option<String>,
    #[command(flatten)]
    flags: MutationFlags,
}

pub(super) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Get(args) => get(args).await,
        Verb::Set(args) => set(args).await,
    }
}

async fn get(args: GetArgs) -> Result<(), Failure> {
    let labels = get_labels(&args.port, args.model.clone()).await?;
    let response = get_policy(&args.port, args.model).await?;
    let policy = show::ResolvedPolicy::new(&response, &labels);
    if args.json {
        output::print_json(&policy)?;
    } else {
        output::print(&show::policy(&policy))?;
    }
    Ok(())
}

async fn set(args: SetArgs) -> Result<(), Failure> {
    let edit = PolicyEdit {
        shares: args.shares,
        rules: args.rules,
        clear_rules: args.clear_rules,
        sticky_header: args.sticky_header,
        salt: args.salt,
    };
    let port = &args.flags.port;
    let labels = get_labels(port, args.model.clone()).await?;
    let before = get_policy(port, args.model.clone()).await?;
    let policy = edit
        .apply_to(before.policy.clone().unwrap_or_default())
        .map_err(Failure::new)?;
    let response = args
        .flags
        .set_policy(&args.model, policy.clone(), before.revision)
        .await?;
    let after = GetTrafficPolicyResponse {
        model: args.model.clone(),
        policy: Some(policy),
        revision: response.revision,
        counted: Vec::new(),
    };
    let change = show::Change {
        before: show::ResolvedPolicy::new(&before, &labels),
        after: show::ResolvedPolicy::new(&after, &labels),
        confirm_by: response.confirm_by.as_ref().map(names::to_second),
    };
    if args.flags.json {
        output::print_json(&change)?;
    } else {
        let flag = port.address_flag();
        let notes = args.flags.change.notes(&flag, &args.model, &response);
        output::print(&(show::change(&change) + &notes))?;
    }
    Ok(())
}

/// Returns the policy of `model` in force.
pub(super) async fn get_policy(
    port: &AdminPort,
    model: String,
) -> Result<GetTrafficPolicyResponse, Failure> {
    port.call(GetTrafficPolicyRequest { model }).await
}

/// Returns the labels of `model`.
pub(super) async fn get_labels(port: &AdminPort, model: String) -> Result<Labels, Failure> {
    Ok(port.call(GetModelRequest { model }).await?.labels)
}
