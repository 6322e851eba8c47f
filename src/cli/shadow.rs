//! `taper shadow`: which versions get copies of the traffic of a model.
//!
//! A change replaces the whole policy, so these verbs read it first, change its shadows, and send the revision that they read: if
//! somebody else changes the model in between, the gateway refuses the change.

use serde::Serialize;

use super::change::MutationFlags;
use super::split::{Labels, TargetShare, get_labels, get_policy};
use crate::client::v1::{Shadow, TrafficPolicy};
use crate::client::{AdminPort, Failure, message};
use crate::terminal::output;
use crate::terminal::table::{per_cent, table};

/// What to do with shadows.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List the shadows in force.
    List(ListArgs),
    /// Replace the shadows. The rest of the policy stays.
    Set(SetArgs),
    /// Remove all shadows.
    Clear(ClearArgs),
}

/// Arguments of `taper shadow list`.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Name of the model.
    model: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

/// Arguments of `taper shadow set`.
#[derive(Debug, clap::Args)]
pub(super) struct SetArgs {
    /// Name of the model.
    model: String,
    /// Every version or label that gets copies, with its share of the traffic: `3=100%`, `canary=0.5%`, `4=500bp`.
    #[arg(required = true, value_name = "TARGET=SHARE")]
    shares: Vec<TargetShare>,
    /// Drop copies that are older than this many milliseconds [default: 1000].
    #[arg(long, value_name = "MILLISECONDS")]
    deadline_ms: Option<u32>,
    /// Queue at most this many copies for each shadow [default: 64].
    #[arg(long, value_name = "COPIES")]
    max_queue: Option<u32>,
    /// Compute this many copies of each shadow at the same time [default: 1].
    #[arg(long, value_name = "COPIES")]
    max_concurrent: Option<u32>,
    #[command(flatten)]
    flags: MutationFlags,
}

/// Arguments of `taper shadow clear`.
#[derive(Debug, clap::Args)]
pub(super) struct ClearArgs {
    /// Name of the model.
    model: String,
    #[command(flatten)]
    flags: MutationFlags,
}

pub(super) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(args) => list(args).await,
        Verb::Set(args) => {
            let shadows = args.shares.iter().map(|one| Shadow {
                deadline_ms: args.deadline_ms,
                max_queue: args.max_queue,
                max_concurrent: args.max_concurrent,
                ..message::shadow(&one.target, one.share.basis_points())
            });
            let shadows = shadows.collect();
            let edit = |policy: &mut TrafficPolicy| policy.shadows = shadows;
            args.flags.edit_policy(args.model, edit).await
        }
        Verb::Clear(args) => {
            let edit = |policy: &mut TrafficPolicy| policy.shadows.clear();
            args.flags.edit_policy(args.model, edit).await
        }
    }
}

/// The shadows of one model.
#[derive(Debug, Serialize)]
struct Listing {
    model: String,
    revision: u64,
    shadows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    target: String,
    /// `None`: the target is a label that does not exist.
    version: Option<u64>,
    #[serde(flatten)]
    shadow: Shadow,
}

impl Row {
    fn new(shadow: &Shadow, labels: &Labels) -> Self {
        let target = shadow.valid_target().map(|target| target.to_string());
        let target = target.unwrap_or_default();
        Self {
            version: target.parse().ok().or_else(|| labels.get(&target).copied()),
            target,
            shadow: shadow.clone(),
        }
    }

    fn cells(&self) -> Vec<String> {
        let version = self.version.map(|version| version.to_string());
        vec![
            self.target.clone(),
            version.unwrap_or_else(|| "-".into()),
            per_cent(self.shadow.basis_points),
            format!("{} ms", self.shadow.deadline_ms()),
            self.shadow.max_queue().to_string(),
            self.shadow.max_concurrent().to_string(),
        ]
    }
}

impl Listing {
    fn readable(&self) -> String {
        let head = format!("{}   policy revision {}", self.model, self.revision);
        if self.shadows.is_empty() {
            let set = format!("taper shadow set {} VERSION=SHARE", self.model);
            return format!("{head}\nno shadows: add them with `{set}`");
        }
        let header = [
            "shadow", "version", "copies", "deadline", "queue", "at once",
        ];
        let rows = self.shadows.iter().map(Row::cells);
        format!("{head}\n{}", table(&header, &[1, 2, 3, 4, 5], rows))
    }
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let labels = get_labels(&args.port, args.model.clone()).await?;
    let current = get_policy(&args.port, args.model).await?;
    let policy = current.policy.unwrap_or_default();
    let shadows = policy.shadows.iter();
    let listing = Listing {
        model: current.model,
        revision: current.revision,
        shadows: shadows.map(|one| Row::new(one, &labels)).collect(),
    };
    if args.json {
        output::print_json(&listing)?;
    } else {
        output::print(&listing.readable())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shadows_are_listed_with_their_limits() {
        let labels = Labels::from([("canary".to_owned(), 2)]);
        let shadow = |target: &str, points| Shadow {
            deadline_ms: Some(1_000),
            max_queue: Some(64),
            max_concurrent: Some(1),
            ..message::shadow(&target.parse().unwrap(), points)
        };
        let shadows = [shadow("3", 10_000), shadow("canary", 50)];
        let mut listing = Listing {
            model: "m".into(),
            revision: 4,
            shadows: shadows.iter().map(|one| Row::new(one, &labels)).collect(),
        };
        insta::assert_snapshot!(listing.readable(), @r"
        m   policy revision 4
        ┌────────┬─────────┬────────┬──────────┬───────┬─────────┐
        │ shadow ┆ version ┆ copies ┆ deadline ┆ queue ┆ at once │
        ╞════════╪═════════╪════════╪══════════╪═══════╪═════════╡
        │ 3      ┆       3 ┆   100% ┆  1000 ms ┆    64 ┆       1 │
        │ canary ┆       2 ┆   0.5% ┆  1000 ms ┆    64 ┆       1 │
        └────────┴─────────┴────────┴──────────┴───────┴─────────┘
        ");
        listing.shadows.clear();
        insta::assert_snapshot!(listing.readable(), @r"
        m   policy revision 4
        no shadows: add them with `taper shadow set m VERSION=SHARE`
        ");
    }

    #[test]
    fn json_has_target_version_and_limits() {
        let labels = Labels::from([("canary".to_owned(), 2)]);
        let full = Shadow {
            deadline_ms: Some(1_000),
            max_queue: Some(64),
            max_concurrent: Some(1),
            ..message::shadow(&"canary".parse().unwrap(), 10_000)
        };
        let shadows = [
            full,
            message::shadow(&"3".parse().unwrap(), 50),
            message::shadow(&"gone".parse().unwrap(), 50),
        ];
        let listing = Listing {
            model: "m".into(),
            revision: 4,
            shadows: shadows.iter().map(|one| Row::new(one, &labels)).collect(),
        };
        insta::assert_snapshot!(serde_json::to_string_pretty(&listing).unwrap());
    }
}
