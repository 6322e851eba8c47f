//! `taper split`: how a model's traffic is split, as wanted and as counted, and how to change it.
//!
//! A change replaces the policy as a whole, so `set` reads the policy first, keeps what the command line does not name,
//! and sends the revision that it read: where somebody else was faster, nothing changes.

mod parse;
mod show;

use super::change::{self, Changing};
use crate::client::{AdminPort, Failure};
use crate::proto::v1::{
    ChangeTerms, GetModelRequest, GetTrafficPolicyRequest, GetTrafficPolicyResponse,
    SetTrafficPolicyRequest,
};
use crate::terminal::output;

pub(super) use parse::TargetShare;
use parse::{Rule, Wish};
pub(super) use show::Labels;

/// The two things to do with a split.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Show the split in force, and what was counted since.
    Get(GetArgs),
    /// Replace the split. What is not named (rules, sticky header, salt) stays.
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
    /// Every version or label that gets traffic, with its share: `1=95% 2=5%`, `canary=0.5%`, `2=500bp`. They add up to 100%.
    #[arg(required = true, value_name = "TARGET=SHARE")]
    shares: Vec<TargetShare>,
    /// Send requests with this header value to this version or label, past the split. May be given several times.
    #[arg(long = "rule", value_name = "HEADER=VALUE:TARGET")]
    rules: Vec<Rule>,
    /// Drop the header rules in force.
    #[arg(long)]
    clear_rules: bool,
    /// Header whose value keeps a caller on one version; empty for none.
    #[arg(long, value_name = "HEADER")]
    sticky_header: Option<String>,
    /// Deal all sticky callers anew with this salt; empty for the model's name.
    #[arg(long)]
    salt: Option<String>,
    #[command(flatten)]
    how: Changing,
}

pub(super) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Get(args) => get(args).await,
        Verb::Set(args) => set(args).await,
    }
}

async fn get(args: GetArgs) -> Result<(), Failure> {
    let labels = labels(&args.port, args.model.clone()).await?;
    let now = show::InForce::new(&in_force(&args.port, args.model).await?, &labels);
    if args.json {
        output::print_json(&now)
    } else {
        output::print(&show::in_force(&now))
    }
}

async fn set(args: SetArgs) -> Result<(), Failure> {
    let wish = Wish {
        shares: args.shares,
        rules: args.rules,
        clear_rules: args.clear_rules,
        sticky_header: args.sticky_header,
        salt: args.salt,
    };
    let labels = labels(&args.how.port, args.model.clone()).await?;
    let before = in_force(&args.how.port, args.model.clone()).await?;
    let policy = wish
        .onto(before.policy.clone().unwrap_or_default())
        .map_err(Failure::new)?;
    let request = SetTrafficPolicyRequest {
        model: args.model.clone(),
        policy: Some(policy.clone()),
        terms: Some(ChangeTerms {
            expected_revision: Some(args.how.change.expect.unwrap_or(before.revision)),
            ..args.how.change.terms()
        }),
    };
    let mut client = args.how.port.connect().await?;
    let request = args.how.port.patience.request(request);
    let changed = args
        .how
        .port
        .answer(client.set_traffic_policy(request))
        .await?;
    let after = GetTrafficPolicyResponse {
        model: args.model.clone(),
        policy: Some(policy),
        revision: changed.revision,
        counted: Vec::new(),
    };
    let shown = show::Change {
        before: show::InForce::new(&before, &labels),
        after: show::InForce::new(&after, &labels),
        confirm_by: change::confirm_by(&changed),
    };
    if args.how.json {
        output::print_json(&shown)
    } else {
        let beside = args
            .how
            .change
            .beside(&args.how.port.flag(), &args.model, &changed);
        output::print(&(show::change(&shown) + &beside))
    }
}

pub(super) async fn in_force(
    port: &AdminPort,
    model: String,
) -> Result<GetTrafficPolicyResponse, Failure> {
    let mut client = port.connect().await?;
    let request = port.patience.request(GetTrafficPolicyRequest { model });
    port.answer(client.get_traffic_policy(request)).await
}

/// What each label of the model names now.
pub(super) async fn labels(port: &AdminPort, model: String) -> Result<Labels, Failure> {
    let mut client = port.connect().await?;
    let request = port.patience.request(GetModelRequest { model });
    Ok(port.answer(client.get_model(request)).await?.labels)
}
