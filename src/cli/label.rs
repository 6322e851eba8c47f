//! `taper label`: names for versions, and the traffic that moves with them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{change::Changing, model::Model};
use crate::client::{AdminPort, Failure};
use crate::proto::v1::{DeleteLabelRequest, GetModelRequest, SetLabelRequest};
use crate::terminal::{output, table::table};

/// What to do with labels.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List the labels and the versions that they name.
    List(ListArgs),
    /// Move a label to a READY version, or make it. Traffic that names the label moves with it.
    Set(SetArgs),
    /// Remove a label that no split and no header rule names.
    Delete(DeleteArgs),
}

/// Arguments of `taper label list`.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    model: Model,
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
    /// The version that it is to name.
    version: u64,
    #[command(flatten)]
    model: Model,
    #[command(flatten)]
    how: Changing,
}

/// Arguments of `taper label delete`.
#[derive(Debug, clap::Args)]
pub(super) struct DeleteArgs {
    /// The label.
    label: String,
    #[command(flatten)]
    model: Model,
    #[command(flatten)]
    how: Changing,
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
            return format!("{head}\nno labels: make one with `taper label set LABEL VERSION`");
        }
        let rows = self.labels.iter();
        let rows = rows.map(|(label, version)| vec![label.clone(), version.to_string()]);
        format!("{head}\n{}", table(&["label", "version"], &[1], rows))
    }
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let model = args.model.resolve(&args.port).await?;
    let mut client = args.port.connect().await?;
    let request = args.port.patience.request(GetModelRequest { model });
    let got = args.port.answer(client.get_model(request)).await?;
    let listing = Listing {
        model: got.model,
        revision: got.revision,
        labels: got.labels.into_iter().collect(),
    };
    if args.json {
        output::print_json(&listing)
    } else {
        output::print(&listing.readable())
    }
}

async fn set(args: SetArgs) -> Result<(), Failure> {
    let model = args.model.resolve(&args.how.port).await?;
    let mut client = args.how.port.connect().await?;
    let request = args.how.port.patience.request(SetLabelRequest {
        model: model.clone(),
        label: args.label,
        version: args.version,
        terms: Some(args.how.change.terms()),
    });
    let changed = args.how.port.answer(client.set_label(request)).await?;
    args.how.tell(&model, &changed)
}

async fn delete(args: DeleteArgs) -> Result<(), Failure> {
    let model = args.model.resolve(&args.how.port).await?;
    let mut client = args.how.port.connect().await?;
    let request = args.how.port.patience.request(DeleteLabelRequest {
        model: model.clone(),
        label: args.label,
        terms: Some(args.how.change.terms()),
    });
    let changed = args.how.port.answer(client.delete_label(request)).await?;
    args.how.tell(&model, &changed)
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
        no labels: make one with `taper label set LABEL VERSION`
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
