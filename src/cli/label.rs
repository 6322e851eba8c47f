//! `taper label`: names for versions. Traffic that a policy sends to a label moves with it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{change::MutationFlags, model::ModelFlag};
use crate::client::v1::{DeleteLabelRequest, GetModelRequest, SetLabelRequest};
use crate::client::{AdminPort, Failure};
use crate::terminal::{output, table::table};

/// What to do with labels.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List the labels and their versions.
    List(ListArgs),
    /// Move a label to a READY version, or create it. Traffic that is sent to the label moves with it.
    Set(SetArgs),
    /// Delete a label that no split and no header rule names.
    Delete(DeleteArgs),
}

/// Arguments of `taper label list`.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    model: ModelFlag,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

/// Arguments of `taper label set`.
#[derive(Debug, clap::Args)]
pub(super) struct SetArgs {
    /// The label.
    label: String,
    /// The version that it names from now on.
    version: u64,
    #[command(flatten)]
    model: ModelFlag,
    #[command(flatten)]
    flags: MutationFlags,
}

/// Arguments of `taper label delete`.
#[derive(Debug, clap::Args)]
pub(super) struct DeleteArgs {
    /// The label.
    label: String,
    #[command(flatten)]
    model: ModelFlag,
    #[command(flatten)]
    flags: MutationFlags,
}

pub(super) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(args) => list(args).await,
        Verb::Set(args) => set(args).await,
        Verb::Delete(args) => delete(args).await,
    }
}

/// The labels of one model.
#[derive(Debug, Serialize)]
struct Listing {
    model: String,
    revision: u64,
    labels: BTreeMap<String, u64>,
}

impl Listing {
    fn readable(&self) -> String {
        let head = format!("{}   revision {}", self.model, self.revision);
        if self.labels.is_empty() {
            return format!("{head}\nno labels: create one with `taper label set LABEL VERSION`");
        }
        let rows = self.labels.iter();
        let rows = rows.map(|(label, version)| vec![label.clone(), version.to_string()]);
        format!("{head}\n{}", table(&["label", "version"], &[1], rows))
    }
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let model = args.model.resolve(&args.port).await?;
    let response = args.port.call(GetModelRequest { model }).await?;
    let listing = Listing {
        model: response.model,
        revision: response.revision,
        labels: response.labels,
    };
    if args.json {
        output::print_json(&listing)?;
    } else {
        output::print(&listing.readable())?;
    }
    Ok(())
}

async fn set(args: SetArgs) -> Result<(), Failure> {
    let request = |model, terms| SetLabelRequest {
        model,
        label: args.label,
        version: args.version,
        terms,
    };
    args.flags.apply(&args.model, request).await
}

async fn delete(args: DeleteArgs) -> Result<(), Failure> {
    let request = |model, terms| DeleteLabelRequest {
        model,
        label: args.label,
        terms,
    };
    args.flags.apply(&args.model, request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_listed_in_order_of_name() {
        let mut listing = Listing {
            model: "m".into(),
            revision: 3,
            labels: BTreeMap::from([("stable".into(), 1), ("canary".into(), 12)]),
        };
        insta::assert_snapshot!(listing.readable(), @r"
        m   revision 3
        ┌────────┬─────────┐
        │ label  ┆ version │
        ╞════════╪═════════╡
        │ canary ┆      12 │
        │ stable ┆       1 │
        └────────┴─────────┘
        ");
        listing.labels.clear();
        insta::assert_snapshot!(listing.readable(), @r"
        m   revision 3
        no labels: create one with `taper label set LABEL VERSION`
        ");
    }

    #[test]
    fn json_has_the_labels_in_order_of_name() {
        let listing = Listing {
            model: "m".into(),
            revision: 3,
            labels: BTreeMap::from([("stable".into(), 1), ("canary".into(), 12)]),
        };
        insta::assert_snapshot!(serde_json::to_string_pretty(&listing).unwrap());
    }
}
